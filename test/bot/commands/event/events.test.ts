// `event list`: filters, order, pages and gaps, asked of the agents and from what the service keeps.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import type { View } from '../../../../protocol/views/view.ts'
import type { Role } from '../../../../protocol/access.ts'
import { observeFleet } from '../../../support/agents/observed-fleet.ts'
import type { ObservedFleet } from '../../../support/agents/observed-fleet.ts'
import { startSimulatedFleet } from '../../../support/agents/simulated-fleet.ts'
import type { SimulatedAgent } from '../../../support/agents/simulated-fleet.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { imageOf, openScriptedFleet, page, refuse } from '../scripted-fleet.ts'
import type { Asked } from '../scripted-fleet.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** An event at a time of 31 December 2025; the clock of the fleet stands at 1 January 2026, 00:00. */
const event = (id: number, time: string, type: string, severity = 'info') => ({
  ...{ id: String(id), time: `2025-12-31T${time}.000Z`, type, severity, subject: `subject-${id}`, message: `Event ${id}.`, actor: 'ada' },
  details: {},
})

/** Store and id of each event, in the order of the answer. */
const ids = (view: View): string[] => (view.json as { items: { store: string; id: number }[] }).items.map(({ store, id }) => `${store} ${id}`)
const nextOf = (view: View): string | null => (view.json as { next: string | null }).next

