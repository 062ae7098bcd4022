// Which mutants the type checker refuses. Such a change cannot be committed, so it says nothing about the tests and is not judged.
//
// One run of the checker is about many mutants: each is written beside the file that it changes, under a name of its own. Errors that
// a mutant would cause in other files are not seen, so a few mutants that do not compile are judged all the same.

import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Mutant } from './mutants.ts'

/** Mutants in one run of the checker: it holds all of them in memory. */
const MUTANTS_MAX = 2000
const CONFIG_FILE = 'tsconfig.mutants.json'
const CHECKER = resolve(import.meta.dir, '../../node_modules/.bin/tsc')

/** Returns the mutants that do not compile. `root` is a copy of the tree that nothing else uses; files are added to it. */
export async function refusedByTypes(root: string, mutants: readonly Mutant[], signal: AbortSignal): Promise<Set<Mutant>> {
  const refused = new Set<Mutant>()
  for (let at = 0; at < mutants.length && !signal.aborted; at += MUTANTS_MAX) {
    for (const mutant of await refusedOf(root, mutants.slice(at, at + MUTANTS_MAX), signal)) refused.add(mutant)
  }
  return refused
}

async function refusedOf(root: string, mutants: readonly Mutant[], signal: AbortSignal): Promise<Mutant[]> {
  const copies = new Map(mutants.map((mutant, i) => [nameOfCopy(mutant.file, `mutant-${i}`), mutant]))
  for (const [path, { mutatedText }] of copies) writeFileSync(join(root, path), mutatedText)
  // A copy of a class is another type than the class. A file whose unchanged copy is refused for such a reason is left out.
  const unchanged = new Map([...new Set(mutants.map(({ file }) => file))].map((file) => [nameOfCopy(file, 'unchanged'), file]))
  for (const [path, file] of unchanged) copyFileSync(join(root, file), join(root, path))
  const withErrors = await filesWithErrors(root, [...copies.keys(), ...unchanged.keys()], signal)
  const unclear = new Set([...unchanged].filter(([path]) => withErrors.has(path)).map(([, file]) => file))
  return [...copies].filter(([path, { file }]) => withErrors.has(path) && !unclear.has(file)).map(([, mutant]) => mutant)
}

function nameOfCopy(file: string, name: string): string {
  return file.replace(/(\.tsx?)$/, `.${name}$1`)
}

/** Returns the files with an error. A name that a mutant leaves unused is none: who forgets a line forgets what it needs as well. */
async function filesWithErrors(root: string, files: readonly string[], signal: AbortSignal): Promise<Set<string>> {
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false }
  const config = { extends: './tsconfig.json', compilerOptions, include: ['protocol/*.d.ts', 'agent/*.d.ts', 'bot/*.d.ts'], files }
  writeFileSync(join(root, CONFIG_FILE), JSON.stringify(config))
  const child = Bun.spawn([CHECKER, '--project', CONFIG_FILE, '--pretty', 'false'], { cwd: root, stdin: 'ignore', stdout: 'pipe', stderr: 'inherit', signal })
  const [output, code] = await Promise.all([new Response(child.stdout).text(), child.exited])
  const found = new Set([...output.matchAll(/^(\S+)\(\d+,\d+\): error TS/gm)].flatMap(([, path]) => (path === undefined ? [] : [path])))
  if (code !== 0 && found.size === 0 && !signal.aborted) throw new Error(`The type checker failed with exit code ${code}: ${output.slice(0, 500)}`)
  return found
}
