// A mutation run: chooses mutants, judges them in parallel in private copies of the tree, and reports.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createBaselines } from './baselines.ts'
import { createCoverages } from './coverage.ts'
import { EQUIVALENTS_FILE, isListed, readEquivalents, staleEntries } from './equivalents.ts'
import { changedLines, treeFiles } from './git.ts'
import { createImportGraph } from './import-graph.ts'
import { createJudge } from './judge.ts'
import { mutantsOf } from './mutants.ts'
import { createContentKeys, openResultCache } from './result-cache.ts'
import { isConsidered } from './test-choice.ts'
import { refusedByTypes } from './type-check.ts'
import { openWorkspace } from './workspace.ts'
import type { FailingTest } from './baselines.ts'
import type { Equivalent } from './equivalents.ts'
import type { Lines } from './git.ts'
import type { Judge, Verdict } from './judge.ts'
import type { Mutant, SourceText } from './mutants.ts'
import type { Copy, Workspace } from './workspace.ts'

/** Folders that are mutated when no path is given. */
const SOURCE_FOLDERS = ['agent', 'bot', 'protocol']

/** Mutants that the type checker is asked about first in a run with a limit of time; then twice as many, and so on. */
const LIMITED_BATCH = 50
/** Mutants of one file in a row. */
const RUN_LENGTH = 8

/** A file or folder below the repository, or lines of a file. */
export interface Scope {
  readonly path: string
  readonly lines?: Lines
}

export interface MutationOptions {
  /** Folder of the repository. */
  readonly root: string
  /** What to mutate; all sources if empty. */
  readonly scopes: readonly Scope[]
  /** Mutates only lines that changed since this commit. */
  readonly since?: string
  /** Mutates only lines that match before or after the change. */
  readonly like?: RegExp
  readonly seed: number
  /** Judges at most so many mutants, a sample by the seed. */
  readonly sample?: number
  /** Stops after this time; mutants are then taken in an order by the seed. */
  readonly limitMs?: number
  readonly workers: number
  readonly cacheFolder: string
  /** Ends the run early. */
  readonly signal: AbortSignal
  /** Called after each verdict. */
  progress(done: number, total: number): void
}

export interface Judged {
  readonly mutant: Mutant
  readonly verdict: Verdict
}

export interface MutationReport {
  /** Every mutant that was drawn, by file and line. Those in test/mutants.json are not among them. */
  readonly judged: readonly Judged[]
  /** Mutants in scope, of which the drawn ones are a sample if there are more. */
  readonly inScope: number
  readonly listed: number
  /** Mutants that do not compile, and so were not drawn. */
  readonly refused: number
  readonly stale: readonly Equivalent[]
  readonly failingTests: readonly FailingTest[]
  readonly seed: number
}

/** Runs to the end, the limit or the signal. Throws if a scope has no source file. */
export async function runMutation(options: MutationOptions): Promise<MutationReport> {
  const files = treeFiles(options.root)
  using workspace = openWorkspace(options.root, files)
  const mutantsOfFile = createMutantReader(workspace.reference)
  const changed = options.since === undefined ? undefined : changedLines(options.root, options.since)
  const inScope = sourcesIn(files, options.scopes).flatMap((file) => mutantsInScope(file, options, { changed, mutantsOfFile }))
  const equivalents = readEquivalents(join(workspace.reference, EQUIVALENTS_FILE))
  const unlisted = inScope.filter((mutant) => !equivalents.some((equivalent) => isListed(equivalent, mutant)))
  const isSample = options.sample !== undefined || options.limitMs !== undefined

  const timeLimit = options.limitMs === undefined ? [] : [AbortSignal.timeout(options.limitMs)]
  const signal = AbortSignal.any([options.signal, ...timeLimit])
  const graph = createImportGraph(workspace.reference)
  const keys = createContentKeys(workspace.reference, files, graph)
  const cache = openResultCache(options.cacheFolder)
  const baselines = createBaselines({ cache, keys, signal })
  const coverages = createCoverages({ workspace, files, folder: options.cacheFolder, keys, signal })
  const sourceOf = (path: string): SourceText => ({ path, text: readFileSync(join(workspace.reference, path), 'utf8') })
  const judge = createJudge({ tests: files.filter(isConsidered), graph, keys, cache, baselines, coverages, sourceOf, signal })
  const order =
    options.limitMs === undefined ? (isSample ? shuffled(unlisted, options.seed) : unlisted) : inRuns(shuffled(unlisted, options.seed), options.workers)
  const { judged, refused } = await judgeInOrder(order, judge, { ...options, workspace, signal })
  return {
    judged: judged.filter(({ verdict }) => verdict.kind !== 'invalid').toSorted(byPlace),
    inScope: inScope.length,
    listed: inScope.length - unlisted.length,
    refused,
    stale: staleEntries(equivalents, mutantsOfFile),
    failingTests: baselines.failing,
    seed: options.seed,
  }
}

