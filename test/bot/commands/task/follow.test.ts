// How tasks are followed until they have ended: how often an agent is asked, and what is told meanwhile.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { followTasks, tasksView } from '../../../../bot/commands/task/task-view.ts'
import { taskSchema } from '../../../../protocol/task.ts'
import type { TaskState } from '../../../../protocol/task.ts'
import { openScriptedFleet, refuse } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const taskOf = (id: string, state: TaskState) =>
  taskSchema.parse({
    ...{ id, kind: 'gc', state, subject: 'edge-a', createdBy: 'admin', createdAt: '2026-01-01T00:00:00.000Z' },
    ...{ progress: { done: 1, total: 4, unit: 'slices', rate: 0, etaSeconds: null }, endedAt: state === 'running' ? null : '2026-01-01T00:00:01.000Z' },
  })

/** Follows a task that ends after so many looks, and one that has ended; returns the waits in ms, what was asked, and the states that were told. */
async function follow(looks: number, last: unknown = taskOf('tsk_1', 'succeeded')) {
  let count = 0
  using it = openScriptedFleet({ 'edge-a': { 'GET /tasks/tsk_1': () => (++count < looks ? taskOf('tsk_1', 'running') : last) } })
  const waits: number[] = []
  const clock = { nowMs: () => it.clock.nowMs(), sleep: async (ms: number) => void waits.push(ms) }
  const first = tasksView(
    'Work',
    [
      { store: 'edge-a', task: taskOf('tsk_1', 'running') },
      { store: 'edge-a', task: taskOf('tsk_2', 'failed') },
    ],
    0,
    ['A note.'],
  )
  const states: string[] = []
  const notes: (readonly string[])[] = []
  for await (const view of followTasks({ fleet: it.bot.fleet, clock }, first)) {
    states.push(view.progress.map(({ task }) => task.state).join(' '))
    notes.push(view.notes)
  }
  return { waits, states, notes, asked: it.asked.filter((request) => request.includes('/tasks/')) }
}

test('an agent is asked sooner at first, then once a second, and not about a task that has ended', async () => {
  const { waits, states, asked } = await follow(6)
  expect(waits).toEqual([100, 200, 400, 800, 1000, 1000])
  expect(states).toEqual([...Array.from({ length: 5 }, () => 'running failed'), 'succeeded failed'])
  expect(new Set(asked)).toEqual(new Set(['edge-a GET /tasks/tsk_1']))
})

test('a task of which its agent knows nothing has failed, and a note says so', async () => {
  const { states, notes } = await follow(1, refuse('not-found', 'There is no task tsk_1.'))
  expect(states).toEqual(['failed failed'])
  expect(notes[0]).toEqual(['A note.', 'The state of the task in edge-a is unknown: There is no task tsk_1.'])
})
