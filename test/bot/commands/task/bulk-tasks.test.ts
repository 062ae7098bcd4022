// Bulk runs among tasks: how many a list shows, and when a retry asks for the name again.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page } from '../scripted-fleet.ts'
import type { ScriptedFleet } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Records a deletion of these images that was cancelled before its first, and returns its number. */
function cancelledRun({ bot, clock }: ScriptedFleet, names: readonly string[]): number {
  const draft = { verb: 'delete', title: 'Delete images', params: {}, origin: '', surface: 'console', actor: 'ann', actorId: '', channel: '' } as const
  const items = names.map((name) => ({ store: 'edge-a', image: `img_${name}`, name, length: 10, params: {} }))
  const begun = bot.bulkRuns.begin(draft, items, 'me', clock.nowMs())
  if (begun.kind !== 'begun') throw new Error(begun.kind)
  bot.bulkRuns.cancel(begun.run.id, 'ann', clock.nowMs())
  bot.bulkRuns.finish({ id: begun.run.id, owner: 'me' }, clock.nowMs())
  return begun.run.id
}

test('task list shows 20 of them', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([]) } })
  for (let i = 0; i < 21; i++) cancelledRun(it, ['a'])
  expect((await it.run('task list')).rows).toHaveLength(20)
})

test('a retry of what destroys asks for the name, also for one image', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([]) } })
  const id = cancelledRun(it, ['a'])
  expect((await it.run(`task retry B${id}`)).confirm?.name).toBe('1 image')
})

test('task show lists each image of a run with its state, those that failed first, and the tasks in progress', async () => {
  const task = {
    id: 'tsk_00000000000000000000000001',
    kind: 'sync',
    state: 'running',
    subject: 'b',
    createdBy: 'ann',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
  }
  const progress = { done: 30, total: 100, unit: 'bytes', rate: 0, etaSeconds: null }
  using it = openScriptedFleet({ 'edge-a': { [`GET /tasks/${task.id}`]: { ...task, progress } } })
  const { bulkRuns } = it.bot
  const draft = { verb: 'sync', title: 'Copy 4 images', params: {}, origin: '', surface: 'console', actor: 'ann', actorId: '', channel: '' } as const
  const items = ['a', 'b', 'c', 'd'].map((name) => ({ store: 'edge-a', image: `img_${name}`, name, length: 10, params: {} }))
  bulkRuns.begin(draft, items, 'me', it.clock.nowMs())
  const holder = { id: 1, owner: 'me' }
  for (let n = 0; n < 3; n++) bulkRuns.next(holder, it.clock.nowMs())
  bulkRuns.settle(holder, 0, { state: 'done', detail: '', next: '' }, it.clock.nowMs())
  bulkRuns.ordered(holder, 1, task.id)
  bulkRuns.settle(holder, 2, { state: 'failed', detail: 'The disk is full.', next: 'Free space.' }, it.clock.nowMs())

  const { title, text, rows, fields, bars, watch } = await it.run('task show B1')
  expect([title, text, watch]).toEqual(['Running: Copy 4 images', '1 of 4 images done, 1 failed.', 'task show B1'])
  expect(rows.map(({ cells, tone }) => [...Object.values(cells), tone])).toEqual([
    ['c', 'edge-a', 'failed', 'The disk is full.', 'Free space.', 'bad'],
    ['b', 'edge-a', 'in progress', '', '', 'plain'],
    ['d', 'edge-a', 'waiting', '', '', 'plain'],
    ['a', 'edge-a', 'done', '', '', 'good'],
  ])
  expect(fields.at(-1)).toEqual({ label: 'b in edge-a', value: 'running, 30 B of 100 B (30 %)' })
  expect(bars?.map(({ store, task: { id } }) => `${store} ${id}`)).toEqual([`edge-a ${task.id}`])

  bulkRuns.cancel(1, 'ann', it.clock.nowMs())
  bulkRuns.settle(holder, 1, { state: 'done', detail: '', next: '' }, it.clock.nowMs())
  bulkRuns.finish(holder, it.clock.nowMs())
  const ended = await it.run('task show B1')
  expect([ended.title, ended.watch, ended.bars]).toEqual(['Cancelled: Copy 4 images', undefined, []])
  expect(ended.rows.map(({ cells }) => cells['state'])).toEqual(['failed', 'not begun', 'done', 'done'])
})
