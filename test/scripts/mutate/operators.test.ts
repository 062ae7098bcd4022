// Each mutation operator on a line of text, and code that no operator may change.

import { describe, expect, test } from 'bun:test'
import { mutantsOf, parses } from '../../../scripts/mutate/mutants.ts'

/** Returns the changed lines that one operator makes of a text. */
function changes(operator: string, text: string): string[] {
  return mutantsOf({ path: 'protocol/planted.ts', text })
    .filter((mutant) => mutant.operator === operator)
    .map(({ after }) => after)
}

describe('operators', () => {
  test.each([
    ['negate condition', 'if (isOpen()) go()', ['if (!(isOpen())) go()']],
    ['negate condition', 'if (!isOpen()) go()', ['if (isOpen()) go()']],
    ['negate condition', 'const x = ok ? 1 : 2', ['const x = !(ok) ? 1 : 2']],
    ['negate condition', 'if (a === b) go()', []],
    ['comparison', 'x = a < b', ['x = a <= b']],
    ['comparison', 'x = a <= b', ['x = a < b']],
    ['comparison', 'x = a > b', ['x = a >= b']],
    ['comparison', 'x = a >= b', ['x = a > b']],
    ['comparison', 'x = (a) === b', ['x = (a) !== b']],
    ['comparison', 'x = a !== b', ['x = a === b']],
    ['and/or', 'x = a && (b || c)', ['x = a || (b || c)', 'x = a && (b && c)']],
    ['optional chaining', 'x = a?.b', ['x = a.b']],
    ['optional chaining', 'x = a?.[0]', ['x = a[0]']],
    ['optional chaining', 'a?.(1)', ['a(1)']],
    ['arithmetic', 'x = a + b', ['x = a - b']],
    ['arithmetic', 'x -= a', ['x += a']],
    ['arithmetic', 'x++', ['x--']],
    ['arithmetic', 'x = a + "text" + b', []],
    ['arithmetic', 'x = `${a}` + b', []],
    ['min/max', 'x = Math.min(a, b)', ['x = Math.max(a, b)']],
    ['number', 'x = a[0]', ['x = a[1]']],
    ['number', 'x = a[i] ?? 0', []],
    ['number', 'x = a.b ?? 0', ['x = a.b ?? 1']],
    ['number', 'x = 4n', ['x = 5n']],
    ['limit', 'const PAGE_BYTES = 4 * 1024', ['const PAGE_BYTES = (4 * 1024) * 1000', 'const PAGE_BYTES = (4 * 1024) + 1']],
    ['limit', 'const IDS_MAX = 16n', ['const IDS_MAX = (16n) * 1000n', 'const IDS_MAX = (16n) + 1n']],
    ['limit', 'const POLL_MS = 200', ['const POLL_MS = (200) * 1000']],
    ['limit', 'const FLUSH_ROWS = 64 * 1024', ['const FLUSH_ROWS = (64 * 1024) * 1000']],
    ['number', 'const FLUSH_ROWS = 64 * 1024', []],
    ['number', 'const IDS_MAX = 16', []],
    ['number', 'const VERSION = 2', ['const VERSION = 3']],
    ['boolean', 'x = true', ['x = false']],
    ['return undefined', 'function f() { return 1 }', ['function f() { return undefined }']],
    ['return undefined', 'function f() { return undefined }', []],
    ['return undefined', 'function f() { return false }', []],
    ['drop await', 'await file.sync()', ['file.sync()']],
    ['drop await', 'async function f() { try { return await g() } finally { h() } }', ['async function f() { try { return g() } finally { h() } }']],
    ['drop await', 'const x = await file.read()', []],
    ['drop call', 'await file.sync()', ['{}']],
    ['drop call', 'void file.close()', ['{}']],
    ['drop call', 'a?.close()', ['{}']],
    ['remove guard', 'function f() { if (x) return 1 }', ['function f() { {} }']],
    ['remove guard', 'if (x) throw y', ['{}']],
    ['remove guard', 'for (;;) { if (x) continue }', ['for (;;) { {} }']],
    ['remove guard', 'if (x) go()', []],
    ['empty block', 'function f() { a = 1; b = 2 }', ['function f() {}']],
    ['empty block', 'function f() { go() }', []],
  ])('%s: %s', (operator, text, expected) => {
    expect(changes(operator, text)).toEqual(expected)
  })

  test('swaps two awaits in a row, unless the second needs the first', () => {
    expect(changes('swap order', 'await a()\nawait b()')).toEqual(['await b() await a()'])
    expect(changes('swap order', 'const x = await a()\nawait b(y)')).toEqual(['await b(y) const x = await a()'])
    expect(changes('swap order', 'const { x } = await a()\nawait b(x)')).toEqual([])
    expect(changes('swap order', 'a()\nb()')).toEqual([])
  })

  test('swaps statements that an order comment marks', () => {
    expect(changes('swap order', '// order: the name is known before the content.\n// It must be.\na.set(1)\nb.set(2)\nc()')).toEqual(['b.set(2) a.set(1)'])
  })

  test('every mutant of them parses', () => {
    const text = 'async function f() {\n  if (a?.b) return 1\n  await g()\n  await h()\n  const x = 1\n  ;[a] = [x]\n}'
    const mutants = mutantsOf({ path: 'protocol/planted.ts', text })
    expect(mutants.length).toBeGreaterThan(5)
    expect(mutants.filter((mutant) => !parses(mutant))).toEqual([])
  })
})

