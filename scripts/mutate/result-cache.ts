// Results of earlier runs by content: the same mutant, tests, imports and version of Bun have the same result.

import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { EQUIVALENTS_FILE } from './equivalents.ts'
import type { ImportGraph } from './import-graph.ts'
import type { RunOutcome } from './test-run.ts'

/** A longer file of results is deleted: most of it is about code that has changed since. */
const RESULTS_BYTES_MAX = 64 * 1024 * 1024
/** Changes when results of an older runner no longer hold. */
const FORMAT = 1
/** What every test depends on. */
const SHARED_FILES = ['package.json', 'bun.lock', 'bunfig.toml', 'tsconfig.json']

const baselineSchema = z.object({
  outcome: z.enum(['passed', 'failed', 'timeout']),
  ms: z.number(),
  cpuMs: z.number(),
  coverage: z.record(z.string(), z.array(z.number())),
})

/** The run of a test file without any mutation. */
export type Baseline = z.infer<typeof baselineSchema>

export interface ResultCache {
  outcome(key: string): RunOutcome | undefined
  keepOutcome(key: string, outcome: RunOutcome): void
  baseline(key: string): Baseline | undefined
  keepBaseline(key: string, baseline: Baseline): void
}

/** Opens the cache in a folder, which is made if it is missing. Several processes may use it. */
export function openResultCache(folder: string): ResultCache {
  const results = join(folder, 'results')
  const baselineFile = (key: string): string => join(folder, `baseline-${key}.json`)
  mkdirSync(folder, { recursive: true })
  if ((statSync(results, { throwIfNoEntry: false })?.size ?? 0) > RESULTS_BYTES_MAX) rmSync(folder, { recursive: true })
  mkdirSync(folder, { recursive: true })
  const outcomes = readOutcomes(results)
  return {
    outcome: (key) => outcomes.get(key),
    keepOutcome(key, outcome) {
      outcomes.set(key, outcome)
      appendFileSync(results, `${key} ${outcome}\n`)
    },
    baseline: (key) => (existsSync(baselineFile(key)) ? parseBaseline(readFileSync(baselineFile(key), 'utf8')) : undefined),
    keepBaseline: (key, baseline) => writeFileSync(baselineFile(key), JSON.stringify(baseline)),
  }
}

function readOutcomes(path: string): Map<string, RunOutcome> {
  const outcomes = new Map<string, RunOutcome>()
  if (!existsSync(path)) return outcomes
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [, key, outcome] = /^([0-9a-f]{64}) (passed|failed|timeout)$/.exec(line) ?? []
    if (key !== undefined) outcomes.set(key, outcome as RunOutcome)
  }
  return outcomes
}

function parseBaseline(text: string): Baseline | undefined {
  try {
    return baselineSchema.safeParse(JSON.parse(text)).data
  } catch {
    // Another process is writing it.
    return undefined
  }
}

export interface ContentKeys {
  ofBaseline(test: string): string
  /** Key of a test file run with one file's text replaced. */
  ofMutant(test: string, file: string, mutatedText: string): string
}

/** Keys of runs in the tree at `root`. `files` are all files of the tree. */
export function createContentKeys(root: string, files: readonly string[], graph: ImportGraph): ContentKeys {
  const hashes = new Map<string, string>()
  const baselines = new Map<string, string>()
  const hashOf = (file: string): string => {
    let hash = hashes.get(file)
    if (hash === undefined) hashes.set(file, (hash = existsSync(join(root, file)) ? digest(readFileSync(join(root, file))) : ''))
    return hash
  }
  const fixtures = files.filter((file) => file.startsWith('test/') && !/\.tsx?$/.test(file) && file !== EQUIVALENTS_FILE)
  const shared = digest(JSON.stringify([FORMAT, Bun.version, [...SHARED_FILES, ...fixtures].map((file) => [file, hashOf(file)])]))
  const ofBaseline = (test: string): string => {
    let key = baselines.get(test)
    if (key === undefined) {
      const { distances, elsewhere } = graph.reachOf(test)
      const reached = [...new Set([...distances.keys(), ...elsewhere])].toSorted()
      baselines.set(test, (key = digest(JSON.stringify([shared, test, reached.map((file) => [file, hashOf(file)])]))))
    }
    return key
  }
  return { ofBaseline, ofMutant: (test, file, mutatedText) => digest(JSON.stringify([ofBaseline(test), file, digest(mutatedText)])) }
}

function digest(content: string | Uint8Array): string {
  return new Bun.CryptoHasher('sha256').update(content).digest('hex')
}
