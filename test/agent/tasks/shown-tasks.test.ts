// Live work and stored tasks in one list.

import { describe, expect, test } from 'bun:test'
import { createShownTasks, LIVE_TASKS_MAX } from '../../../agent/tasks/shown-tasks.ts'
import type { LiveWork, TaskFilter } from '../../../agent/contract/work.ts'
import type { Task } from '../../../protocol/task.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'

const ACTOR = { name: 'root', role: 'admin', tokenId: 'tok_1' } as const

function task(number: number, changes: Partial<Task> = {}): Task {
  return {
    id: `tsk_${String(number).padStart(26, '0')}`,
    kind: 'upload',
    state: 'running',
    progress: { done: 0, total: 1, unit: 'bytes', rate: 0, etaSeconds: null },
    subject: 'x',
    createdBy: 'ann',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    ...changes,
  }
}

function liveOf(tasks: readonly Task[]): LiveWork {
  return {
    list: () => tasks.filter(({ endedAt }) => endedAt === null),
    find: (id) => tasks.find((one) => one.id === id),
    cancel: async (one) => ({ ...one, state: 'cancelled' }),
  }
}

/** Stored tasks with the numbers 1, 2, …; their cursor is the number. */
function shown(live: readonly Task[], storedCount: number) {
  const stored = Array.from({ length: storedCount }, (_, i) => task(9000 + storedCount - i, { kind: 'gc', state: 'succeeded' }))
  const list = ({ limit, cursor, kind }: TaskFilter) => {
    const from = cursor === undefined ? 0 : storedCount - Number(cursor) + 1
    const all = stored.slice(from).filter((one) => kind === undefined || one.kind === kind)
    return { items: all.slice(0, limit), next: all.length > limit ? String(Number(all[limit - 1]?.id.slice(4)) - 9000) : null }
  }
  const tasks = {
    list,
    get: (id: string) => stored.find((one) => one.id === id),
    cancel: (id: string) => task(Number(id.slice(4)), { state: 'cancelled', createdBy: 'stored' }),
    retry: (id: string) => task(Number(id.slice(4)), { state: 'queued' }),
    pause: (id: string) => task(Number(id.slice(4)), { pausedAt: '2026-01-01T00:00:00.000Z' }),
    resumePaused: (id: string) => task(Number(id.slice(4))),
    isOrderedBy: () => false,
    paramsOf: () => undefined,
  }
  return createShownTasks({ tasks, live: [liveOf(live)] })
}

function walk(board: ReturnType<typeof shown>, limit: number, filter: Partial<TaskFilter> = {}): number[] {
  const numbers: number[] = []
  let cursor: string | undefined
  do {
    const page = board.list({ ...filter, limit, cursor })
    numbers.push(...page.items.map(({ id }) => Number(id.slice(4))))
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return numbers
}

describe('a list', () => {
  test.each([1, 2, 3, 4, 5, 100])('has live tasks before stored ones, newest first, in pages of %d', (limit) => {
    expect(walk(shown([task(1), task(3), task(2)], 3), limit)).toEqual([3, 2, 1, 9003, 9002, 9001])
    expect(walk(shown([], 3), limit)).toEqual([9003, 9002, 9001])
    expect(walk(shown([task(1), task(2)], 0), limit)).toEqual([2, 1])
  })

  test('is filtered by kind and state', () => {
    const board = shown([task(1), task(2, { state: 'queued' }), task(3, { kind: 'inspect' })], 2)
    expect(walk(board, 10, { kind: 'upload' })).toEqual([2, 1])
    expect(walk(board, 10, { kind: 'gc' })).toEqual([9002, 9001])
    expect(board.list({ state: 'queued', limit: 1 }).items.map(({ id }) => Number(id.slice(4)))).toEqual([2])
  })

  test('has at most 1000 live tasks of one kind of work', () => {
    expect(LIVE_TASKS_MAX).toBe(1000)
    expect(
      walk(
        shown(
          Array.from({ length: 1001 }, (_, i) => task(i)),
          0,
        ),
        1000,
      ),
    ).toHaveLength(1000)
  })
})

describe('a live task', () => {
  const codeOf = async (running: Promise<unknown>): Promise<string> => {
    try {
      await running
    } catch (error) {
      if (error instanceof ProblemError) return problemCode(error.problem)
      throw error
    }
    return 'no problem'
  }

  test('is found and cancelled, unless it has ended', async () => {
    const board = shown([task(1), task(2, { state: 'succeeded', endedAt: '2026-01-01T00:00:01.000Z' })], 1)
    expect([board.get(task(1).id)?.kind, board.get(task(9001).id)?.kind, board.get('tsk_none')]).toEqual(['upload', 'gc', undefined])
    expect(await board.cancel(task(1).id, ACTOR)).toMatchObject({ state: 'cancelled', createdBy: 'ann' })
    expect(await codeOf(board.cancel(task(2).id, ACTOR))).toBe('wrong-status')
    expect(await board.cancel(task(9001).id, ACTOR)).toMatchObject({ createdBy: 'stored' })
  })

  test('is not retried', () => {
    const board = shown([task(1)], 1)
    expect(() => board.retry(task(1).id, 'root')).toThrow('A task of kind upload starts by itself.')
    expect(board.retry(task(9001).id, 'root').state).toBe('queued')
  })

  test('is neither paused nor resumed', () => {
    const board = shown([task(1)], 1)
    expect(() => board.pause(task(1).id, 'root')).toThrow('A task of kind upload cannot be paused.')
    expect(() => board.resumePaused(task(1).id, 'root')).toThrow('A task of kind upload cannot be resumed.')
    expect(board.pause(task(9001).id, 'root').pausedAt).toBe('2026-01-01T00:00:00.000Z')
    expect(board.resumePaused(task(9001).id, 'root').id).toBe(task(9001).id)
  })
})
