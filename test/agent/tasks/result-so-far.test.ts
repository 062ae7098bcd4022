// What a task has done so far: shown while it runs, and kept when it fails or is cancelled.

import { expect, test } from 'bun:test'
import { problem } from '../../../protocol/problems.ts'
import { taskRoutes } from '../../../agent/http/routes/tasks.ts'
import { createShownTasks } from '../../../agent/tasks/shown-tasks.ts'
import { openTaskQueue, order } from '../../support/agents/task-queue.ts'
import { until } from '../../support/until.ts'

test('is shown while the task runs, and kept when it fails or is cancelled', async () => {
  await using queue = await openTaskQueue()
  const { tasks, runs } = queue
  tasks.resume()
  const [a, b] = await Promise.all(['a', 'b'].map((subject) => tasks.start(order(subject))))
  await until('both run', () => runs.length === 2)
  let moved = 1
  for (const { context } of runs) context.resultSoFar(() => ({ moved }))
  expect(tasks.get(a!.id)).toMatchObject({ state: 'running', result: { moved: 1 } })
  moved = 2
  expect(tasks.list({ limit: 10 }).items.map(({ result }) => result)).toEqual([{ moved: 2 }, { moved: 2 }])
  runs[0]?.fail(problem('not-found', 'gone'))
  expect(await tasks.ended(a!.id)).toMatchObject({ state: 'failed', result: { moved: 2 }, error: { detail: 'gone' } })
  tasks.cancel(b!.id, 'ann')
  expect(await tasks.ended(b!.id)).toMatchObject({ state: 'cancelled', result: { moved: 2 } })
  // A run that begins again has done nothing yet.
  const c = await tasks.start(order('c'))
  await until('the third runs', () => runs.length === 3)
  runs[2]?.context.resultSoFar(() => ({ moved: 3 }))
  tasks.pause(c.id, 'ann')
  await until('it is queued', () => tasks.get(c.id)?.state === 'queued')
  expect(tasks.get(c.id)?.result).toBeUndefined()
})

test('of a sync is shown as children, each with its state', async () => {
  await using queue = await openTaskQueue()
  const { tasks, runs, clock } = queue
  tasks.resume()
  const { id } = await tasks.start(order('a'))
  await until('it runs', () => runs.length === 1)
  const error = { ...problem('conflict', 'Other content.').problem }
  const images = [
    { id: 'img_1', name: 'one', outcome: 'copied' },
    { id: 'img_2', name: 'two', outcome: 'same-as', sameAs: 'img_9' },
    { id: 'img_3', name: 'three', outcome: 'failed', error },
    { id: 'img_4', name: 'four', outcome: 'running', progress: { done: 1, total: 4 } },
    { id: 'img_5', name: 'five', outcome: 'queued' },
  ]
  runs[0]?.context.resultSoFar(() => ({ images }))
  const show = taskRoutes({ tasks: createShownTasks({ tasks, live: [] }), findImage: () => undefined, clock }).find(
    ({ path, method }) => path === '/v1/tasks/:id' && method === 'GET',
  )
  const children = async (): Promise<unknown> => {
    const context = { actor: { name: 'admin', role: 'admin' }, requestId: 'r', log: queue.log, inform: () => {} } as never
    if (!show) throw new Error('no route shows a task')
    const answer = await show.handle(new Request(`http://x/v1/tasks/${id}`), { id }, context)
    return ((await answer.json()) as { children: unknown }).children
  }
  const ended = [
    { subject: 'img_1', name: 'one', state: 'succeeded', outcome: 'copied' },
    { subject: 'img_2', name: 'two', state: 'succeeded', outcome: 'same-as' },
    { subject: 'img_3', name: 'three', state: 'failed', outcome: 'failed', error },
  ]
  const progress = { done: 1, total: 4, unit: 'bytes' }
  expect(await children()).toEqual([
    ...ended,
    { subject: 'img_4', name: 'four', state: 'running', outcome: 'running', progress },
    { subject: 'img_5', name: 'five', state: 'queued', outcome: 'queued' },
  ])
  tasks.cancel(id, 'ann')
  await tasks.ended(id)
  expect(await children()).toEqual([
    ...ended,
    { subject: 'img_4', name: 'four', state: 'cancelled', outcome: 'running', progress },
    { subject: 'img_5', name: 'five', state: 'cancelled', outcome: 'queued' },
  ])
})
