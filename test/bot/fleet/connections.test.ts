// The service keeps the state of the fleet: what it shows of agents that are well, gone, silent or broken, and how it comes back to them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SILENCE_MS } from '../../../bot/fleet/connection.ts'
import type { Clock } from '../../../bot/system/clock.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { observeFleet } from '../../support/agents/observed-fleet.ts'
import type { ObservedFleet, ObservedOptions } from '../../support/agents/observed-fleet.ts'
import { refusal, startSimulatedFleet } from '../../support/agents/simulated-fleet.ts'
import type { SimulatedAgent } from '../../support/agents/simulated-fleet.ts'
import { until } from '../../support/until.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

interface Scene extends AsyncDisposable {
  readonly clock: Clock
  readonly observed: ObservedFleet
  readonly agents: readonly SimulatedAgent[]
  readonly agent: SimulatedAgent
  /** Moves the time in steps of a second, until the condition holds. */
  tick(what: string, condition: () => boolean | Promise<boolean>): Promise<void>
}

async function scene(count = 1, options: Partial<ObservedOptions> = {}): Promise<Scene> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const fleet = stack.use(startSimulatedFleet(count))
  const manual = createManualClock()
  const clock = options.clock ?? manual
  const observed = stack.use(observeFleet({ home: folder.path, clock, agents: fleet.agents, ...options }))
  const [agent] = fleet.agents
  if (!agent) throw new Error('there is no agent')
  return {
    clock,
    observed,
    agents: fleet.agents,
    agent,
    async tick(what, condition) {
      await until(what, async () => {
        manual.advance(1000)
        return condition()
      })
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Whether what the service keeps of a store, without asking its agent, has this state. */
function isKept({ observed: { bot }, clock }: Scene, name: string, kind: string): boolean {
  const record = bot.fleet.registry.find(name)
  const since = bot.fleet.kept.runs.runningSince(clock.nowMs())
  return record !== undefined && since !== undefined && bot.fleet.kept.states.read([record], since, clock.nowMs()).get(name)?.kind === kind
}

describe('an agent that is well', () => {
  test('is answered for from what its stream brought, with the age of that, and is not asked', async () => {
    await using here = await scene()
    const { observed, agent, clock } = here
    await here.tick('the first state was written', () => isKept(here, agent.name, 'answered'))
    const seen = await observed.see(agent.name)
    expect(seen).toMatchObject({ state: 'running', finding: '', store: { id: agent.store.id }, tasks: { running: 0 } })
    expect(clock.nowMs() - seen.asOfMs).toBeLessThan(40_000)
    expect([...agent.requests.keys()]).toEqual(['v1/events'])

    agent.health = {
      ...agent.health,
      state: 'degraded',
      checks: [{ name: 'scrub', state: 'warning', measured: 'overdue', limit: null, impact: 'I.', action: 'A.' }],
    }
    agent.emit('health.changed')
    await here.tick('the change was written', async () => (await observed.see(agent.name)).state === 'degraded')
    expect(await observed.see(agent.name)).toMatchObject({ finding: 'scrub: overdue', impact: 'I.', action: 'A.' })
    expect(observed.bot.fleet.kept.changes.after(0)).toMatchObject([{ store: agent.name, before: 'running', after: 'degraded' }])
    expect(observed.lines.some((line) => line.includes('"from":"running","to":"degraded"'))).toBeTrue()
  })

  test('keeps being followed after its stream ends, and misses no event', async () => {
    await using here = await scene()
    const { observed, agent } = here
    const ids = (): number[] => observed.bot.fleet.kept.events.list({ stores: [agent.name], limit: 100 }).map(({ id }) => id)
    await here.tick('the stream is open', () => isKept(here, agent.name, 'answered'))
    agent.emit()
    await here.tick('the first event was kept', () => ids().length === 1)
    agent.cut()
    agent.emit()
    agent.emit()
    await here.tick('the others were kept', () => ids().length === 3)
    expect(ids()).toEqual([3, 2, 1])
    expect(observed.bot.fleet.kept.events.skippedMs(agent.name)).toBeUndefined()
    expect((await observed.see(agent.name)).state).toBe('running')
    expect(observed.bot.fleet.kept.changes.after(0)).toEqual([])
  })
})

describe('an agent that falls silent', () => {
  test('is Stopped within 40 s without anyone asking, since its last state, and its last good state is not shown', async () => {
    await using here = await scene(2)
    const { observed, agent, agents, clock } = here
    await here.tick('both are known', () => agents.every(({ name }) => isKept(here, name, 'answered')))
    const lastMs = (await observed.see(agent.name)).asOfMs
    agent.hang()
    const hungMs = clock.nowMs()
    await here.tick('it is Stopped', () => {
      agents[1]?.sendState()
      return isKept(here, agent.name, 'stopped')
    })
    expect(clock.nowMs() - hungMs).toBeLessThanOrEqual(40_000)
    expect(clock.nowMs() - hungMs).toBeGreaterThanOrEqual(SILENCE_MS - 20_000)
    const seen = await observed.see(agent.name)
    expect(seen).toMatchObject({ state: 'stopped', sinceMs: lastMs, lastSeenMs: lastMs, store: null, checks: [] })
    expect(seen.finding).toContain('fell silent')
    expect((await observed.see(agents[1]?.name ?? '')).state).toBe('running')

    agent.recover()
    await here.tick('it is back', () => isKept(here, agent.name, 'answered'))
    expect(await observed.see(agent.name)).toMatchObject({ state: 'running', sinceMs: null })
    expect(observed.bot.fleet.registry.find(agent.name)).toMatchObject({ stoppedSinceMs: null })
  })

  test('is Stopped as well when it trickles: comments and parts of an event are no state', async () => {
    await using here = await scene()
    const { agent } = here
    await here.tick('it is known', () => isKept(here, agent.name, 'answered'))
    agent.answer = () => new Promise<never>(() => {})
    agent.sendText('event: state\ndata: {"position"')
    await here.tick('it is Stopped', () => {
      agent.sendText(' ')
      return isKept(here, agent.name, 'stopped')
    })
  })

  test('is not blamed for a bot that stood still', async () => {
    const manual = createManualClock()
    let stoodStillMs = 0
    const clock = { ...manual, nowMs: () => manual.nowMs() + stoodStillMs, monotonicMs: () => manual.monotonicMs() + stoodStillMs }
    await using here = await scene(1, { clock })
    const { agent, observed } = here
    const isKnown = async (): Promise<boolean> => {
      manual.advance(1000)
      return isKept(here, agent.name, 'answered')
    }
    await until('it is known', isKnown)
    stoodStillMs = 600_000
    manual.advance(2000)
    expect(isKept(here, agent.name, 'stopped')).toBeFalse()
    agent.sendState()
    await until('its state was written', isKnown)
    expect(observed.bot.fleet.kept.changes.after(0)).toEqual([])
    expect(agent.requests.get('v1/events')).toBe(1)
  })
})

describe('reconnecting', () => {
  test('tries every 30 s by default, and at once when somebody asks', async () => {
    await using here = await scene(1, { contactTimeoutMs: 200 })
    const { agent, clock, observed } = here
    await here.tick('it is known', () => isKept(here, agent.name, 'answered'))
    agent.answer = (_request, path) => (path === 'v1/events' ? refusal('unauthenticated', 'The token is not known here.') : undefined)
    agent.cut()
    await here.tick('it refuses', () => isKept(here, agent.name, 'refused'))
    const attempts = (): number => agent.requests.get('v1/events') ?? 0
    const before = attempts()
    const refusedMs = clock.nowMs()
    await here.tick('it was tried again', () => attempts() > before)
    expect(clock.nowMs() - refusedMs).toBeWithin(20_000, 120_000)
    expect(await observed.see(agent.name)).toMatchObject({ state: 'error', finding: `${agent.name} does not accept the token that the bot has for it.` })

    agent.answer = undefined
    observed.bot.fleet.registry.askReconnect(agent.name)
    await here.tick('it is back', () => isKept(here, agent.name, 'answered'))
  })

  test('is switched off for a store: after a failure nothing is tried until somebody asks', async () => {
    await using here = await scene(1, { contactTimeoutMs: 200 })
    const { agent, clock, observed } = here
    const { registry } = observed.bot.fleet
    await here.tick('it is known', () => isKept(here, agent.name, 'answered'))
    registry.change(agent.name, { reconnectMs: 0 })
    await here.tick('the change is known', () => clock.nowMs() > 0)
    agent.hang()
    agent.cut()
    await here.tick('it is Stopped', () => isKept(here, agent.name, 'stopped'))
    const before = agent.requests.get('v1/events')
    const endMs = clock.nowMs() + 600_000
    await here.tick('ten minutes passed', () => clock.nowMs() >= endMs)
    expect(agent.requests.get('v1/events')).toBe(before)
    agent.recover()
    expect((await observed.see(agent.name)).state).toBe('stopped')
    registry.askReconnect(agent.name)
    await here.tick('it is back', () => isKept(here, agent.name, 'answered'))
  })

  test('follows the registry: a removed store is left, a new address and token are used, a new store is connected', async () => {
    await using here = await scene(3)
    const { agents, agent, observed } = here
    const [, second, third] = agents
    if (!second || !third) throw new Error('there are three agents')
    const { registry } = observed.bot.fleet
    registry.remove(third.name)
    registry.change(second.name, { token: 'wrong' })
    await here.tick('the others are known', () => isKept(here, agent.name, 'answered') && isKept(here, second.name, 'refused'))
    registry.change(second.name, { token: second.token })
    await here.tick('the new token is in force', () => isKept(here, second.name, 'answered'))
    registry.add({ name: third.name, url: third.url, token: third.token, zone: 'z', provider: 'local', storeId: null }, 0)
    await here.tick('the new store is known', () => isKept(here, third.name, 'answered'))
    expect(registry.find(third.name)?.storeId).toBe(third.store.id)
    registry.remove(third.name)
    expect(observed.bot.database.query('SELECT count(*) AS n FROM fleet_states WHERE store = ?').get(third.name)).toEqual({ n: 0 })
  })
})
