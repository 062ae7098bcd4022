// Runs of the test files without any mutation: whether they pass, how long they take, and which lines they reach.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCoverage } from './coverage.ts'
import { lastOutput, runTestFile } from './test-run.ts'
import type { Baseline, ContentKeys, ResultCache } from './result-cache.ts'
import type { Copy } from './workspace.ts'

const BASELINE_LIMIT_MS = 180_000
/** A test that fails once on a busy machine may pass the second time. */
const ATTEMPTS_MAX = 2
/** Characters of the output of a failing test that are shown. */
const OUTPUT_LENGTH_MAX = 2000

export interface FailingTest {
  readonly test: string
  /** End of its output. */
  readonly output: string
}

export interface Baselines {
  /** Returns the baseline of a test file if it was measured already. */
  known(test: string): Baseline | undefined
  /** Returns the baseline, measured in a copy that has no mutant in it; undefined if the signal ended the run. */
  measure(test: string, copy: Copy): Promise<Baseline | undefined>
  /** Test files that fail without a mutant. They prove nothing and are not run. */
  readonly failing: readonly FailingTest[]
}

/** Baselines of the tests of one tree. */
export function createBaselines(deps: { readonly cache: ResultCache; readonly keys: ContentKeys; readonly signal: AbortSignal }): Baselines {
  const { cache, keys, signal } = deps
  const known = new Map<string, Baseline>()
  const measuring = new Map<string, Promise<Baseline | undefined>>()
  const failing: FailingTest[] = []
  const find = (test: string): Baseline | undefined => {
    const found = known.get(test) ?? cache.baseline(keys.ofBaseline(test))
    if (found) known.set(test, found)
    return found
  }
  const measureNow = async (test: string, copy: Copy): Promise<Baseline | undefined> => {
    const coverage = join(copy.root, '../coverage')
    for (let attempt = 1; ; attempt++) {
      const { outcome, ms, cpuMs } = await runTestFile(copy, test, { limitMs: BASELINE_LIMIT_MS, coverage, signal })
      if (signal.aborted) return undefined
      const report = join(coverage, 'lcov.info')
      const baseline = { outcome, ms, cpuMs, coverage: existsSync(report) ? { ...parseCoverage(readFileSync(report, 'utf8')) } : {} }
      if (outcome !== 'passed' && attempt < ATTEMPTS_MAX) continue
      if (outcome === 'passed') cache.keepBaseline(keys.ofBaseline(test), toPlain(baseline))
      else failing.push({ test, output: lastOutput(copy).replaceAll(`${copy.root}/`, '').slice(-OUTPUT_LENGTH_MAX) })
      known.set(test, toPlain(baseline))
      return toPlain(baseline)
    }
  }
  const measure = async (test: string, copy: Copy): Promise<Baseline | undefined> => {
    const found = find(test)
    if (found) return found
    let run = measuring.get(test)
    if (!run) measuring.set(test, (run = measureNow(test, copy)))
    return await run
  }
  return { known: find, measure, failing }
}

function toPlain(baseline: Omit<Baseline, 'coverage'> & { coverage: Readonly<Record<string, readonly number[]>> }): Baseline {
  return { ...baseline, coverage: Object.fromEntries(Object.entries(baseline.coverage).map(([file, lines]) => [file, [...lines]])) }
}