interface JudgingOptions extends Pick<MutationOptions, 'sample' | 'limitMs' | 'workers' | 'progress'> {
  readonly workspace: Workspace
  readonly signal: AbortSignal
}

/** Judges the first mutants that compile, as many as are wanted, until the signal. `refused` counts those that do not compile. */
async function judgeInOrder(order: readonly Mutant[], judge: Judge, options: JudgingOptions): Promise<{ judged: Judged[]; refused: number }> {
  const { workspace, signal, sample = order.length } = options
  const root = workspace.addCopy().root
  const copies = Array.from({ length: options.workers }, () => workspace.addCopy())
  const judged: Judged[] = []
  let refused = 0
  // With a limit of time most mutants may never be judged: the checker is asked about a few at a time.
  let batch = options.limitMs === undefined ? sample : LIMITED_BATCH
  for (let rest = order; judged.length < sample && rest.length > 0 && !(signal.aborted && judged.length > 0); batch *= 2) {
    const taken = await draw(rest, Math.min(batch, sample - judged.length), { root, signal })
    rest = rest.slice(taken.drawn.length + taken.refused)
    refused += taken.refused
    judged.push(
      ...(await judgeAll(taken.drawn, judge, { copies, signal, progress: (done) => options.progress(judged.length + done, Math.min(sample, order.length)) })),
    )
  }
  return { judged, refused }
}

/** Takes the first `count` mutants that compile. */
async function draw(
  order: readonly Mutant[],
  count: number,
  { root, signal }: { readonly root: string; readonly signal: AbortSignal },
): Promise<{ drawn: Mutant[]; refused: number }> {
  const drawn: Mutant[] = []
  let refused = 0
  for (let at = 0; drawn.length < count && at < order.length;) {
    // One in five does not compile: twice the number is mostly enough, and one run of the checker.
    const next = order.slice(at, at + 2 * (count - drawn.length))
    const notCompiling = await refusedByTypes(root, next, signal)
    for (const mutant of next) {
      if (drawn.length === count) break
      at++
      if (notCompiling.has(mutant)) refused++
      else drawn.push(mutant)
    }
  }
  return { drawn, refused }
}

/** Judges mutants in parallel, each worker in a copy of its own. The order of the result is that of the mutants. */
async function judgeAll(
  mutants: readonly Mutant[],
  judge: Judge,
  run: { readonly copies: readonly Copy[]; readonly signal: AbortSignal; progress(done: number): void },
): Promise<Judged[]> {
  const verdicts: Verdict[] = []
  let next = 0
  let done = 0
  const work = async (copy: Copy): Promise<void> => {
    for (let i = next++; i < mutants.length; i = next++) {
      const mutant = mutants[i]
      if (!mutant) break
      verdicts[i] = run.signal.aborted ? { kind: 'not run' } : await judge(mutant, copy)
      run.progress(++done)
    }
  }
  await Promise.all(run.copies.map(work))
  return mutants.map((mutant, i) => ({ mutant, verdict: verdicts[i] ?? { kind: 'not run' } }))
}

