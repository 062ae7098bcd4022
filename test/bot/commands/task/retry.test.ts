// `task retry` against scripted agents: what is ordered again and from where, what an older agent no longer says, and who may run a bulk run again.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { BulkDraft } from '../../../../bot/bulk/bulk-run.ts'
import type { View } from '../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page } from '../scripted-fleet.ts'
import type { Script, ScriptedFleet } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const DISK = imageOf(1, { name: 'disk' })
const idOf = (word: string): string => `tsk_${word.padEnd(26, '0')}`
const taskOf = (word: string, members: object = {}) => ({
  ...{ id: idOf(word), kind: 'sync', state: 'failed', subject: DISK.id, createdBy: 'ann', createdAt: '2025-12-31T00:00:00.000Z' },
  ...{ endedAt: '2025-12-31T01:00:00.000Z', progress: { done: 0, total: null, unit: 'bytes', rate: 0, etaSeconds: null } },
  ...members,
})
const resultOf = (members: object = {}) => ({
  ...{ slicesMoved: 1, slicesPresent: 0, bytesMoved: 5, images: [{ id: DISK.id, name: 'disk', outcome: 'failed', bytesMoved: 5, bytesPresent: 0 }] },
  ...members,
})
const HAS_DISK: Script = {
  'GET /images': page([DISK]),
  [`GET /images/${DISK.id}`]: DISK,
  'POST /sync/grants': { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' },
}

/** edge-a and edge-b have the image; edge-x has the task, and starts another one. */
function open(task: ReturnType<typeof taskOf>): ScriptedFleet {
  const next = taskOf('next', { state: 'queued', endedAt: null })
  return openScriptedFleet({
    'edge-a': HAS_DISK,
    'edge-b': HAS_DISK,
    'edge-x': {
      ...{ 'GET /images': page([]), 'GET /tasks': page([task]), [`GET /tasks/${task.id}`]: task },
      ...{ 'POST /sync': next, [`POST /tasks/${task.id}/retry`]: { ...task, state: 'queued', endedAt: null } },
    },
  })
}

/** Requests that change something, with what was said. */
async function retry(fleet: ScriptedFleet, id: string) {
  const view = await fleet.run(`task retry ${id}`)
  const posted = fleet.sent.filter((one) => one.includes('POST /sync {') || one.includes('/retry'))
  return { posted, said: words(view) }
}

const words = ({ title, text, notes }: View): unknown[] => [title, text, ...notes]
const from = (name: string): object => ({ url: `http://${name}.example`, token: 'grant' })
const AGAIN = 'It is a new task with new grants. What was copied is not copied again.'
const NO_LIMITS = 'The agent does not say which limits the sync had: it has none now. Set them with rate=, hours= and priority= of image sync.'

describe('a sync that is retried', () => {
  test.each(['failed', 'cancelled'])('and has %s is ordered again, from the sources and with the limits that it had', async (state) => {
    const order = {
      images: [DISK.id],
      sources: [{ url: 'http://edge-b.example' }, { url: 'http://gone.example' }],
      limits: { priority: 'high' },
    }
    using fleet = open(taskOf('old', { state, order }))
    expect(await retry(fleet, idOf('old'))).toEqual({
      posted: [`edge-x POST /sync ${JSON.stringify({ source: from('edge-b'), limits: { priority: 'high' }, images: [DISK.id] })}`],
      said: [`Retry of ${idOf('old')}: sync of disk to edge-x`, '', 'http://gone.example is no store of this fleet and is not used again.', AGAIN],
    })
  })

  test('as a dry run is a dry run again', async () => {
    using fleet = open(taskOf('old', { order: { images: [DISK.id], sources: [{ url: 'http://edge-a.example' }], dryRun: true } }))
    expect(await retry(fleet, idOf('old'))).toEqual({
      posted: [`edge-x POST /sync ${JSON.stringify({ source: from('edge-a'), dryRun: true, images: [DISK.id] })}`],
      said: [`Retry of ${idOf('old')}: sync of disk to edge-x (dry run: nothing is copied)`, '', 'It is a new task with new grants.'],
    })
  })

  test('copies the images that a source has described, rather than names that may mean others by now', async () => {
    using fleet = open(taskOf('old', { order: { images: ['disk'], sources: [] }, result: resultOf() }))
    const { posted } = await retry(fleet, idOf('old'))
    expect(posted).toEqual([`edge-x POST /sync ${JSON.stringify({ source: from('edge-a'), images: [DISK.id] })}`])
  })

  test('of an older agent is ordered by its result, and its limits are said to be lost', async () => {
    const source = { url: 'http://edge-b.example', storeId: null, slicesMoved: 1, bytesMoved: 5, bytesPerSecond: 5, faults: 0, fault: null }
    using fleet = open(taskOf('old', { subject: '2 images', result: resultOf({ sources: [source] }) }))
    expect(await retry(fleet, idOf('old'))).toEqual({
      posted: [`edge-x POST /sync ${JSON.stringify({ source: from('edge-b'), images: [DISK.id] })}`],
      said: [`Retry of ${idOf('old')}: sync of disk to edge-x`, '', NO_LIMITS, AGAIN],
    })
    using dry = open(taskOf('old', { result: resultOf({ dryRun: true }) }))
    expect((await retry(dry, idOf('old'))).posted).toEqual([`edge-x POST /sync ${JSON.stringify({ source: from('edge-a'), dryRun: true, images: [DISK.id] })}`])
  })

  test('of an older agent without a result copies its subject, if that is one image', async () => {
    using fleet = open(taskOf('old'))
    expect((await retry(fleet, idOf('old'))).posted).toEqual([`edge-x POST /sync ${JSON.stringify({ source: from('edge-a'), images: [DISK.id] })}`])
    using several = open(taskOf('old', { subject: '2 images' }))
    const view = await several.run(`task retry ${idOf('old')}`)
    expect([view.outcome, view.text, view.fields[0]?.value]).toEqual([
      'failed',
      `The agent of edge-x no longer knows what the task ${idOf('old')} should copy.`,
      'Order it again: image sync I… to=edge-x',
    ])
  })

  test.each(['running', 'queued', 'succeeded'])('and is %s is left to its agent', async (state) => {
    using fleet = open(taskOf('old', { state, order: { images: [DISK.id], sources: [{ url: 'http://edge-a.example' }] } }))
    expect((await retry(fleet, idOf('old'))).posted).toEqual([`edge-x POST /tasks/${idOf('old')}/retry`])
  })
})

describe('a store in maintenance', () => {
  test.each([
    ['import', 'edge-x is in maintenance until'],
    ['scrub', ''],
  ])('and a task of the kind %s: %p', async (kind, text) => {
    using fleet = open(taskOf('old', { kind }))
    await fleet.run('store maintenance edge-x for=2h reason=disks')
    const { posted, said } = await retry(fleet, idOf('old'))
    expect(posted).toEqual(text === '' ? [`edge-x POST /tasks/${idOf('old')}/retry`] : [])
    expect(said[1]).toStartWith(text)
  })
})

describe('a task', () => {
  test('is named by a part of its id that no other id has, and is asked for by its whole id in every store', async () => {
    using fleet = openScriptedFleet({
      'edge-a': { 'GET /tasks': page([taskOf('aaaa1'), taskOf('aaaa2')]), [`GET /tasks/${idOf('aaaa1')}`]: taskOf('aaaa1') },
      'edge-b': { '*': () => Response.json({}, { status: 500 }) },
    })
    const say = async (line: string) => {
      fleet.sent.length = 0
      const { title, text } = await fleet.run(line)
      return [text === '' ? title : text, ...fleet.sent]
    }
    expect(await say(`task show ${idOf('aaaa1')}`)).toEqual([`Task ${idOf('aaaa1')}`, ...['a', 'b'].map((one) => `edge-${one} GET /tasks/${idOf('aaaa1')}`)])
    expect(await say('task show aaaa1')).toEqual([`Task ${idOf('aaaa1')}`, ...['a', 'b'].map((one) => `edge-${one} GET /tasks?limit=1000`)])
    expect((await say('task show aaaa'))[0]).toBe('2 tasks match "aaaa".')
    expect((await say('task show bbbb'))[0]).toBe(
      'No task "bbbb". edge-b has been Stopped since 2026-01-01 00:00:00 UTC (0 s): its tasks are not in this answer.',
    )
  })
})

describe('a bulk run', () => {
  const DRAFT: BulkDraft = {
    ...{ verb: 'delete', title: 'Delete images', params: {}, origin: '', surface: 'slack', actor: 'bob (U0BOB)', actorId: 'U0BOB', channel: 'C1' },
  }

  /** Stores with a run of bob of `count` images in each of these stores, cancelled before its first. */
  function openRun(draft: Partial<BulkDraft> = {}, stores: readonly string[] = ['edge-a'], count = 1, isCancelled = true): ScriptedFleet {
    const fleet = openScriptedFleet({ 'edge-a': {}, 'edge-b': {} })
    const { bulkRuns, clock } = fleet.bot
    const items = stores.flatMap((store) =>
      Array.from({ length: count }, (_unused, n) => ({ store, image: `img_${n}`, name: `disk-${n}`, length: 10, params: {} })),
    )
    bulkRuns.begin({ ...DRAFT, ...draft }, items, 'me', clock.nowMs())
    if (!isCancelled) return fleet
    bulkRuns.cancel(1, 'bob', clock.nowMs())
    const holder = { id: 1, owner: 'me' }
    bulkRuns.acquire(holder, clock.nowMs(), true)
    bulkRuns.finish(holder, clock.nowMs())
    return fleet
  }

  test('is shown to whoever began it, to operators, and to operators of all its stores', async () => {
    using fleet = openRun({}, ['edge-a'])
    const seen = async (options: Parameters<ScriptedFleet['run']>[1]) => [
      (await fleet.run('task show b1', options)).title,
      ((await fleet.run('task list', options)).json as { bulk: unknown[] }).bulk.length,
    ]
    const shown = ['Cancelled: Delete images', 1]
    const hidden = ['Not found', 0]
    expect(await seen({ role: 'operator' })).toEqual(shown)
    expect(await seen({ role: 'viewer', name: 'bob', surface: 'slack' })).toEqual(shown)
    expect(await seen({ role: 'viewer', name: 'eve', surface: 'slack' })).toEqual(hidden)
    expect(await seen({ role: 'viewer' })).toEqual(hidden)
    expect(await seen({ role: 'viewer', there: { store: 'edge-a', role: 'operator' } })).toEqual(shown)
    expect(await seen({ role: 'viewer', there: { store: 'edge-b', role: 'operator' } })).toEqual(hidden)
    using both = openRun({}, ['edge-a', 'edge-b'])
    expect((await both.run('task show B1', { role: 'viewer', there: { store: 'edge-a', role: 'operator' } })).title).toBe('Not found')
  })

  test('is not in a list of one store, state or kind', async () => {
    using fleet = openRun()
    const count = async (line: string) => ((await fleet.run(line)).json as { bulk: unknown[] }).bulk.length
    expect(await Promise.all(['task list', 'task list store=edge-a', 'task list state=failed', 'task list kind=sync'].map(count))).toEqual([1, 0, 0, 0])
    const { columns, rows, text } = await fleet.run('task list')
    expect([columns.length, rows, text]).toEqual([
      9,
      [
        {
          tone: 'warning',
          cells: {
            ...{ id: 'B1', store: 'several', kind: 'image delete', state: 'cancelled', subject: 'Delete images', progress: '0 of 1 image' },
            ...{ created: '2026-01-01 00:00:00 UTC', by: 'bob (U0BOB)', reason: '' },
          },
        },
      ],
      '1 task',
    ])
  })

  test('is cancelled and run again by operators of all its stores only', async () => {
    const there = { store: 'edge-a', role: 'viewer' } as const
    for (const verb of ['cancel', 'retry']) {
      using fleet = openRun({}, ['edge-a', 'edge-b'], 1, verb === 'retry')
      expect((await fleet.run(`task ${verb} B1`, { role: 'operator', there })).text).toBe('B1 acts in edge-a, where ann is no operator.')
      expect((await fleet.run(`task ${verb} B1`, { role: 'operator' })).title).toBe(verb === 'cancel' ? 'Stopping: Delete images' : 'Retry B1: Delete images')
      // A store that has left the fleet counts with the role that counts everywhere.
      fleet.bot.fleet.registry.remove('edge-a')
      expect((await fleet.run(`task ${verb} B1`, { role: 'operator', there })).text).not.toContain('is no operator')
    }
  })

  test('that runs is cancelled in private, once, and is not run again', async () => {
    using fleet = openRun({ verb: 'protect', title: 'Protect images' }, ['edge-a'], 1, false)
    expect((await fleet.run('task retry B1')).text).toBe('B1 has nothing to retry: Running.')
    const cancelled = await fleet.run('task cancel B1')
    expect([cancelled.outcome, cancelled.isPrivate, cancelled.title]).toEqual(['done', true, 'Stopping: Protect images'])
    const again = await fleet.run('task cancel B1')
    expect([again.outcome, again.text, again.fields[0]?.value]).toEqual(['failed', 'B1 is not running: Stopping.', 'See task show B1.'])
  })

  test.each(['delete', 'purge', 'migrate'] as const)('that destroys (%s) asks for the number of images, and names ten of them', async (verb) => {
    using fleet = openRun({ verb }, ['edge-a'], 11)
    const { confirm, title } = await fleet.run('task retry B1')
    const named = Array.from({ length: 10 }, (_unused, n) => `disk-${n} (img_${n}) in edge-a`).join('; ')
    expect([title, confirm?.name, confirm?.question]).toEqual([
      'Retry B1: Delete images',
      '11 images',
      `image ${verb} would run again for what failed or was not begun: ${named} and 1 more.`,
    ])
    using ten = openRun({ verb }, ['edge-a'], 10)
    expect((await ten.run('task retry B1')).confirm?.question).toEndWith('disk-9 (img_9) in edge-a.')
  })

  test('that destroys nothing runs again without a question', async () => {
    using fleet = openRun({ verb: 'protect', title: 'Protect images' })
    const view = await fleet.run('task retry B1')
    expect([view.confirm, view.title, view.isPrivate]).toEqual([undefined, 'B1: Protect images', true])
    expect(fleet.bot.bulkRuns.find(1)?.state).toBe('running')
  })
})

describe('a list of tasks', () => {
  test('has the newest of all stores first, and says which are cut', async () => {
    const at = (day: number) => ({ createdAt: `2025-12-0${day}T00:00:00.000Z`, kind: 'gc', state: 'succeeded' })
    using fleet = openScriptedFleet({
      'edge-a': { 'GET /tasks': page([taskOf('three', at(3)), taskOf('one', at(1))], 'more') },
      'edge-b': { 'GET /tasks': page([taskOf('two', at(2))]) },
    })
    const { rows, notes } = await fleet.run('task list state=succeeded kind=gc')
    expect(rows.map(({ cells }) => cells['id'])).toEqual([idOf('three'), idOf('two'), idOf('one')])
    expect(notes).toEqual(['Only 100 tasks of edge-a are shown.'])
    expect(fleet.sent).toEqual(['a', 'b'].map((one) => `edge-${one} GET /tasks?limit=100&state=succeeded&kind=gc`))
  })
})
