// The verdict on one mutant: runs the tests that may notice it until one fails.

import { reaches } from './coverage.ts'
import { parses } from './mutants.ts'
import { choose, isMirror, promise } from './test-choice.ts'
import { runTestFile } from './test-run.ts'
import type { Baselines } from './baselines.ts'
import type { ImportGraph } from './import-graph.ts'
import type { Mutant } from './mutants.ts'
import type { Baseline, ContentKeys, ResultCache } from './result-cache.ts'
import type { RunOutcome } from './test-run.ts'
import type { Copy } from './workspace.ts'

/** Limit of a mutated run: so long and so many times as long as the unmutated one. */
const LIMIT_MS_MIN = 5_000
const LIMIT_FACTOR = 4
/** Time of processors of all tests that are run against one mutant, unmutated. */
const TESTS_CPU_MS_MAX = 60_000
/** Assumed for a test that was not run yet. */
const UNKNOWN_CPU_MS = 4000

/** A test that reaches a mutant in another process, if at all, counts as so much slower. */
const UNSEEN_FACTOR = 4

export type Verdict =
  | { readonly kind: 'killed'; readonly by: string; readonly isTimeout: boolean }
  /** The tests that reach it pass all the same. */
  | { readonly kind: 'survived'; readonly tests: readonly string[] }
  /** No test that was considered reaches it. */
  | { readonly kind: 'not covered' }
  /** Time was up. */
  | { readonly kind: 'not run' }
  | { readonly kind: 'invalid' }

export interface JudgeDeps {
  /** All test files that may be chosen. */
  readonly tests: readonly string[]
  readonly graph: ImportGraph
  readonly keys: ContentKeys
  readonly cache: ResultCache
  readonly baselines: Baselines
  readonly signal: AbortSignal
}

/** Judges mutants one after the other; several may be judged at once in copies of their own. */
export type Judge = (mutant: Mutant, copy: Copy) => Promise<Verdict>

export function createJudge(deps: JudgeDeps): Judge {
  /** Kills of each test file so far, by the file that was mutated: what killed before is likely to kill again. */
  const kills = new Map<string, number>()
  return async (mutant, copy) => {
    if (!parses(mutant)) return { kind: 'invalid' }
    const waiting = choose(mutant.file, deps.tests, deps.graph)
    const killer = waiting.find((test) => isKill(cachedOutcome(deps, mutant, test)))
    if (killer !== undefined) return { kind: 'killed', by: killer, isTimeout: cachedOutcome(deps, mutant, killer) === 'timeout' }
    const passed: string[] = []
    let totalMs = 0
    while (waiting.length > 0 && totalMs < TESTS_CPU_MS_MAX) {
      const test = takeNext(waiting, mutant.file, (candidate) => {
        const known = deps.baselines.known(candidate)
        const hope = promise(mutant.file, candidate) * (1 + (kills.get(`${mutant.file} ${candidate}`) ?? 0))
        if (!known) return UNKNOWN_CPU_MS / hope
        const isSeen = reaches(known.coverage, mutant.file, mutant)
        return (known.cpuMs * (isSeen ? 1 : UNSEEN_FACTOR)) / hope
      })
      const baseline = await deps.baselines.measure(test, copy)
      if (!baseline) return { kind: 'not run' }
      if (baseline.outcome !== 'passed' || !mayReach(deps, mutant, test, baseline)) continue
      const outcome = cachedOutcome(deps, mutant, test) ?? (await runMutated(deps, mutant, test, { copy, baseline }))
      if (outcome === undefined) return { kind: 'not run' }
      if (isKill(outcome)) {
        kills.set(`${mutant.file} ${test}`, (kills.get(`${mutant.file} ${test}`) ?? 0) + 1)
        return { kind: 'killed', by: test, isTimeout: outcome === 'timeout' }
      }
      passed.push(test)
      totalMs += baseline.cpuMs
    }
    return passed.length > 0 ? { kind: 'survived', tests: passed } : { kind: 'not covered' }
  }
}

/** Takes the mirroring test first, then the one that costs least for what it promises. */
function takeNext(waiting: string[], file: string, costOf: (test: string) => number): string {
  let best = 0
  let cost = Number.POSITIVE_INFINITY
  for (const [i, test] of waiting.entries()) {
    const own = isMirror(file, test) ? 0 : costOf(test)
    if (own < cost) [best, cost] = [i, own]
  }
  const [taken] = waiting.splice(best, 1)
  if (taken === undefined) throw new RangeError('there is no test to take')
  return taken
}

function mayReach(deps: JudgeDeps, mutant: Mutant, test: string, baseline: Baseline): boolean {
  return deps.graph.reachOf(test).elsewhere.has(mutant.file) || reaches(baseline.coverage, mutant.file, mutant)
}

function cachedOutcome(deps: JudgeDeps, mutant: Mutant, test: string): RunOutcome | undefined {
  return deps.cache.outcome(deps.keys.ofMutant(test, mutant.file, mutant.mutatedText))
}

function isKill(outcome: RunOutcome | undefined): boolean {
  return outcome === 'failed' || outcome === 'timeout'
}

/** Returns undefined if the signal ended the run. */
async function runMutated(
  deps: JudgeDeps,
  mutant: Mutant,
  test: string,
  { copy, baseline }: { readonly copy: Copy; readonly baseline: Baseline },
): Promise<RunOutcome | undefined> {
  copy.mutate(mutant.file, mutant.mutatedText)
  try {
    const { outcome } = await runTestFile(copy, test, { limitMs: LIMIT_MS_MIN + LIMIT_FACTOR * baseline.ms, signal: deps.signal })
    if (deps.signal.aborted) return undefined
    deps.cache.keepOutcome(deps.keys.ofMutant(test, mutant.file, mutant.mutatedText), outcome)
    return outcome
  } finally {
    copy.restore()
  }
}
