// The newest lines of the log, within a bound.

import { describe, expect, test } from 'bun:test'
import { createRecentLines } from '../../../agent/system/recent-lines.ts'

describe('recent lines', () => {
  test('are returned newest first', () => {
    const lines = createRecentLines()
    for (const line of ['a', 'b', 'c']) lines.add(line)
    expect(lines.newestFirst()).toEqual(['c', 'b', 'a'])
  })

  test('drop the oldest beyond the bound, where each line is charged 64 characters more', () => {
    const lines = createRecentLines(300)
    for (let i = 0; i < 10; i++) lines.add(`line ${i}`)
    expect(lines.newestFirst()).toEqual(['line 9', 'line 8', 'line 7', 'line 6'])
    for (let i = 10; i < 1000; i++) lines.add('')
    expect(lines.newestFirst()).toEqual(['', '', '', ''])
  })

  test('leave out a line longer than an eighth of the bound', () => {
    const lines = createRecentLines(800)
    lines.add('x'.repeat(100))
    lines.add('x'.repeat(101))
    expect(lines.newestFirst()).toEqual(['x'.repeat(100)])
  })
})
