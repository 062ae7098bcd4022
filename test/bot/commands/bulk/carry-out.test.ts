// How a bulk run is begun and carried out: who does it, how many copies are in progress, what an interrupt leaves, and the bounds.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createAudit } from '../../../../bot/audit/audit.ts'
import { createBulkRuns } from '../../../../bot/bulk/bulk-runs.ts'
import type { BulkRun, DraftItem } from '../../../../bot/bulk/bulk-run.ts'
import { runAgain, runBulk } from '../../../../bot/commands/bulk/begin.ts'
import { carryOut } from '../../../../bot/commands/bulk/carry-out.ts'
import type { CarryOutDeps } from '../../../../bot/commands/bulk/carry-out.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { imageOf } from '../scripted-fleet.ts'
import { ADA, copies, items, openBulk, protect } from './bulk-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

describe('a run begins', () => {
  test('with at most 1,000 images', async () => {
    using it = openBulk()
    const inSlack = it.context({ surface: 'slack', actor: ADA })
    expect(runBulk(inSlack, protect(1001))).rejects.toThrow('These are 1001 images; one command takes at most 1000.')
    expect(it.runs.list(10)).toEqual([])
    expect((await runBulk(inSlack, protect(1000))).kind).toBe('begun')
  })

  const inSlack = { title: 'B1: Protect 2 images', isPrivate: true, actions: [{ command: 'task cancel B1' }], json: { run: 'B1' } }
  const onPage = { title: 'Running: Protect 2 images', isPrivate: false, actions: [{ command: 'task cancel B1' }], watch: 'task show B1' }
  test.each([
    ['Slack', { surface: 'slack', actor: ADA, channel: 'C1' }, inSlack, { surface: 'slack', actor: 'ada', actorId: 'U1', channel: 'C1', origin: '' }],
    ['the page, by a person of Slack', { surface: 'page', actor: ADA }, onPage, { surface: 'slack', actor: 'ada', actorId: 'U1', channel: 'U1', origin: '' }],
    ['the page, by the user of the console', { surface: 'page' }, onPage, { surface: 'console', actor: 'ann', actorId: '', channel: '', origin: '' }],
  ] as const)('for the service to carry out when it is ordered in %s', async (_where, members, view, left) => {
    using it = openBulk()
    expect(await runBulk(it.context(members), protect(2))).toMatchObject({ kind: 'begun', view })
    // No process has it: the service takes it up at once.
    expect(it.runs.left(left.surface, 'service', it.clock.nowMs())).toMatchObject([left])
    expect(it.runs.acquire({ id: 1, owner: 'service' }, it.clock.nowMs(), false)).toBe(true)
    expect(it.changed()).toEqual([])
  })

  test('with a direct message where no channel is known', async () => {
    using it = openBulk()
    await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(1))
    expect(it.runs.list(1)[0]?.channel).toBe('U1')
  })

  test('and ends in the process of the console, which nobody takes over meanwhile', async () => {
    const taken: boolean[] = []
    using it = openBulk({
      [`PATCH /images/${imageOf(0).id}`]: () => {
        taken.push(it.runs.acquire({ id: 1, owner: 'service' }, it.clock.nowMs(), false))
        return imageOf(0)
      },
    })
    const outcome = await runBulk(it.context({ surface: 'console', channel: 'C1' }), protect(1))
    expect(outcome).toMatchObject({
      kind: 'ended',
      run: { state: 'done', surface: 'console', channel: '', actorId: '' },
      results: [{ acted: { kind: 'done' } }],
    })
    expect(taken).toEqual([false])
  })

  test('in the name of the surface that ordered it', async () => {
    using it = openBulk()
    expect(await runBulk(it.context({ surface: 'service', actor: ADA }), protect(1))).toMatchObject({ kind: 'ended', run: { surface: 'service' } })
  })

  test('once for one approval, and the answer has nothing to cancel when it has ended', async () => {
    using it = openBulk()
    const approved = it.context({ surface: 'slack', actor: ADA, approval: { id: 7, plan: '' } })
    await runBulk(approved, protect(1))
    expect(it.runs.ofOrigin('approval 7')?.id).toBe(1)
    it.runs.acquire({ id: 1, owner: 'me' }, 0, true)
    await carryOut({ runs: it.runs, context: () => Promise.resolve(it.context()), owner: 'me' }, it.runs.list(1)[0] as BulkRun)
    expect(await runBulk(approved, protect(1))).toMatchObject({ view: { title: 'B1: Protect 1 images', actions: [] } })
  })

  test('five times for one person and fifty times for all, and the refusal says which', async () => {
    using it = openBulk()
    const begin = (n: number) => runBulk(it.context({ surface: 'slack', actor: { ...ADA, id: `U${n}` } }), protect(1))
    for (let n = 0; n < 5; n++) await begin(0)
    expect(begin(0)).rejects.toThrow('At most 5 bulk runs of one person are in progress at the same time. Nothing was changed.')
    for (let n = 5; n < 50; n++) await begin(n)
    expect(begin(50)).rejects.toThrow('At most 50 bulk runs are in progress at the same time. Nothing was changed.')
  })
})

