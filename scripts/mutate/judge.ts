// The verdict on one mutant: runs the tests that reach it, cheap ones first, until one fails.

import { parses } from './mutants.ts'
import { choose, isMirror, promise } from './test-choice.ts'
import { runTestFile } from './test-run.ts'
import { unitAround, unitsOf } from './units.ts'
import type { Baselines } from './baselines.ts'
import type { Coverage, Coverages } from './coverage.ts'
import type { ImportGraph } from './import-graph.ts'
import type { Mutant, SourceText } from './mutants.ts'
import type { ContentKeys, ResultCache, Selection } from './result-cache.ts'
import type { RunOutcome } from './test-run.ts'
import type { Unit } from './units.ts'
import type { Copy } from './workspace.ts'

/** Limit of a mutated run: so long and so many times as long as the unmutated one. */
const LIMIT_MS_MIN = 5_000
const LIMIT_FACTOR = 4
/** Cost of all tests that are run against one mutant, in milliseconds. */
const TESTS_COST_MAX = 10_000
/** Cost of a run besides its tests. */
const START_COST = 200
/** Assumed for a test file that was not measured yet. */
const UNKNOWN_COST = 1000
/** The cheapest tests of a file run first, for about so much; the others run after the cheap ones of other files. */
const GROUP_COST_MAX = 200
const GROUP_FACTOR = 5
/** A whole file is assumed to take so many times as long as a few of its tests. */
const WHOLE_FACTOR = 10
/** Characters of names that are passed to a run; a file with more of them is run as a whole. */
const NAMES_LENGTH_MAX = 30_000

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
  readonly coverages: Coverages
  /** Returns the unmutated text of a source file. */
  sourceOf(file: string): SourceText
  readonly signal: AbortSignal
}

/** Judges mutants one after the other; several may be judged at once in copies of their own. */
export type Judge = (mutant: Mutant, copy: Copy) => Promise<Verdict>

/** Tests of one file that are run together. */
interface Step extends Selection {
  /** Time that they took without a mutant. */
  readonly ms: number
  readonly cost: number
}

/** A test file that has to be measured first. */
type Unmeasured = Pick<Step, 'test'>

export function createJudge(deps: JudgeDeps): Judge {
  /** Kills of each test file so far, by the file that was mutated: what killed before is likely to kill again. */
  const kills = new Map<string, number>()
  const units = new Map<string, readonly Unit[]>()
  const unitsIn = (file: string): readonly Unit[] => {
    let found = units.get(file)
    if (!found) units.set(file, (found = unitsOf(deps.sourceOf(file))))
    return found
  }
  return async (mutant, copy) => {
    if (!parses(mutant)) return { kind: 'invalid' }
    const unit = unitAround(unitsIn(mutant.file), mutant)
    const hope = (test: string): number => promise(mutant.file, test) * (1 + (kills.get(`${mutant.file} ${test}`) ?? 0))
    const costOf = (step: Step | Unmeasured): number => ('cost' in step ? step.cost : isMirror(mutant.file, step.test) ? 0 : UNKNOWN_COST) / hope(step.test)
    const waiting: (Step | Unmeasured)[] = choose(mutant.file, deps.tests, deps.graph).flatMap((test) => {
      const known = deps.coverages.known(test, mutant.file)
      return known ? stepsOf(test, known, mutant.file, unit) : [{ test }]
    })
    const passed = new Set<string>()
    let totalCost = 0
    while (waiting.length > 0 && totalCost < TESTS_COST_MAX) {
      const step = takeCheapest(waiting, costOf)
      if (deps.baselines.isFailing(step.test)) continue
      if (!('cost' in step)) {
        const coverage = await deps.coverages.measure(step.test, mutant.file)
        if (!coverage) return { kind: 'not run' }
        waiting.push(...stepsOf(step.test, coverage, mutant.file, unit))
        continue
      }
      const outcome = await judgeBy(deps, mutant, step, copy)
      if (outcome === 'aborted') return { kind: 'not run' }
      if (outcome === 'failed' || outcome === 'timeout') {
        kills.set(`${mutant.file} ${step.test}`, (kills.get(`${mutant.file} ${step.test}`) ?? 0) + 1)
        return { kind: 'killed', by: step.test, isTimeout: outcome === 'timeout' }
      }
      if (outcome === 'passed') passed.add(step.test)
      totalCost += step.cost
    }
    return passed.size > 0 ? { kind: 'survived', tests: [...passed] } : { kind: 'not covered' }
  }
}

