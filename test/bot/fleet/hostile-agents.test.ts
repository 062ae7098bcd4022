// Agents that are broken or hostile: what they cost the bot is bounded, and what the bot shows of them is true.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { observeFleet } from '../../support/agents/observed-fleet.ts'
import { refusal, startSimulatedFleet } from '../../support/agents/simulated-fleet.ts'
import type { SimulatedAgent } from '../../support/agents/simulated-fleet.ts'
import { until } from '../../support/until.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Starts the service with one agent that misbehaves and one that is well. */
async function scene(prepare: (agent: SimulatedAgent) => void = () => {}, streamsMax?: number) {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const fleet = stack.use(startSimulatedFleet(2))
  const [bad, well] = fleet.agents
  if (!bad || !well) throw new Error('there are two agents')
  prepare(bad)
  const clock = createManualClock()
  const observed = stack.use(
    observeFleet({ home: folder.path, clock, agents: fleet.agents, contactTimeoutMs: 1000, ...(streamsMax === undefined ? {} : { streamsMax }) }),
  )
  /** Reads what is kept, without asking an agent. */
  const kept = (name: string) => {
    const record = observed.bot.fleet.registry.find(name)
    const since = observed.bot.fleet.kept.runs.runningSince(clock.nowMs())
    return record && since !== undefined ? observed.bot.fleet.kept.states.read([record], since, clock.nowMs()).get(name) : undefined
  }
  return {
    bad,
    well,
    clock,
    observed,
    kept,
    tick: (what: string, condition: () => boolean) =>
      until(what, () => {
        clock.advance(1000)
        return condition()
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function streamOf(text: string): Response {
  return new Response(text, { headers: { 'content-type': 'text/event-stream' } })
}

/** Sends the same text without end, as fast as it is read; counts its bytes. */
function endlessStream(text: string, onBytes: (bytes: number) => void): Response {
  const bytes = new TextEncoder().encode(text)
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      onBytes(bytes.byteLength)
      controller.enqueue(bytes)
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

describe('an agent whose stream cannot be used', () => {
  test.each([
    ['sends rubbish', () => streamOf('data: {{{\n\n')],
    ['sends a megabyte in one event', () => streamOf(`data: ${'x'.repeat(1_000_000)}\n\n`)],
    ['sends a state of another shape', () => streamOf('event: state\ndata: {"position":"1"}\n\n')],
    ['answers with a page of HTML', () => new Response('<!channel>', { headers: { 'content-type': 'text/html' } })],
    ['ends its stream at once', () => streamOf('')],
    ['does not know state=true', () => refusal('invalid-input', 'There is no query member state.')],
  ])('%s is asked for its health at an interval, and its stream is left alone for five minutes', async (_what, answer) => {
    await using here = await scene((agent) => {
      agent.answer = (_request, path) => (path === 'v1/events' ? answer() : undefined)
    })
    const { bad, clock } = here
    await here.tick('its state is known', () => here.kept(bad.name)?.kind === 'answered')
    const startMs = clock.nowMs()
    const isAsked = (times: number): boolean => (bad.requests.get('v1/health') ?? 0) >= times
    for (let times = 2; times <= 4; times++) {
      await here.tick('it was asked again', () => isAsked(times))
      expect(bad.requests.get('v1/events')).toBe(1)
    }
    expect(clock.nowMs() - startMs).toBeGreaterThan(40_000)
    bad.health = { ...bad.health, state: 'degraded' }
    await here.tick('the change is known', () => here.observed.bot.fleet.kept.changes.after(0).some(({ after }) => after === 'degraded'))
  })

  test('sends events without end: a bounded number of bytes is read, and the other store is followed', async () => {
    let sent = 0
    await using here = await scene((agent) => {
      agent.answer = (_request, path) => (path === 'v1/events' ? endlessStream(': nothing\n\n'.repeat(1000), (bytes) => (sent += bytes)) : undefined)
    })
    const { bad, well } = here
    await here.tick('both are known', () => here.kept(bad.name)?.kind === 'answered' && here.kept(well.name)?.kind === 'answered')
    const read = sent
    // 4 MiB, what was on its way, and what one second of the clock adds.
    expect(read).toBeLessThan(16 * 1024 * 1024)
    await here.tick('it is asked', () => (bad.requests.get('v1/health') ?? 0) >= 2)
    expect(sent).toBe(read)
    expect(here.observed.lines.some((line) => line.includes('a store sends more than the bot reads'))).toBeTrue()
  })

  test('is one of too many for the streams of this process: it is asked as well', async () => {
    await using here = await scene(() => {}, 1)
    const { bad, well } = here
    await here.tick('both are known', () => here.kept(bad.name)?.kind === 'answered' && here.kept(well.name)?.kind === 'answered')
    expect((bad.requests.get('v1/health') ?? 0) + (well.requests.get('v1/health') ?? 0)).toBeGreaterThan(0)
  })
})

describe('another store at the address', () => {
  test('is told as an Error, and its events are not taken for those of the registered one', async () => {
    await using here = await scene()
    const { bad, observed } = here
    await here.tick('it is known', () => here.kept(bad.name)?.kind === 'answered')
    bad.emit()
    await here.tick('its event was kept', () => observed.bot.fleet.kept.events.list({ stores: [bad.name], limit: 10 }).length === 1)
    bad.store = { ...bad.store, id: '11111111-2222-4333-8444-555555555555', name: 'other' }
    bad.cut()
    bad.emit()
    bad.emit()
    await here.tick('it is an Error', () => observed.bot.fleet.kept.changes.after(0).some(({ after }) => after === 'error'))
    const seen = await observed.see(bad.name)
    expect(seen.state).toBe('error')
    expect(seen.finding).toContain('other (11111111-2222-4333-8444-555555555555) instead of')
    expect(observed.bot.fleet.kept.events.list({ stores: [bad.name], limit: 10 }).length).toBe(1)
  })
})

describe('names and texts of an agent', () => {
  test('are kept with a bounded length', async () => {
    await using here = await scene()
    const { bad, observed } = here
    await here.tick('it is known', () => here.kept(bad.name)?.kind === 'answered')
    const long = 'x'.repeat(5000)
    const event = { id: '1', time: '2026-01-01T00:00:00.000Z', type: long, severity: 'error', subject: long, message: long, actor: long, details: { long } }
    bad.sendText(`id: 1\ndata: ${JSON.stringify(event)}\n\n`)
    await here.tick('it was kept', () => observed.bot.fleet.kept.events.list({ stores: [bad.name], limit: 10 }).length === 1)
    const [kept] = observed.bot.fleet.kept.events.list({ stores: [bad.name], limit: 10 })
    expect([kept?.type.length, kept?.subject.length, kept?.message.length, kept?.actor.length]).toEqual([100, 100, 500, 100])
  })
})
