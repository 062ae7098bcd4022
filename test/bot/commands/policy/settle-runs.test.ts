// How the copies of a run ended, by the tasks that made them.

import { describe, expect, test } from 'bun:test'
import { copyEnd } from '../../../../bot/commands/policy/settle-runs.ts'
import { makeProblem } from '../../../../protocol/problems.ts'
import type { Task } from '../../../../protocol/task.ts'

const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
const error = makeProblem('insufficient-storage', 'The store is full.', { action: 'Make room.' })

function task(state: Task['state'], more: Partial<Task> = {}): Pick<Task, 'id' | 'state' | 'error' | 'result'> {
  return { id: 'tsk_1', state, ...more }
}

describe('copyEnd', () => {
  test.each(['queued', 'running'] as const)('a task that is %s has no end', (state) => {
    expect(copyEnd(task(state), 'img_a')).toBeUndefined()
  })

  test('every image of a task that succeeded was copied', () => {
    expect(copyEnd(task('succeeded'), 'img_a')).toEqual({ kind: 'copied' })
  })

  test('in a task that failed, each image has its own end and reason', () => {
    const own = makeProblem('conflict', 'Image b has other bytes there.', { action: 'Delete it there.' })
    const images = [
      { id: 'img_a', name: 'a', outcome: 'copied' },
      { id: 'img_b', name: 'b', outcome: 'failed', error: own },
      { id: 'img_c', name: 'c', outcome: 'queued' },
      { id: 'img_d', name: 'd', outcome: 'same-as', sameAs: 'img_x' },
      { id: 'img_e', name: 'e', outcome: 'already-there' },
    ]
    const failed = task('failed', { error, result: { images, ...counts } })
    for (const id of ['img_a', 'img_d', 'img_e']) expect(copyEnd(failed, id)).toEqual({ kind: 'copied' })
    expect(copyEnd(failed, 'img_b')).toEqual({ kind: 'failed', reason: 'Image b has other bytes there.', action: 'Delete it there.' })
    for (const id of ['img_c', 'img_z']) expect(copyEnd(failed, id)).toEqual({ kind: 'failed', reason: 'The store is full.', action: 'Make room.' })
  })

  test('a task that failed or was cancelled without a result failed for every image', () => {
    expect(copyEnd(task('failed', { error }), 'img_a')).toEqual({ kind: 'failed', reason: 'The store is full.', action: 'Make room.' })
    expect(copyEnd(task('cancelled'), 'img_a')).toEqual({
      kind: 'failed',
      reason: 'The task tsk_1 was cancelled.',
      action: 'The next run copies the image.',
    })
  })
})
