// Tasks as answers: fields, results, next steps and tones, as literals.

import { describe, expect, test } from 'bun:test'
import { tasksView } from '../../../../bot/commands/task/task-view.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import { makeProblem } from '../../../../protocol/problems.ts'
import { taskSchema } from '../../../../protocol/task.ts'
import type { Task } from '../../../../protocol/task.ts'

const NOW_MS = Date.UTC(2026, 0, 1, 1)

function followed(members: Partial<Task> = {}, store = 'edge-a'): FollowedTask {
  const task = taskSchema.parse({
    id: 'tsk_1',
    kind: 'gc',
    state: 'running',
    progress: { done: 25, total: 100, unit: 'slices', rate: 0, etaSeconds: null },
    subject: 'edge-a',
    createdBy: 'admin',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    ...members,
  })
  return { store, task }
}

const ended = (state: Task['state'], members: Partial<Task> = {}): FollowedTask => followed({ state, endedAt: '2026-01-01T00:30:00.000Z', ...members })

/** Value of each field by its label. */
function fieldsOf(task: FollowedTask): Record<string, string> {
  return Object.fromEntries(tasksView('x', [task], NOW_MS).fields.map(({ label, value }) => [label, value]))
}

describe('one task', () => {
  test('that runs has no end, no result and no reason', () => {
    const fields = fieldsOf(followed())
    expect(Object.keys(fields)).toEqual(['Task', 'State', 'Work', 'Progress', 'Started'])
    expect(fields).toMatchObject({ Task: 'tsk_1', State: 'running', Work: 'gc of edge-a' })
    expect(fields['Started']).toBe('2026-01-01 00:00:00 UTC by admin')
    expect(fieldsOf(followed({ kind: 'sync', subject: 'img_1' }))['Work']).toBe('sync of img_1 in edge-a')
  })

  test('that has ended says when, and its result in words', () => {
    const result = {
      bytesMoved: 1_500_000,
      packs: 3,
      isWhole: true,
      note: 'fine',
      nothing: null,
      none: [],
      damaged: [{ id: 'img_1', freedBytes: 2000 }, 'img_2'],
      state: { count: 1, more: { deep: 2 } },
    }
    const fields = fieldsOf(ended('succeeded', { result }))
    expect(fields['Ended']).toBe('2026-01-01 00:30:00 UTC')
    expect(fields).toMatchObject({
      'Bytes moved': '1.5 MB',
      Packs: '3',
      'Is whole': 'true',
      Note: 'fine',
      Nothing: '–',
      None: 'none',
      Damaged: 'id img_1, freedBytes 2.0 kB; img_2',
    })
  })

  test('that failed says why and what is next', () => {
    const fields = fieldsOf(ended('failed', { error: makeProblem('peer-refused', 'edge-b refused.') }))
    expect(fields['Reason']).toBe('edge-b refused.')
    expect(fields['Next']).toBe('Check the token and its role at the other store.')
    const full = fieldsOf(ended('failed', { error: makeProblem('insufficient-storage', 'The disk is full.') }))
    expect(full['Next']).toContain('edge-a')
  })
})

describe('next steps, tone and outcome', () => {
  test.each([
    ['queued', 'gc', ['task cancel tsk_1'], 'plain', 'done'],
    ['running', 'sync', ['task pause tsk_1', 'task cancel tsk_1'], 'plain', 'done'],
    ['succeeded', 'gc', [], 'good', 'done'],
    ['failed', 'gc', ['task retry tsk_1'], 'bad', 'failed'],
    ['failed', 'sync', ['task retry tsk_1'], 'bad', 'failed'],
    ['cancelled', 'gc', ['task retry tsk_1'], 'warning', 'failed'],
  ] as const)('%s %s', (state, kind, commands, tone, outcome) => {
    const view = tasksView('x', [followed({ state, kind })], NOW_MS)
    expect(view.actions.map(({ command }) => command)).toEqual([...commands])
    expect(view.tone).toBe(tone)
    expect(view.outcome).toBe(outcome)
  })

  test('several tasks have the tone of the worst one', () => {
    const tone = (...states: Task['state'][]) =>
      tasksView(
        'x',
        states.map((state) => followed({ state })),
        NOW_MS,
      ).tone
    expect(tone('succeeded', 'succeeded')).toBe('good')
    expect(tone('succeeded', 'running')).toBe('plain')
    expect(tone('running', 'cancelled')).toBe('warning')
    expect(tone('cancelled', 'failed', 'succeeded')).toBe('bad')
  })
})

test('several tasks are named by their stores', () => {
  const view = tasksView('Cleanup', [followed(), followed({ id: 'tsk_2', state: 'succeeded' }, 'edge-b')], NOW_MS)
  expect(view.text).toBe('2 tasks: edge-a running, edge-b succeeded')
  expect(view.fields.map(({ label }) => label).filter((label) => label.endsWith('Task'))).toEqual(['edge-a: Task', 'edge-b: Task'])
  expect(view.json).toMatchObject({
    items: [
      { store: 'edge-a', id: 'tsk_1' },
      { store: 'edge-b', id: 'tsk_2' },
    ],
    asOf: '2026-01-01T01:00:00.000Z',
  })
})
