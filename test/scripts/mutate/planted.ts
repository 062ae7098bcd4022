// A small repository with planted mutants: one that its test kills, one that survives, one that no test reaches, one that is
// equivalent, and one that never ends.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const SOURCE = `// Planted.

export function isAdult(age: number): boolean {
  return age >= 18
}

export function unseen(a: number, b: number): number {
  return a + b
}

export function larger(a: number, b: number): number {
  return a > b ? a : b
}

export function stepsTo(goal: number): number {
  let at = 0
  while (at !== goal) at++
  return at
}
`

const TEST = `// Planted.
import { expect, test } from 'bun:test'
import { isAdult, larger, stepsTo } from '../../protocol/planted.ts'

test('is adult', () => {
  expect(isAdult(30)).toBe(true)
  expect(isAdult(3)).toBe(false)
})

test('larger', () => {
  expect(larger(1, 2)).toBe(2)
  expect(larger(2, 1)).toBe(2)
})

test('steps', () => {
  expect(stepsTo(3)).toBe(3)
})
`

/** A failing test. Its name sorts before that of the passing one, and it reaches the same file. */
const FAILING_TEST = `// Planted.
import { expect, test } from 'bun:test'
import { isAdult } from '../../protocol/planted.ts'

test('never passes', () => {
  expect(isAdult(18)).toBe('perhaps')
})
`

/** The mutation of `larger` that does not change its behaviour. */
export const EQUIVALENT = {
  file: 'protocol/planted.ts',
  operator: 'comparison',
  before: 'return a > b ? a : b',
  after: 'return a >= b ? a : b',
  reason: 'Of two equal numbers either is the larger one.',
}

export interface Planted extends Disposable {
  readonly root: string
  /** TMPDIR of the runs. */
  readonly temporary: string
  write(path: string, text: string): void
  git(...words: string[]): string
  /** Starts a mutation run in the repository. */
  start(...words: string[]): Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  /** Starts a mutation run and waits for its end. */
  mutate(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }>
  /** Returns the files that runs have left in TMPDIR. */
  leftovers(): string[]
}

export function plant(): Planted {
  const folder = mkdtempSync(join(tmpdir(), 'planted-'))
  const [root, temporary] = [join(folder, 'repository'), join(folder, 'tmp')]
  mkdirSync(temporary)
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const git = (...words: string[]): string => {
    const identity = ['-c', 'user.name=planted', '-c', 'user.email=planted@example.org']
    const result = Bun.spawnSync(['git', '-C', root, ...identity, ...words], { stdin: 'ignore', stderr: 'pipe' })
    if (!result.success) throw new Error(result.stderr.toString())
    return result.stdout.toString()
  }
  write('protocol/planted.ts', SOURCE)
  write('test/protocol/planted.test.ts', TEST)
  write('test/protocol/failing.test.ts', FAILING_TEST)
  write('test/mutants.json', JSON.stringify({ equivalent: [EQUIVALENT] }))
  write('tsconfig.json', JSON.stringify({ compilerOptions: { strict: true, module: 'Preserve', target: 'ESNext', noEmit: true, types: [] } }))
  // What is neither a file nor ignored is not copied.
  symlinkSync('protocol', join(root, 'link'))
  git('init', '-q')
  git('add', '.')
  git('commit', '-qm', 'planted')
  const start = (...words: string[]): Bun.Subprocess<'ignore', 'pipe', 'pipe'> =>
    Bun.spawn([process.execPath, resolve(import.meta.dir, '../../../scripts/mutate.ts'), ...words], {
      cwd: root,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      env: { ...process.env, TMPDIR: temporary, SLIPWAY_TEST_CACHE: join(folder, 'cache') },
    })
  return {
    root,
    temporary,
    write,
    git,
    start,
    async mutate(...words) {
      const child = start(...words)
      const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
      return { code, stdout, stderr }
    },
    leftovers: () => readdirSync(temporary),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}