describe('a run that is retried', () => {
  test('by the console is carried out there, and by the service if Slack began it', async () => {
    using it = openBulk()
    for (const surface of ['console', 'slack'] as const) {
      const outcome = await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(1))
      if (outcome.kind !== 'begun') throw new Error(outcome.kind)
      const [run] = it.runs.list(1)
      it.runs.cancel(run?.id ?? 0, 'bob', 0)
      it.runs.acquire({ id: run?.id ?? 0, owner: 'me' }, 0, true)
      await carryOut({ runs: it.runs, context: () => Promise.resolve(it.context()), owner: 'me' }, run as BulkRun)
      expect(await runAgain(it.context({ surface, actor: ADA }), run?.id ?? 0)).toMatchObject({ isPrivate: true })
      expect(it.runs.left('slack', 'service', it.clock.nowMs()).map(({ id }) => id)).toContain(run?.id ?? 0)
    }
    const stopped = new AbortController()
    stopped.abort()
    await runBulk(it.context({ signal: stopped.signal }), protect(2))
    expect([it.changed(), await runAgain(it.context(), 3)]).toMatchObject([[], { outcome: 'done', title: 'Done: Protect 2 images' }])
    expect(it.changed()).toHaveLength(2)
    expect(await runAgain(it.context(), 3)).toBeUndefined()
  })

  test('in Slack is left to the service, also if the console began it', async () => {
    using it = openBulk()
    const stopped = new AbortController()
    stopped.abort()
    await runBulk(it.context({ signal: stopped.signal }), protect(1))
    expect(await runAgain(it.context({ surface: 'slack', actor: ADA }), 1)).toMatchObject({ isPrivate: true, title: 'B1: Protect 1 images' })
    expect([it.changed(), it.runs.find(1)?.state]).toEqual([[], 'running'])
    expect(it.runs.acquire({ id: 1, owner: 'service' }, it.clock.nowMs(), false)).toBe(true)
  })

  test('and fails once more is a failure', async () => {
    using it = openBulk({ '*': undefined })
    await runBulk(it.context(), protect(1))
    expect(await runAgain(it.context(), 1)).toMatchObject({ outcome: 'failed', title: 'Not all done: Protect 1 images' })
  })
})

describe('in the console', () => {
  test('the title says how far the run is', async () => {
    using it = openBulk()
    const titles: string[] = []
    await runBulk(it.context({ onInterim: ({ title }) => void titles.push(title) }), protect(2))
    expect(titles).toEqual(['Protect 2 images: 1 of 2 images', 'Protect 2 images: 2 of 2 images'])
  })

  test('an interrupt cancels the run and leaves its copies to the stores', async () => {
    using it = openBulk()
    const interrupt = new AbortController()
    const outcome = runBulk(it.context({ signal: interrupt.signal }), copies(6))
    await it.clock.untilSleeping(4)
    interrupt.abort()
    expect(await outcome).toMatchObject({
      run: { state: 'cancelled', cancelledBy: 'ann', counts: { failed: 4, skipped: 2 } },
      results: [0, 1, 2, 3].map((n) => ({ item: { n }, acted: { kind: 'left' } })),
    })
    expect(it.runs.items(1)[0]).toMatchObject({ detail: 'No longer followed; its task goes on in the store.', next: 'See task list.', task: 'tsk_0' })
  })

  test('an interrupt after the end changes nothing', async () => {
    using it = openBulk()
    const interrupt = new AbortController()
    await runBulk(it.context({ signal: interrupt.signal }), protect(1))
    const listed = it.runs.list(1)
    interrupt.abort()
    expect(it.runs.list(1)).toEqual(listed)
  })
})

