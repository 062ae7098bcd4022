// Results of earlier runs by content: the same mutant, tests, imports and version of Bun have the same result.

import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EQUIVALENTS_FILE } from './equivalents.ts'
import type { ImportGraph } from './import-graph.ts'
import type { RunOutcome } from './test-run.ts'

/** A longer file of results is deleted: most of it is about code that has changed since. */
const RESULTS_BYTES_MAX = 64 * 1024 * 1024
/** Changes when results of an older runner no longer hold. */
const FORMAT = 2
/** What every test depends on. */
const SHARED_FILES = ['package.json', 'bun.lock', 'bunfig.toml', 'tsconfig.json']

export interface ResultCache {
  outcome(key: string): RunOutcome | undefined
  keepOutcome(key: string, outcome: RunOutcome): void
}

/** Opens the cache in a folder, which is made if it is missing. Several processes may use it. */
export function openResultCache(folder: string): ResultCache {
  const results = join(folder, 'results')
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

/** A test file, and the tests in it that run; all of them without names. */
export interface Selection {
  readonly test: string
  readonly names?: readonly string[]
}

export interface ContentKeys {
  /** Key of the content of one file. */
  ofFile(file: string): string
  /** Key of a run without a mutant. */
  ofSelection(selection: Selection): string
  /** Key of a run with one file's text replaced. */
  ofMutant(selection: Selection, file: string, mutatedText: string): string
}

/** Keys of runs in the tree at `root`. `files` are all files of the tree. */
export function createContentKeys(root: string, files: readonly string[], graph: ImportGraph): ContentKeys {
  const hashes = new Map<string, string>()
  const tests = new Map<string, string>()
  const hashOf = (file: string): string => {
    let hash = hashes.get(file)
    if (hash === undefined) hashes.set(file, (hash = existsSync(join(root, file)) ? digest(readFileSync(join(root, file))) : ''))
    return hash
  }
  const fixtures = files.filter((file) => file.startsWith('test/') && !/\.tsx?$/.test(file) && file !== EQUIVALENTS_FILE)
  const shared = digest(JSON.stringify([FORMAT, Bun.version, [...SHARED_FILES, ...fixtures].map((file) => [file, hashOf(file)])]))
  const ofTest = (test: string): string => {
    let key = tests.get(test)
    if (key === undefined) {
      const { distances, elsewhere } = graph.reachOf(test)
      const reached = [...new Set([...distances.keys(), ...elsewhere])].toSorted()
      tests.set(test, (key = digest(JSON.stringify([shared, test, reached.map((file) => [file, hashOf(file)])]))))
    }
    return key
  }
  const ofSelection = ({ test, names }: Selection): string => digest(JSON.stringify([ofTest(test), names ?? 'all']))
  return {
    ofFile: hashOf,
    ofSelection,
    ofMutant: (selection, file, mutatedText) => digest(JSON.stringify([ofSelection(selection), file, digest(mutatedText)])),
  }
}

function digest(content: string | Uint8Array): string {
  return new Bun.CryptoHasher('sha256').update(content).digest('hex')
}