describe('without the service', () => {
  const open = () =>
    openScriptedFleet({
      'edge-a': {
        'GET /events': page([
          event(9, '23:30:00', 'image.deleted'),
          event(8, '22:00:00', 'image.damaged', 'error'),
          event(7, '22:00:00', 'health.changed', 'warning'),
          event(3, '10:00:00', 'import.refused', 'warning'),
        ]),
      },
      'edge-b': { 'GET /events': page([event(4, '22:00:00', 'image.available'), event(1, '09:00:00', 'store.enabled')]) },
    })

  test('the agents are asked, and their events are in one order', async () => {
    using it = open()
    const view = await it.run('event list')
    expect(ids(view)).toEqual(['edge-a 9', 'edge-a 8', 'edge-a 7', 'edge-b 4', 'edge-a 3', 'edge-b 1'])
    expect([view.title, view.text, view.notes, view.actions, nextOf(view)]).toEqual(['Events', '6 events, newest first', [], [], null])
    expect(view.rows.slice(0, 3)).toEqual([
      {
        tone: 'plain',
        cells: {
          ...{ time: '2025-12-31 23:30:00 UTC', store: 'edge-a', severity: 'info', type: 'image.deleted' },
          ...{ message: 'Event 9.', actor: 'ada', subject: 'subject-9' },
        },
      },
      {
        tone: 'bad',
        cells: {
          ...{ time: '2025-12-31 22:00:00 UTC', store: 'edge-a', severity: 'error', type: 'image.damaged' },
          ...{ message: 'Event 8.', actor: 'ada', subject: 'subject-8' },
        },
      },
      {
        tone: 'warning',
        cells: {
          ...{ time: '2025-12-31 22:00:00 UTC', store: 'edge-a', severity: 'warning', type: 'health.changed' },
          ...{ message: 'Event 7.', actor: 'ada', subject: 'subject-7' },
        },
      },
    ])
    expect((view.json as { items: unknown[] }).items[0]).toEqual({
      ...{ store: 'edge-a', id: 9, type: 'image.deleted', severity: 'info', subject: 'subject-9', message: 'Event 9.', actor: 'ada' },
      time: '2025-12-31T23:30:00.000Z',
    })
    expect(it.asked.toSorted()).toEqual(['edge-a GET /events', 'edge-b GET /events'])
  })

  test.each([
    ['store=edge-b', ['edge-b 4', 'edge-b 1']],
    ['store=edge-b zone=zone-1', ['edge-b 4', 'edge-b 1']],
    ['type=image', ['edge-a 9', 'edge-a 8', 'edge-b 4']],
    ['type=IMAGE.d', ['edge-a 9', 'edge-a 8']],
    ['type=mage', []],
    ['severity=info', ['edge-a 9', 'edge-a 8', 'edge-a 7', 'edge-b 4', 'edge-a 3', 'edge-b 1']],
    ['severity=warning', ['edge-a 8', 'edge-a 7', 'edge-a 3']],
    ['severity=error', ['edge-a 8']],
    ['since=2h', ['edge-a 9', 'edge-a 8', 'edge-a 7', 'edge-b 4']],
    ['since=119m', ['edge-a 9']],
    ['since=2025-12-31T10:00:00Z before=2025-12-31T22:00:00Z', ['edge-a 3']],
    ['severity=warning type=i since=3h', ['edge-a 8']],
  ])('%s filters', async (words, expected) => {
    using it = open()
    expect(ids(await it.run(`event list ${words}`))).toEqual(expected)
  })

  test('image= names the image whose events are shown, by name or id, also after it was purged, and to operators only', async () => {
    const disk = imageOf(1, { name: 'disk' })
    const about = (id: number, subject: string) => ({ ...event(id, '12:00:00', 'image.available'), subject })
    using it = openScriptedFleet({
      'edge-a': {
        'GET /images': page([disk, imageOf(3, { name: 'twice' })]),
        'GET /events': page([about(3, disk.id), about(2, imageOf(2).id), about(1, disk.id)]),
      },
      'edge-b': { 'GET /images': page([imageOf(4, { name: 'twice' })]), 'GET /events': page([about(7, disk.id)]) },
    })
    const both = ['edge-a 3', 'edge-a 1', 'edge-b 7']
    expect(ids(await it.run('event list image=disk'))).toEqual(both)
    expect(ids(await it.run(`event list image=${disk.id}`))).toEqual(both)
    expect(ids(await it.run(`event list image=${imageOf(2).id}`))).toEqual(['edge-a 2'])
    expect(ids(await it.run('event list image=disk store=edge-b'))).toEqual(['edge-b 7'])
    expect((await it.run('event list image=none')).text).toBe('No store has an image "none".')
    expect((await it.run('event list image=twice')).text).toContain('2 images match "twice"')
    const seen = await it.run(`event list image=${disk.id}`, { role: 'viewer' })
    expect([ids(seen), seen.text]).toEqual([[], 'No events.'])
  })

  test('pages have every event once, also those of the same time', async () => {
    using it = open()
    const first = await it.run('event list limit=2')
    expect([ids(first), nextOf(first)]).toEqual([['edge-a 9', 'edge-a 8'], '1767218400000/edge-a/8'])
    expect(first.notes).toEqual(['Older events: add before=1767218400000/edge-a/8.'])
    expect(first.actions).toEqual([{ label: 'Older events', command: 'event list limit=2 before=1767218400000/edge-a/8', role: 'viewer' }])
    const second = await it.run(first.actions[0]?.command ?? '')
    expect([ids(second), nextOf(second)]).toEqual([['edge-a 7', 'edge-b 4'], '1767218400000/edge-b/4'])
    const third = await it.run(second.actions[0]?.command ?? '')
    expect([ids(third), nextOf(third)]).toEqual([['edge-a 3', 'edge-b 1'], null])
    expect((await it.run('event list limit=2 type=image --fresh')).actions[0]?.command).toBe(
      'event list limit=2 type=image before=1767218400000/edge-a/8 --fresh',
    )
  })

  test('no more pages of an agent are read than it takes, and at most five', async () => {
    const queries: unknown[] = []
    const pages = ({ query }: Asked) => {
      queries.push(query)
      const from = Number(query['cursor'] ?? 2000)
      return page([event(from - 1, '12:00:00', 'task.failed', 'error'), event(from - 2, '11:00:00', 'store.changed', 'error')], String(from - 2))
    }
    using it = openScriptedFleet({ 'edge-a': { 'GET /events': pages } })
    expect(ids(await it.run('event list severity=error limit=1 type=store'))).toEqual(['edge-a 1998'])
    expect(queries).toEqual([
      { limit: '200', severity: 'error' },
      { limit: '200', severity: 'error', cursor: '1998' },
    ])
    queries.length = 0
    expect(ids(await it.run('event list since=2025-12-31T11:30:00Z'))).toEqual(['edge-a 1999'])
    expect(queries).toEqual([{ limit: '200' }])
    queries.length = 0
    const none = await it.run('event list type=none')
    expect([none.text, none.columns, none.notes, queries.length]).toEqual(['No events.', [], ['Only the newest 1000 events of edge-a were read.'], 5])
  })

  test('events without a usable id are left out, and a store that refuses is named', async () => {
    using it = openScriptedFleet({
      'edge-a': { 'GET /events': page([{ ...event(2, '12:00:00', 'store.changed'), id: 'x' }, event(1, '11:00:00', 'store.changed')]) },
      'edge-b': { 'GET /events': refuse('forbidden', 'This token may not read events.') },
    })
    const view = await it.run('event list')
    expect(ids(view)).toEqual(['edge-a 1'])
    expect(view.notes[0]).toStartWith('edge-b refused, so its events are not in this answer: This token may not read events.')
    expect(view.json).toMatchObject({ missing: [{ store: 'edge-b', state: 'error', detail: 'This token may not read events.' }], skipped: [] })
  })

  test('of many stores that do not answer, ten are named and the others are counted', async () => {
    const refusing = { 'GET /events': refuse('forbidden', 'No.') }
    const names = Array.from({ length: 12 }, (_, i) => `edge-${String(i).padStart(2, '0')}`)
    using it = openScriptedFleet(Object.fromEntries(names.map((name) => [name, refusing])))
    const view = await it.run('event list')
    expect([view.notes.length, view.notes[10]]).toEqual([11, '2 more stores do not answer; store health names them.'])
    expect((view.json as { missing: unknown[] }).missing.length).toBe(12)
  })

  test('people below operator read neither subject nor message of an event about an image', async () => {
    using it = open()
    for (const role of ['viewer', 'uploader'] as const) {
      const view = await it.run('event list type=image store=edge-b', { role })
      expect(view.rows[0]?.cells).toMatchObject({ type: 'image.available', message: 'An operator sees what it is about.', subject: '–' })
      expect(JSON.stringify(view)).not.toContain('Event 4')
    }
    expect((await it.run('event list type=image store=edge-b', { role: 'operator' })).rows[0]?.cells).toMatchObject({
      ...{ message: 'Event 4.', subject: 'subject-4' },
    })
  })
})

