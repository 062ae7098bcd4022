// Which tests may kill a mutant: the test that mirrors the file, then those that import it, nearest first.

import type { ImportGraph } from './import-graph.ts'

/** A part of the program has tests in folders such as test/agent/uploads or test/bot/commands: so many folders deep. */
const PART_DEPTH = 3
/** Test files of the part of a source file that are considered for it. */
const OWN_TESTS_MAX = 30
/** Others that are considered, nearest first. */
const NEAR_TESTS_MAX = 12
/** How many may reach it in a worker or another process only: these are slow, and their coverage is not known. */
const TESTS_ELSEWHERE_MAX = 3

/** A test in the folder that mirrors the file's kills as many times as many of its mutants. */
const FOLDER_PROMISE = 4
const PROMISE_FOLDERS_MAX = 4

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
    // Tests of scripts name many files without running them.
    if (test.startsWith('test/scripts/') !== file.startsWith('scripts/')) return []
    const { distances, elsewhere } = graph.reachOf(test)
    const distance = distances.get(file) ?? (elsewhere.has(file) ? ELSEWHERE : undefined)
    return distance === undefined ? [] : [{ test, distance, kinship: kinship(file, test) }]
  })
  ranked.sort((a, b) => b.kinship - a.kinship || a.distance - b.distance || (a.test < b.test ? -1 : 1))
  const far = ranked.filter(({ distance }) => distance === ELSEWHERE).slice(0, TESTS_ELSEWHERE_MAX)
  const reached = ranked.filter(({ distance }) => distance < ELSEWHERE)
  const own = reached.filter(({ kinship }) => kinship > 0).slice(0, OWN_TESTS_MAX)
  const near = reached.filter(({ kinship }) => kinship === 0).slice(0, NEAR_TESTS_MAX)
  return [...own, ...near, ...far].map(({ test }) => test)
}

/** Whether a test mirrors the file: `test/agent/x/y.test.ts` for `agent/x/y.ts`. */
export function isMirror(file: string, test: string): boolean {
  return withoutEnding(test) === mirrored(file)
}

/** How promising a test is by its path: 1 for another part of the program, more for each folder that it shares with the file. */
export function promise(file: string, test: string): number {
  const shared = kinship(file, test)
  return shared === 0 ? 1 : FOLDER_PROMISE ** Math.min(PROMISE_FOLDERS_MAX, 1 + shared - PART_DEPTH)
}

/** How much the paths have in common, most for the test that mirrors the file; 0 outside of the part of the program that the file belongs to. */
function kinship(file: string, test: string): number {
  if (isMirror(file, test)) return Number.MAX_SAFE_INTEGER
  const folders = mirrored(file).split('/').slice(0, -1)
  const others = withoutEnding(test).split('/')
  const shared = folders.findIndex((folder, i) => folder !== others[i])
  const depth = shared < 0 ? folders.length : shared
  if (depth < Math.min(PART_DEPTH, folders.length)) return 0
  return depth + (others.at(-1) === mirrored(file).split('/').at(-1) ? PART_DEPTH : 0)
}

function mirrored(file: string): string {
  return `test/${withoutEnding(file)}`
}

function withoutEnding(path: string): string {
  return path.replace(/(?:\.test)?\.tsx?$/, '')
}
