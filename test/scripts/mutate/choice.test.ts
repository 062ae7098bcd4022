// The choice of tests for a mutant: by imports, programs, coverage and changed lines.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseDiff } from '../../../scripts/mutate/git.ts'
import { createImportGraph } from '../../../scripts/mutate/import-graph.ts'
import { inRuns } from '../../../scripts/mutate/mutation-run.ts'
import { choose, promise } from '../../../scripts/mutate/test-choice.ts'
import { parseWords } from '../../../scripts/mutate/words.ts'

test('a test promises more the nearer its folder mirrors that of the file', () => {
  const file = 'agent/images/formats/qcow2/header.ts'
  const tests = ['test/agent/uploads/life.test.ts', 'test/agent/images/removal.test.ts', 'test/agent/images/formats/table.test.ts', 'test/fault/images.test.ts']
  expect(tests.map((one) => promise(file, one))).toEqual([1, 4, 16, 1])
  expect(promise('bot/commands/image/list.ts', 'test/bot/commands/images.test.ts')).toBe(4)
})

describe('import graph', () => {
  let root: string
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'graph-'))
    const files = {
      'agent/x/y.ts': `import type { T } from './types.ts'\nexport const a = 1`,
      'agent/x/types.ts': 'export type T = 1',
      'agent/x/worker.ts': `import { a } from './y.ts'\nimport './deep.ts'`,
      'agent/x/deep.ts': 'export {}',
      'agent/x/pool.ts': `import { a, type T } from './y.ts'\nnew Worker(new URL('./worker.ts', import.meta.url))`,
      'test/agent/x/y.test.ts': `import { a } from '../../../agent/x/y.ts'`,
      'test/agent/x/pool.test.ts': `const { pool } = await import('../../../agent/x/pool.ts')`,
      'test/protocol/far.test.ts': `import { a } from '../../agent/x/y.ts'`,
      'test/bot/none.test.ts': `import type { a } from '../../agent/x/y.ts'`,
    }
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
  })
  afterAll(() => rmSync(root, { recursive: true }))

  const tests = ['test/bot/none.test.ts', 'test/protocol/far.test.ts', 'test/agent/x/pool.test.ts', 'test/agent/x/y.test.ts']

  test('follows imports of values, and not of types', () => {
    const { distances } = createImportGraph(root).reachOf('test/agent/x/pool.test.ts')
    expect(Object.fromEntries(distances)).toEqual({ 'test/agent/x/pool.test.ts': 0, 'agent/x/pool.ts': 1, 'agent/x/y.ts': 2 })
  })

  test('includes what runs in a worker', () => {
    const { elsewhere } = createImportGraph(root).reachOf('test/agent/x/pool.test.ts')
    expect([...elsewhere].toSorted()).toEqual(['agent/x/deep.ts', 'agent/x/worker.ts', 'agent/x/y.ts'])
  })

  test('never leaves out a test of the same part, and takes few of the others', () => {
    const many = (folder: string): string[] => Array.from({ length: 20 }, (_, i) => `${folder}/t${String(i).padStart(2, '0')}.test.ts`)
    const reachOf = () => ({ distances: new Map([['bot/commands/image/sync.ts', 3]]), elsewhere: new Set<string>() })
    const chosen = choose('bot/commands/image/sync.ts', [...many('test/agent/x'), ...many('test/bot/commands'), 'test/bot/commands/sync.test.ts'], { reachOf })
    expect(chosen[0]).toBe('test/bot/commands/sync.test.ts')
    expect(chosen.slice(1, 21)).toEqual(many('test/bot/commands'))
    expect(chosen.slice(21)).toEqual(many('test/agent/x').slice(0, 12))
  })

  test('chooses the mirroring test first, then the nearest', () => {
    const graph = createImportGraph(root)
    expect(choose('agent/x/y.ts', tests, graph)).toEqual(['test/agent/x/y.test.ts', 'test/agent/x/pool.test.ts', 'test/protocol/far.test.ts'])
    expect(choose('agent/x/pool.ts', [...tests].toReversed(), graph)[0]).toBe('test/agent/x/pool.test.ts')
    expect(choose('agent/x/deep.ts', tests, graph)).toEqual(['test/agent/x/pool.test.ts'])
    expect(choose('agent/x/types.ts', tests, graph)).toEqual([])
  })
})

test('in a limited time mutants of one file follow one another, in runs that alternate between workers', () => {
  const mutants = Array.from('abacbaaaaaaaa').map((file, i) => ({ file, i }))
  const order = inRuns(mutants, 2).map(({ file, i }) => `${file}${i}`)
  expect(order).toEqual(['a0', 'b1', 'a2', 'b4', 'a5', 'a6', 'a7', 'a8', 'a9', 'a10', 'c3', 'a11', 'a12'])
})

test('changed lines are lines of the new text', () => {
  const diff = '--- a/agent/a.ts\n+++ b/agent/b.ts\n@@ -3 +4 @@ f\n-x\n+y\n@@ -9,2 +10,3 @@\n+a\n@@ -20,2 +22,0 @@\n-a\n--- a/c.ts\n+++ /dev/null\n'
  expect([...parseDiff(diff)]).toEqual([
    [
      'agent/b.ts',
      [
        { line: 4, lineLast: 4 },
        { line: 10, lineLast: 12 },
      ],
    ],
  ])
})

test('the arguments of the command are parsed', () => {
  expect(parseWords(['agent/x/', 'b.ts:3', 'c.ts:4-9', '--since', 'HEAD~2', '--minutes', '1.5', '--sample', '7', '--seed', '3', '--workers', '2'])).toEqual({
    scopes: [{ path: 'agent/x' }, { path: 'b.ts', lines: { line: 3, lineLast: 3 } }, { path: 'c.ts', lines: { line: 4, lineLast: 9 } }],
    since: 'HEAD~2',
    limitMs: 90_000,
    sample: 7,
    seed: 3,
    workers: 2,
    json: false,
  })
  expect(() => parseWords(['--seed', 'x'])).toThrow('--seed takes a number')
})