/** Carries out a run whose cards are counted. */
function carry(
  it: ReturnType<typeof openBulk>,
  order: Pick<BulkRun, 'verb' | 'title'> & { readonly items: readonly DraftItem[] },
  deps: Partial<CarryOutDeps> = {},
) {
  const database = openMemoryDatabase()
  const cards: number[] = []
  const runs = createBulkRuns(database, { put: () => void cards.push(it.clock.nowMs()) }, createAudit(database))
  const draft = { verb: order.verb, title: order.title, params: {}, origin: '', surface: 'slack', actor: 'ada', actorId: 'U1', channel: 'C1' } as const
  const begun = runs.begin(draft, order.items, 'me', it.clock.nowMs())
  if (begun.kind !== 'begun') throw new Error(begun.kind)
  return { runs, cards, done: carryOut({ runs, context: () => Promise.resolve(it.context()), owner: 'me', ...deps }, begun.run) }
}

describe('carrying out', () => {
  test('makes four copies at once and answers in the order of the items', async () => {
    using it = openBulk()
    const { done } = carry(it, copies(5))
    await it.clock.untilSleeping(4)
    expect(it.ordered()).toHaveLength(4)
    it.ended.add('tsk_3')
    it.clock.advance(60_000)
    await it.clock.untilSleeping(4)
    expect(it.ordered()).toHaveLength(5)
    for (let n = 0; n < 5; n++) it.ended.add(`tsk_${n}`)
    it.clock.advance(60_000)
    const { run, results } = await done
    expect([run.state, results.map(({ item }) => item.n)]).toEqual(['done', [0, 1, 2, 3, 4]])
  })

  test('changes one image after the other', async () => {
    using it = openBulk()
    await carry(it, protect(3)).done
    const [first, second, third] = items(3).map(({ image }) => [`edge-a GET /images/${image}`, `edge-a PATCH /images/${image}`])
    expect(it.asked).toEqual([first, second, third].flatMap((requests) => requests ?? []))
  })

  test('shows a card at the beginning and at the end, and meanwhile every three seconds', async () => {
    using it = openBulk()
    let steps = 0
    const context = () => {
      if (steps++ > 0) it.clock.advance(1500)
      return Promise.resolve(it.context())
    }
    const startMs = it.clock.nowMs()
    const { cards, done } = carry(it, protect(4), { context })
    await done
    expect(cards.map((ms) => ms - startMs)).toEqual([0, 3000, 6000, 7500])
  })

  test('tells the tasks that are in progress, and no longer when they have ended', async () => {
    using it = openBulk()
    const told: string[][] = []
    const { runs, done } = carry(it, copies(2), { onProgress: (tasks) => void told.push(tasks.map(({ task }) => `${task.id} ${task.state}`)) })
    await it.clock.untilSleeping(2)
    expect(runs.items(1).map(({ task }) => task)).toEqual(['tsk_0', 'tsk_1'])
    it.ended.add('tsk_0')
    it.ended.add('tsk_1')
    it.clock.advance(60_000)
    await done
    expect([told[0]?.length, told.flat().includes('tsk_0 succeeded')]).toEqual([2, true])
    expect(told.at(-1)).toEqual([])
  })

  test('keeps the run while a task is in progress, however long that takes', async () => {
    using it = openBulk()
    const { runs, done } = carry(it, copies(1))
    for (let look = 0; look < 5; look++) {
      await it.clock.untilSleeping(1)
      it.clock.advance(60_000)
    }
    await it.clock.untilSleeping(1)
    expect(runs.left('slack', 'me', it.clock.nowMs())).toEqual([])
    it.ended.add('tsk_0')
    it.clock.advance(60_000)
    expect((await done).run.state).toBe('done')
  })

  test('goes on after a defect in one item', async () => {
    using it = openBulk()
    let turn = 0
    const broken = (): never => {
      throw new Error('it is a defect')
    }
    const context = () => Promise.resolve(it.context({ actor: { name: 'ann', role: 'admin' as const, ...(turn++ === 1 && { roleIn: broken }) } }))
    const { runs, done } = carry(it, protect(2), { context })
    expect((await done).run.counts).toMatchObject({ done: 1, failed: 1 })
    expect(runs.items(1)[0]?.detail).toBe('The bot failed: it is a defect')
  })

  test('leaves a run as it is when the process stops, for another process to go on with', async () => {
    using it = openBulk()
    const stop = new AbortController()
    const { runs, done } = carry(it, copies(5), { stop: stop.signal })
    await it.clock.untilSleeping(4)
    stop.abort()
    expect(await done).toMatchObject({ run: { state: 'running' }, results: [] })
    expect(runs.items(1).map(({ state }) => state)).toEqual(['running', 'running', 'running', 'running', 'waiting'])
  })
})
