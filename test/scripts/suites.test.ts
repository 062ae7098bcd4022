// Counts the results of suites.

import { describe, expect, test } from 'bun:test'
import { countResult } from '../../scripts/suites.ts'

describe('count', () => {
  test('reads the counts that bun test prints last', () => {
    expect(countResult(' 698 pass\n 3 skip\n 2 fail\n 108850 expect() calls\nRan 703 tests across 62 files. [61.76s]\n', 1)).toEqual({
      passed: 698,
      failed: 2,
      skipped: 3,
    })
  })

  test('errors outside of tests are failures', () => {
    expect(countResult(' 1 pass\n 0 fail\n 1 error\n', 1).failed).toBe(1)
    expect(countResult(' 1 pass\n 0 fail\n 2 errors\n', 1).failed).toBe(2)
  })

  test('a run that exited with an error without a failing test is a failure', () => {
    expect(countResult('Segmentation fault', 139)).toEqual({ passed: 0, failed: 1, skipped: 0 })
    expect(countResult(' 5 pass\n 0 fail\n', 0)).toEqual({ passed: 5, failed: 0, skipped: 0 })
  })
})
