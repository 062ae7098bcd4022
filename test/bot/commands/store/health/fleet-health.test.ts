// Questions about a fleet while the service runs: answered in one reply from what it keeps, by any process, whatever some agents do.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openBot } from '../../../../../bot/open.ts'
import type { OpenBot } from '../../../../../bot/open.ts'
import { runLine } from '../../../../../bot/commands/run.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { observeFleet } from '../../../../support/agents/observed-fleet.ts'
import type { ObservedFleet } from '../../../../support/agents/observed-fleet.ts'
import { startSimulatedFleet } from '../../../../support/agents/simulated-fleet.ts'
import type { SimulatedAgent, SimulatedFleet } from '../../../../support/agents/simulated-fleet.ts'
import { until } from '../../../../support/until.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const clock = createManualClock()
const stack = new AsyncDisposableStack()
let fleet: SimulatedFleet
let observed: ObservedFleet
/** Another process beside the service: it counts the requests that it sends. */
let console_: OpenBot
let sent = 0

beforeAll(async () => {
  const folder = stack.use(await createTemporaryFolder())
  fleet = stack.use(startSimulatedFleet(12, 3))
  observed = stack.use(observeFleet({ home: folder.path, clock, agents: fleet.agents }))
  const counted = (url: string, init: RequestInit): Promise<Response> => {
    sent++
    return fetch(url, init)
  }
  console_ = stack.use(openBot(folder.path, { clock, fetch: counted, contactTimeoutMs: 2000 }))
  await until('all stores are known', () => {
    clock.advance(1000)
    return observed.bot.database.query<{ n: number }, []>('SELECT count(*) AS n FROM fleet_states').get()?.n === 12
  })
})

afterAll(() => stack.disposeAsync())

function ask(line: string, name = 'ann'): Promise<View> {
  return runLine(console_.context({ name, role: 'admin' }, 'console'), line)
}

function agent(i: number): SimulatedAgent {
  const found = fleet.agents[i]
  if (!found) throw new Error(`there is no agent ${i}`)
  return found
}

/** Waits until the service knows that these stores are silent; the others send states meanwhile. */
async function silence(...numbers: readonly number[]): Promise<void> {
  for (const i of numbers) agent(i).hang()
  await until('the silence is known', () => {
    for (const one of fleet.agents) one.sendState()
    clock.advance(1000)
    return numbers.every((i) => observed.bot.fleet.registry.find(agent(i).name)?.stoppedSinceMs)
  })
}