function takeCheapest<T>(waiting: T[], costOf: (step: T) => number): T {
  let best = 0
  for (const [i, step] of waiting.entries()) if (costOf(step) < costOf(waiting[best] ?? step)) best = i
  const [taken] = waiting.splice(best, 1)
  if (taken === undefined) throw new RangeError('there is no test to take')
  return taken
}

/** Returns the tests of a file that reach a unit, in groups of growing cost. */
function stepsOf(test: string, coverage: Coverage, file: string, unit: number): Step[] {
  const reaching = (coverage.files[file]?.reachedBy[unit] ?? []).flatMap((at) => coverage.tests[at] ?? [])
  const steps: Step[] = []
  let group: typeof reaching = []
  let groupCost = 0
  let costMax = GROUP_COST_MAX
  const close = (): void => {
    if (group.length === 0) return
    const names = group.map(({ name }) => name)
    const isWhole = group.length === coverage.tests.length || names.includes('') || names.join('').length > NAMES_LENGTH_MAX
    const ms = coverage.startMs + group.reduce((sum, one) => sum + one.ms, 0)
    steps.push({ test, ms, cost: START_COST + groupCost, ...(isWhole ? {} : { names }) })
    group = []
    groupCost = 0
    costMax *= GROUP_FACTOR
  }
  for (const next of reaching.toSorted((a, b) => a.cost - b.cost)) {
    if (groupCost + next.cost > costMax) close()
    group.push(next)
    groupCost += next.cost
  }
  close()
  return steps
}

/** Returns what the tests say of a mutant; `unclear` if they fail without it as well. A kill is believed only if the tests pass without the mutant. */
async function judgeBy(deps: JudgeDeps, mutant: Mutant, step: Step, copy: Copy): Promise<RunOutcome | 'unclear' | 'aborted'> {
  const { baselines, signal } = deps
  const known = deps.cache.outcome(deps.keys.ofMutant(step, mutant.file, mutant.mutatedText))
  if (known) return known
  const keep = (outcome: RunOutcome): RunOutcome => {
    deps.cache.keepOutcome(deps.keys.ofMutant(step, mutant.file, mutant.mutatedText), outcome)
    return outcome
  }
  const limitMs = LIMIT_MS_MIN + LIMIT_FACTOR * step.ms
  const outcome = await runMutated(deps, mutant, step, { copy, limitMs })
  if (signal.aborted) return 'aborted'
  if (outcome === 'passed') return keep(outcome)
  // Chosen tests may need others of their file; then the whole file is run.
  const passes = await baselines.passes(step, copy)
  if (passes === undefined) return 'aborted'
  if (!passes)
    return step.names !== undefined && (await baselines.passes({ test: step.test }, copy)) === true
      ? await judgeBy(deps, mutant, { test: step.test, ms: step.ms * WHOLE_FACTOR, cost: step.cost }, copy)
      : 'unclear'
  if (outcome !== 'timeout') return keep(outcome)
  // A machine that was busy for a moment must not kill a mutant: the tests are in time without it, and with it they are late again.
  const { ms } = await baselines.run(step, copy)
  const again = ms > limitMs / 2 ? await runMutated(deps, mutant, step, { copy, limitMs: limitMs + LIMIT_FACTOR * ms }) : outcome
  return signal.aborted ? 'aborted' : keep(again)
}

async function runMutated(
  deps: JudgeDeps,
  mutant: Mutant,
  { test, names }: Selection,
  { copy, limitMs }: { readonly copy: Copy; readonly limitMs: number },
): Promise<RunOutcome> {
  copy.mutate(mutant.file, mutant.mutatedText)
  try {
    const { outcome } = await runTestFile(copy, test, { limitMs, signal: deps.signal, ...(names && { names }) })
    return outcome
  } finally {
    copy.restore()
  }
}