describe('left out', () => {
  test.each([
    ['types', 'type A = { a: 1; b: true }\nlet x: 1 | 2\ninterface B { c: true }'],
    ['imports', `import { a } from './a.ts'\nexport { b } from './b.ts'`],
    ['strings', `const code = 'not-found'`],
    ['log calls', 'log.warn(`${a + b}`, { isBad: true })\ndeps.log.info("x", { n: 1 })\nthis.#log.error("x")'],
    ['conditions of log calls', 'if (a > 1) log.info("x")\nelse if (b) { log.warn("y") } else log.warn("z")'],
    ['messages of errors', 'const x = new StoreRefused(`bad ${a + 1}`, { cause: true })'],
    ['messages', 'const x = { detail: a > b ? "one" : "two", action: `do ${n + 1}` }'],
    ['sentences', 'const x = `it has ${n + 1} of them`'],
    ['assertions', 'assert(a < b)'],
    ['crash points', `deps.crashPoint('x')`],
    ['proofs of exhaustiveness', 'switch (a) { default: throw new Error(String(a satisfies never)) }'],
  ])('%s', (_what, text) => {
    expect(mutantsOf({ path: 'protocol/planted.ts', text }).filter(({ operator }) => operator !== 'empty block')).toEqual([])
  })
})

test.each(['if (a > 1) { log.info("x"); n = 1 }', 'if (a > 1) log.info("x")\nelse go()', 'if (remove(a)) log.info("x")'])(
  'a condition that decides about more than a log call is mutated: %s',
  (text) => {
    expect(mutantsOf({ path: 'protocol/planted.ts', text }).map(({ operator }) => operator)).toContain(
      text.includes('remove') ? 'negate condition' : 'comparison',
    )
  },
)

describe('mutants', () => {
  test('name the lines of the change, in one line each', () => {
    const text = '// A.\nfunction f() {\n  if (x) {\n    go()\n    return\n  }\n}\n'
    const guard = mutantsOf({ path: 'a.ts', text }).find(({ operator }) => operator === 'remove guard')
    expect(guard).toMatchObject({ line: 3, lineLast: 6, before: 'if (x) { go() return }', after: '{}' })
    expect(guard?.mutatedText).toBe('// A.\nfunction f() {\n  {}\n}\n')
  })

  test('no two have the same text', () => {
    const texts = mutantsOf({ path: 'a.ts', text: 'if (a && b) { return_(1) }\nwhile (a < 1) { a++; b-- }' }).map(({ mutatedText }) => mutatedText)
    expect(new Set(texts).size).toBe(texts.length)
  })
})