describe('while the service runs', () => {
  test('a console beside it answers without a request: all Running, with the age of the data', async () => {
    const view = await ask('store health')
    expect(view.text).toBe('12 stores: all Running.')
    expect(view.rows.length).toBe(12)
    expect(clock.nowMs() - view.asOfMs).toBeLessThan(40_000)
    expect((await ask('store list')).text).toBe('12 stores: 12 Running')
    expect((await ask('zone list')).rows.map(({ cells }) => cells['state'])).toEqual(['Running', 'Running', 'Running'])
    const shown = await ask('store show store-0003')
    expect(shown.fields).toContainEqual({ label: 'Tasks', value: '0 running, 0 waiting' })
    expect(shown.fields).toContainEqual({ label: 'Reconnect', value: 'as the bot is set (every 30 s by default)' })
    expect(sent).toBe(0)
  })

  test('--fresh asks the agents', async () => {
    expect((await ask('store health zone=zone-1 --fresh')).text).toBe('4 stores: all Running.')
    expect(sent).toBe(8)
  })

  test('names the few that are silent, tells since when, and says what changed since the same person asked', async () => {
    await silence(4)
    sent = 0
    const view = await ask('store health')
    expect(view.text).toMatch(/^12 stores: 1 Stopped, 11 Running\. store-0004 has been Stopped since 20.* UTC\.$/)
    expect(view.tone).toBe('bad')
    expect(view.rows[0]?.cells).toMatchObject({ name: 'store-0004', state: 'Stopped' })
    expect(view.rows[0]?.cells['next']).toContain('sudo systemctl restart slipway-agent@store-0004')
    expect(view.fields).toContainEqual({ label: 'Zones', value: 'zone-1: 1 of 4 not Running' })
    expect(view.fields.find(({ label }) => label === 'Changed')?.value).toMatch(/^since you last asked, .* ago: store-0004 was Running and is Stopped$/)
    expect(view.actions.map(({ command }) => command)).toEqual(['store health store-0004', 'store reconnect store-0004'])
    expect((await ask('store health')).fields.find(({ label }) => label === 'Changed')?.value).toMatch(/^nothing since you last asked, /)
    // It is the first question of somebody else.
    expect((await ask('store health', 'bob')).fields.find(({ label }) => label === 'Changed')).toBeUndefined()
    expect(sent).toBe(0)
  })

  test('counts many that are silent instead of naming them, and none of them delays the answer', async () => {
    await silence(0, 1, 2, 3, 5, 6, 7)
    sent = 0
    const view = await ask('store health')
    expect(view.text).toBe('12 stores: 8 Stopped, 4 Running.')
    expect(view.rows.map(({ cells }) => cells['state'])).toEqual([...Array.from({ length: 8 }, () => 'Stopped'), ...Array.from({ length: 4 }, () => 'Running')])
    expect(view.fields.find(({ label }) => label === 'Changed')?.value).toEndWith('store-0005 was Running and is Stopped; 2 more')
    expect(view.actions.length).toBe(10)
    const notes = (await ask('store list')).notes
    expect(notes.length).toBe(6)
    expect(notes[5]).toBe('3 more stores are not Running: see store health.')
    expect(sent).toBe(0)
  })

  test('shows those that are back, and which disks will be full', async () => {
    for (const one of fleet.agents) one.recover()
    const full = agent(9)
    full.health = {
      ...full.health,
      state: 'degraded',
      checks: [{ name: 'free-space', state: 'warning', measured: '1 GB free', limit: null, impact: 'I.', action: 'A.', failsAt: '2026-02-03T04:05:06.000Z' }],
    }
    await until('all are back', () => {
      for (const one of fleet.agents) {
        one.sendState()
        observed.bot.fleet.registry.askReconnect(one.name)
      }
      clock.advance(1000)
      return observed.bot.fleet.registry.list().every(({ stoppedSinceMs }) => stoppedSinceMs === null)
    })
    const view = await ask('store health')
    expect(view.text).toBe('12 stores: 1 Degraded, 11 Running. store-0009 is Degraded.')
    expect(view.fields).toContainEqual({ label: 'Full', value: 'store-0009 about 2026-02-03, at the rate of the last days' })
    expect(view.fields.find(({ label }) => label === 'Changed')?.value).toContain('store-0000 was Stopped and is Running')
    expect(view.json).toMatchObject({ changed: { stores: expect.arrayContaining([{ store: 'store-0009', before: 'running', now: 'degraded', changes: 1 }]) } })
  })

  test('a change by a command is in the next answer', async () => {
    const { registry } = console_.fleet
    expect((await ask('store edit store-0002 reconnect=off zone=zone-9')).outcome).toBe('done')
    expect((await ask('store show store-0002')).fields).toContainEqual({ label: 'Reconnect', value: 'off' })
    expect((await ask('store health zone=zone-9')).text).toBe('1 store: all Running.')
    expect((await ask('store edit store-0002 reconnect=3')).text).toContain('reconnect=3 is not understood')
    await ask('store edit store-0002 reconnect=120')
    expect(registry.find('store-0002')?.reconnectMs).toBe(120_000)
    await ask('store edit store-0002 reconnect=default')
    expect(registry.find('store-0002')?.reconnectMs).toBeNull()
  })

  test('after the service has stopped, a command asks the agents itself', async () => {
    await observed.stop()
    sent = 0
    expect((await ask('store health')).text).toStartWith('12 stores: ')
    expect(sent).toBe(24)
  })
})