describe('while the service runs', () => {
  const clock = createManualClock()
  const stack = new AsyncDisposableStack()
  let agents: readonly SimulatedAgent[]
  let observed: ObservedFleet
  /** Another process beside the service: it counts the requests that it sends. */
  let beside: OpenBot
  let sent = 0

  beforeAll(async () => {
    const folder = stack.use(await createTemporaryFolder())
    agents = stack.use(startSimulatedFleet(2)).agents
    observed = stack.use(observeFleet({ home: folder.path, clock, agents }))
    const counted = (url: string, init: RequestInit): Promise<Response> => {
      sent++
      return fetch(url, init)
    }
    beside = stack.use(openBot(folder.path, { clock, fetch: counted, contactTimeoutMs: 2000 }))
    await tick('both stores are followed', () => agents.every(({ name }) => observed.bot.fleet.kept.events.last(name)))
  })

  afterAll(() => stack.disposeAsync())

  async function tick(what: string, condition: () => boolean): Promise<void> {
    await until(what, () => {
      for (const agent of agents) agent.sendState()
      clock.advance(1000)
      return condition()
    })
  }
  const ask = (line: string, role: Role = 'admin'): Promise<View> => runLine(beside.context({ name: 'ann', role }, 'console'), line)
  const agentAt = (i: number): SimulatedAgent => {
    const found = agents[i]
    if (!found) throw new Error(`there is no agent ${i}`)
    return found
  }
  const keptOf = (i: number): number | undefined => observed.bot.fleet.kept.events.list({ stores: [agentAt(i).name], limit: 1 })[0]?.id

  test('the answer comes from the database, with its age, filters and pages', async () => {
    for (const type of ['image.deleted', 'store.changed', 'image.damaged']) agentAt(0).emit(type)
    agentAt(1).emit('image.available')
    await tick('they are kept', () => keptOf(0) === 3 && keptOf(1) === 1)
    const [a, b] = agents.map(({ name }) => name)
    const view = await ask('event list')
    expect(ids(view)).toEqual([`${a} 3`, `${a} 2`, `${a} 1`, `${b} 1`])
    expect([view.notes, clock.nowMs() - view.asOfMs < 40_000]).toEqual([[], true])
    expect(ids(await ask('event list type=image'))).toEqual([`${a} 3`, `${a} 1`, `${b} 1`])
    expect(ids(await ask(`event list store=${b}`))).toEqual([`${b} 1`])
    expect(ids(await ask('event list severity=warning'))).toEqual([])
    expect(ids(await ask('event list since=2026-01-01T00:00:02Z'))).toEqual([`${a} 3`, `${a} 2`])
    expect(ids(await ask('event list before=2026-01-01T00:00:02Z'))).toEqual([`${a} 1`, `${b} 1`])
    const first = await ask('event list limit=3')
    expect([ids(first), nextOf(first)]).toEqual([[`${a} 3`, `${a} 2`, `${a} 1`], `1767225601000/${a}/1`])
    const second = await ask(first.actions[0]?.command ?? '')
    expect([ids(second), nextOf(second)]).toEqual([[`${b} 1`], null])
    expect((await ask('event list type=image', 'viewer')).rows.map(({ cells }) => cells['subject'])).toEqual(['–', '–', '–'])
    expect(sent).toBe(0)
  })

  test('--fresh asks the agents', async () => {
    for (const agent of agents)
      agent.answer = (_request, path) => (path === 'v1/events' ? Response.json(page([event(1, '12:00:00', `fresh.${agent.name}`)])) : undefined)
    const view = await ask('event list --fresh')
    expect(view.rows.map(({ cells }) => cells['type'])).toEqual(agents.map(({ name }) => `fresh.${name}`))
    expect(sent).toBe(2)
    for (const agent of agents) agent.answer = undefined
    sent = 0
  })

  test('an answer that reaches the oldest kept event says where older ones are', async () => {
    for (let i = 0; i < 110; i++) agentAt(0).emit()
    await tick('they are kept', () => keptOf(0) === 113)
    const view = await ask('event list limit=1000')
    expect(ids(view).length).toBe(101)
    expect(view.notes).toEqual(['The service keeps the newest 100 events of each store; --fresh asks the agents for more.'])
    // Event 14 is the oldest that is kept.
    expect((await ask('event list limit=1000 since=2026-01-01T00:00:15Z')).notes).toEqual([])
    expect((await ask('event list limit=1000 since=2026-01-01T00:00:14Z')).notes.length).toBe(1)
    expect((await ask(`event list limit=1000 store=${agentAt(1).name}`)).notes).toEqual([])
    expect(sent).toBe(0)
  })

  test('a silent store is named, its kept events are shown, and nobody waits for it', async () => {
    agentAt(1).hang()
    await tick('the silence is known', () => Boolean(observed.bot.fleet.registry.find(agentAt(1).name)?.stoppedSinceMs))
    const view = await ask(`event list store=${agentAt(1).name}`)
    expect(ids(view)).toEqual([`${agentAt(1).name} 1`])
    expect(view.notes.length).toBe(1)
    expect(view.notes[0]).toMatch(new RegExp(`^${agentAt(1).name} has been Stopped since .*: its newer events are not in this answer\\.$`))
    expect(view.json).toMatchObject({ missing: [{ store: agentAt(1).name, state: 'stopped' }] })
    expect(sent).toBe(0)
  })

  test('skipped events are told while their gap is among the kept events', async () => {
    const { name } = agentAt(0)
    const { events } = observed.bot.fleet.kept
    events.keep([{ store: name, position: 700, events: [], hasSkipped: true, isReset: false }], Date.UTC(2026, 0, 1, 6))
    const view = await ask(`event list store=${name} limit=200`)
    expect(view.notes).toEqual([
      `Events of ${name} were skipped at 2026-01-01 06:00:00 UTC, because the interruption was too long or its event log changed.`,
      'The service keeps the newest 100 events of each store; --fresh asks the agents for more.',
    ])
    expect(view.json).toMatchObject({ skipped: [{ store: name, at: '2026-01-01T06:00:00.000Z' }] })
    expect((await ask(`event list store=${name} limit=200 since=2026-01-01T06:00:01Z`)).json).toMatchObject({ skipped: [] })
  })
})