/** Reads the mutants of a file once; a file that does not exist has none. */
function createMutantReader(root: string): (file: string) => readonly Mutant[] {
  const known = new Map<string, readonly Mutant[]>()
  return (path) => {
    let mutants = known.get(path)
    if (!mutants) {
      mutants = existsSync(join(root, path)) ? mutantsOf({ path, text: readFileSync(join(root, path), 'utf8') }) : []
      known.set(path, mutants)
    }
    return mutants
  }
}

function sourcesIn(files: readonly string[], scopes: readonly Scope[]): string[] {
  const sources = files.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts') && !file.startsWith('test/'))
  if (scopes.length === 0) return sources.filter((file) => SOURCE_FOLDERS.some((folder) => isBelow(file, folder)))
  for (const { path } of scopes) if (!sources.some((file) => isBelow(file, path))) throw new RangeError(`There is no source file at ${path}.`)
  return sources.filter((file) => scopes.some(({ path }) => isBelow(file, path)))
}

function mutantsInScope(
  file: string,
  { scopes, like }: Pick<MutationOptions, 'scopes' | 'like'>,
  { changed, mutantsOfFile }: { readonly changed: ReadonlyMap<string, readonly Lines[]> | undefined; mutantsOfFile(file: string): readonly Mutant[] },
): Mutant[] {
  if (changed && !changed.has(file)) return []
  const ranges = changed?.get(file)
  const matching = scopes.filter(({ path }) => isBelow(file, path))
  const isWanted = (mutant: Mutant): boolean =>
    (matching.length === 0 || matching.some(({ lines }) => !lines || startsIn(mutant, lines))) &&
    (like === undefined || like.test(`${mutant.before}\n${mutant.after}`))
  return mutantsOfFile(file).filter((mutant) => isWanted(mutant) && (!ranges || ranges.some((lines) => startsIn(mutant, lines))))
}

/** A mutant belongs to the line on which its change begins. */
function startsIn(mutant: Mutant, { line, lineLast }: Lines): boolean {
  return mutant.line >= line && mutant.line <= lineLast
}

function isBelow(file: string, path: string): boolean {
  return file === path || file.startsWith(`${path}/`)
}

/** The same seed gives the same order, and a mutant keeps its place relative to others when some come or go or lines move. */
function shuffled(mutants: readonly Mutant[], seed: number): Mutant[] {
  const weight = (mutant: Mutant): number | bigint => Bun.hash([seed, mutant.file, mutant.operator, mutant.before, mutant.after].join('\n'))
  return mutants
    .map((mutant) => ({ mutant, key: weight(mutant) }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ mutant }) => mutant)
}

/**
 * Puts mutants of one file in runs: what is measured for one of them serves the others, so that in a short time more of them are judged.
 * Runs of several files alternate, one for each worker, so that no worker waits for what another measures.
 */
export function inRuns<T extends { readonly file: string }>(mutants: readonly T[], workers: number): T[] {
  const runs: T[][] = []
  const open = new Map<string, T[]>()
  for (const mutant of mutants) {
    let run = open.get(mutant.file)
    if (!run || run.length === RUN_LENGTH) runs.push((run = []))
    run.push(mutant)
    open.set(mutant.file, run)
  }
  const ordered: T[] = []
  for (let at = 0; at < runs.length; at += workers) {
    const group = runs.slice(at, at + workers)
    for (let i = 0; i < RUN_LENGTH; i++) ordered.push(...group.flatMap((run) => run[i] ?? []))
  }
  return ordered
}

function byPlace(a: Judged, b: Judged): number {
  return a.mutant.file === b.mutant.file ? a.mutant.line - b.mutant.line : a.mutant.file < b.mutant.file ? -1 : 1
}
