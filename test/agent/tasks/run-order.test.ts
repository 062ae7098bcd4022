// Which tasks start next, as literal tables.

import { describe, expect, test } from 'bun:test'
import { nextRunnableMs, runnable } from '../../../agent/tasks/run-order.ts'
import type { TaskRow } from '../../../agent/tasks/task-table.ts'

const HOUR_MS = 3_600_000

interface Given {
  readonly kind?: TaskRow['kind']
  readonly priority?: TaskRow['priority']
  readonly createdMs?: number
  readonly hold?: TaskRow['hold']
  readonly isRunning?: boolean
}

function task(number: number, { kind = 'sync', priority = 'normal', createdMs = 10 * HOUR_MS, hold = null, isRunning = false }: Given = {}) {
  return { row: { number, kind, priority, created_ms: createdMs, hold }, run: isRunning ? Promise.resolve() : undefined }
}

function numbers(tasks: readonly ReturnType<typeof task>[], nowMs = 10 * HOUR_MS): number[] {
  return runnable(tasks, nowMs).map(({ row }) => row.number)
}

const postponedUntil = (untilMs: number): Given => ({ hold: { kind: 'postponed', untilMs, detail: 'not now' } })
const paused: Given = { hold: { kind: 'paused', by: 'ada', atMs: 0 } }

describe('tasks start', () => {
  test('two of a kind at a time, those that run included', () => {
    expect(numbers([task(1), task(2), task(3)])).toEqual([1, 2])
    expect(numbers([task(1, { isRunning: true }), task(2), task(3)])).toEqual([2])
    expect(numbers([task(1, { isRunning: true }), task(2, { isRunning: true }), task(3)])).toEqual([])
  })
  test('one gc, whatever else runs', () => {
    expect(numbers([task(1, { isRunning: true }), task(2, { kind: 'gc' }), task(3, { kind: 'gc' })])).toEqual([2])
  })
  test('never for live work', () => {
    expect(numbers([task(1, { kind: 'upload' }), task(2, { kind: 'inspect' })])).toEqual([])
  })
  test('by priority, then by age', () => {
    expect(numbers([task(3, { priority: 'low' }), task(2), task(1), task(4, { kind: 'import', priority: 'high' })])).toEqual([4, 1, 2])
  })
  test('one class higher for each hour that they waited', () => {
    const low = task(2, { priority: 'low', createdMs: 0 })
    const normal = [task(3, { createdMs: HOUR_MS }), task(4, { createdMs: HOUR_MS })]
    expect(numbers([...normal, low], HOUR_MS - 1)).toEqual([3, 4])
    expect(numbers([...normal, low], HOUR_MS)).toEqual([2, 3])
  })
  test('not while they are paused or postponed', () => {
    expect(numbers([task(1, paused), task(2, postponedUntil(10 * HOUR_MS + 1)), task(3, postponedUntil(10 * HOUR_MS))])).toEqual([3])
  })
})

describe('the queue looks again', () => {
  test('when the first postponed task may run', () => {
    expect(nextRunnableMs([task(1, postponedUntil(900)), task(2, postponedUntil(700)), task(3, paused)], 500)).toBe(700)
    expect(nextRunnableMs([task(1, postponedUntil(900)), task(2, postponedUntil(700))], 700)).toBe(900)
  })
  test('never, if no waiting task is postponed', () => {
    expect(nextRunnableMs([task(1), task(2, paused), task(3, { ...postponedUntil(900), isRunning: true })], 500)).toBe(Infinity)
  })
})
