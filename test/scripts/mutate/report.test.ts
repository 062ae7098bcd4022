// When a mutation run fails, and its scores by folder.

import { describe, expect, test } from 'bun:test'
import { failuresOf, scoresOf } from '../../../scripts/mutate/report.ts'
import type { Verdict } from '../../../scripts/mutate/judge.ts'
import type { MutationReport } from '../../../scripts/mutate/mutation-run.ts'

const KILLED: Verdict = { kind: 'killed', by: 'test/a.test.ts', isTimeout: false }
const SURVIVED: Verdict = { kind: 'survived', tests: ['test/a.test.ts'] }

function reportOf(verdicts: readonly (readonly [file: string, verdict: Verdict, times: number])[]): MutationReport {
  const judged = verdicts.flatMap(([file, verdict, times]) =>
    Array.from({ length: times }, () => ({
      mutant: { file, operator: 'number', start: 0, end: 1, line: 1, lineLast: 1, before: '', after: '', mutatedText: '' },
      verdict,
    })),
  )
  return { judged, inScope: judged.length, listed: 0, refused: 0, stale: [], failingTests: [], seed: 1 }
}

describe('fails', () => {
  test('for each survivor and each stale entry', () => {
    expect(failuresOf(reportOf([['agent/a.ts', KILLED, 1]]), undefined)).toEqual([])
    expect(failuresOf(reportOf([['agent/a.ts', SURVIVED, 1]]), undefined)).toEqual(['1 mutants survived.'])
    expect(failuresOf(reportOf([['agent/a.ts', { kind: 'not covered' }, 2]]), undefined)).toEqual(['2 mutants survived.'])
    expect(failuresOf(reportOf([['agent/a.ts', { kind: 'not run' }, 2]]), undefined)).toEqual([])
    const stale = { file: 'agent/a.ts', operator: 'number', before: '1', after: '2', reason: 'a reason of some length' }
    expect(failuresOf({ ...reportOf([]), stale: [stale] }, 0)).toHaveLength(1)
  })

  test('with a floor, below it only, and only with 30 mutants', () => {
    const report = (killed: number, survived: number): MutationReport =>
      reportOf([
        ['agent/a.ts', KILLED, killed],
        ['agent/a.ts', SURVIVED, survived],
      ])
    expect(failuresOf(report(18, 12), 60)).toEqual([])
    expect(failuresOf(report(17, 13), 60)).toHaveLength(1)
    expect(failuresOf(report(0, 29), 60)).toEqual([])
  })
})

test('scores count what was judged, by folder', () => {
  const report = reportOf([
    ['agent/access/a.ts', KILLED, 2],
    ['agent/access/a.ts', { ...KILLED, isTimeout: true }, 1],
    ['agent/access/a.ts', SURVIVED, 1],
    ['protocol/b.ts', { kind: 'not covered' }, 1],
    ['protocol/b.ts', { kind: 'not run' }, 5],
  ])
  expect(scoresOf(report)).toEqual([
    { folder: 'agent/access', mutants: 4, killed: 3, timeouts: 1, survived: 1, notCovered: 0, score: 75 },
    { folder: 'protocol', mutants: 1, killed: 0, timeouts: 0, survived: 0, notCovered: 1, score: 0 },
    { folder: 'total', mutants: 5, killed: 3, timeouts: 1, survived: 1, notCovered: 1, score: 60 },
  ])
})
