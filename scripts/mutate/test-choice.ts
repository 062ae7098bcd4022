// Which tests may kill a mutant: the test that mirrors the file, then those that import it, nearest first.

import type { ImportGraph } from './import-graph.ts'

/** Test files of the mirrored folder and below it that are considered for one source file. */
const OWN_TESTS_MAX = 30
/** Others that are considered, nearest first. */
const NEAR_TESTS_MAX = 12
/** How many may reach it in a worker or another process only: these are slow, and their coverage is not known. */
const TESTS_ELSEWHERE_MAX = 3

/** Farther than any import. */
const ELSEWHERE = Number.MAX_SAFE_INTEGER

/** Suites whose tests run in one process in seconds. The others start agents, cut their power or take minutes. */
const SUITE_FOLDERS = [
  'test/agent/',
  'test/bot/',
  'test/protocol/',
  'test/scripts/',
  'test/support/',
  'test/conformance/http/',
  'test/conformance/tus/',
  'test/fault/',
]

/** Whether a path is a test that is considered at all. */
export function isConsidered(path: string): boolean {
  return /\.test\.tsx?$/.test(path) && SUITE_FOLDERS.some((folder) => path.startsWith(folder))
}

/** Returns the test files to run against mutants of a file, the most promising first; empty if no test reaches it. */
export function choose(file: string, tests: readonly string[], graph: ImportGraph): string[] {
  const ranked = tests.flatMap((test) => {
    const { distances, elsewhere } = graph.reachOf(test)
    const distance = distances.get(file) ?? (elsewhere.has(file) ? ELSEWHERE : undefined)
    return distance === undefined ? [] : [{ test, distance, ownness: ownness(file, test) }]
  })
  ranked.sort((a, b) => b.ownness - a.ownness || a.distance - b.distance || (a.test < b.test ? -1 : 1))
  const far = ranked.filter(({ distance }) => distance === ELSEWHERE).slice(0, TESTS_ELSEWHERE_MAX)
  const reached = ranked.filter(({ distance }) => distance < ELSEWHERE)
  const own = reached.filter(({ ownness }) => ownness > 0).slice(0, OWN_TESTS_MAX)
  const near = reached.filter(({ ownness }) => ownness === 0).slice(0, NEAR_TESTS_MAX)
  return [...own, ...near, ...far].map(({ test }) => test)
}

/** Whether a test mirrors the file: `test/agent/x/y.test.ts` for `agent/x/y.ts`. */
export function isMirror(file: string, test: string): boolean {
  return test.replace(/\.test\.tsx?$/, '') === mirrored(file)
}

/** 2 for the test that mirrors the file, 1 for one in the mirrored folder, else 0. */
function ownness(file: string, test: string): number {
  if (isMirror(file, test)) return 2
  const path = mirrored(file)
  return test.startsWith(path.slice(0, path.lastIndexOf('/') + 1)) ? 1 : 0
}

function mirrored(file: string): string {
  return `test/${file.replace(/\.tsx?$/, '')}`
}
