// Runs of tests without any mutant: a test that fails without one proves nothing.

import { lastOutput, runTestFile } from './test-run.ts'
import type { ContentKeys, ResultCache, Selection } from './result-cache.ts'
import type { Copy } from './workspace.ts'

/** Limit of a run without a mutant. */
const LIMIT_MS = 180_000
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
  /** Whether the tests pass in a copy that has no mutant in it; undefined if the signal ended the run. */
  passes(selection: Selection, copy: Copy): Promise<boolean | undefined>
  /** Returns the time that the tests take now, and whether they pass. */
  run(selection: Selection, copy: Copy): Promise<{ readonly passes: boolean; readonly ms: number }>
  /** Whether the whole test file is known to fail. */
  isFailing(test: string): boolean
  /** Test files that fail without a mutant. They prove nothing and are not run. */
  readonly failing: readonly FailingTest[]
}

/** Baselines of the tests of one tree. */
export function createBaselines(deps: { readonly cache: ResultCache; readonly keys: ContentKeys; readonly signal: AbortSignal }): Baselines {
  const { cache, keys, signal } = deps
  const failing: FailingTest[] = []
  const run = async (selection: Selection, copy: Copy): Promise<{ passes: boolean; ms: number }> => {
    const { outcome, ms } = await runTestFile(copy, selection.test, { limitMs: LIMIT_MS, signal, ...(selection.names && { names: selection.names }) })
    if (outcome === 'passed') cache.keepOutcome(keys.ofSelection(selection), outcome)
    return { passes: outcome === 'passed', ms }
  }
  return {
    run,
    failing,
    isFailing: (test) => failing.some((entry) => entry.test === test),
    async passes(selection, copy) {
      if (cache.outcome(keys.ofSelection(selection)) === 'passed') return true
      for (let attempt = 1; ; attempt++) {
        const { passes } = await run(selection, copy)
        if (signal.aborted) return undefined
        if (passes) return true
        if (attempt < ATTEMPTS_MAX) continue
        const isNew = selection.names === undefined && !failing.some(({ test }) => test === selection.test)
        if (isNew) failing.push({ test: selection.test, output: lastOutput(copy).replaceAll(`${copy.root}/`, '').slice(-OUTPUT_LENGTH_MAX) })
        return false
      }
    },
  }
}
