// Which files a file runs: the modules it imports, and the programs and workers it starts, as far as their paths stand in it as text.

import { existsSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { parseSync } from 'oxc-parser'

/** A path to TypeScript in a string, such as the one in `new Worker(new URL('./digest-worker.ts', import.meta.url))`. */
const PROGRAM_PATH = /['"`]([^'"`\n]+\.tsx?)['"`]/g

interface Links {
  /** Modules that run when this one does. Imports of types do not. */
  readonly imports: readonly string[]
  /** Files that may run in another thread or process. */
  readonly programs: readonly string[]
}

/** How a file can be reached from a test file. */
export interface Reach {
  /** Steps by import to each file that runs in the thread of the test. */
  readonly distances: ReadonlyMap<string, number>
  /** Files that may run in a worker or in another process, where the coverage of the test does not see them. */
  readonly elsewhere: ReadonlySet<string>
}

export interface ImportGraph {
  reachOf(file: string): Reach
}

/** Reads the links of files when they are needed first. `root` is the folder of the repository. */
export function createImportGraph(root: string): ImportGraph {
  const links = new Map<string, Links>()
  const reaches = new Map<string, Reach>()
  const linksOf = (file: string): Links => {
    let found = links.get(file)
    if (!found) links.set(file, (found = readLinks(root, file)))
    return found
  }
  const reachOf = (file: string): Reach => {
    let reach = reaches.get(file)
    if (!reach) reaches.set(file, (reach = reachFrom(file, linksOf)))
    return reach
  }
  return { reachOf }
}

function reachFrom(file: string, linksOf: (file: string) => Links): Reach {
  const distances = distancesFrom([file], (from) => linksOf(from).imports)
  const programs = [...distances.keys()].flatMap((from) => linksOf(from).programs)
  const elsewhere = distancesFrom(programs, (from) => [...linksOf(from).imports, ...linksOf(from).programs])
  return { distances, elsewhere: new Set(elsewhere.keys()) }
}

/** Breadth first, so that each distance is the shortest. */
function distancesFrom(starts: readonly string[], next: (file: string) => readonly string[]): Map<string, number> {
  const distances = new Map(starts.map((file) => [file, 0]))
  // A map returns what is added to it during the loop.
  for (const [file, distance] of distances) for (const target of next(file)) if (!distances.has(target)) distances.set(target, distance + 1)
  return distances
}

function readLinks(root: string, file: string): Links {
  if (!/\.tsx?$/.test(file)) return { imports: [], programs: [] }
  const text = readFileSync(join(root, file), 'utf8')
  const folder = posix.dirname(file)
  const inTree = (path: string): string[] => (!path.startsWith('..') && existsSync(join(root, path)) ? [path] : [])
  const { module } = parseSync(file, text)
  const names = module.staticImports
    .filter(({ entries }) => entries.length === 0 || entries.some(({ isType }) => !isType))
    .map(({ moduleRequest }) => moduleRequest.value)
  const dynamic = module.dynamicImports.map(({ moduleRequest }) => text.slice(moduleRequest.start, moduleRequest.end).replaceAll(/^['"`]|['"`]$/g, ''))
  const imports = [...names, ...dynamic].filter((name) => name.startsWith('.')).flatMap((name) => inTree(posix.join(folder, name)))
  const isNamed = new Set(module.staticImports.map(({ moduleRequest }) => moduleRequest.value))
  const programs = [...text.matchAll(PROGRAM_PATH)]
    .flatMap(([, path = '']) => (isNamed.has(path) ? [] : [...inTree(posix.join(folder, path)), ...inTree(posix.normalize(path))]))
    .filter((path) => path !== file && !imports.includes(path))
  return { imports: [...new Set(imports)], programs: [...new Set(programs)] }
}
