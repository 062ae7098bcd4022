// Applies the house rules to the whole tree, and each rule to a file that breaks it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { houseRuleViolations } from './house-rules.ts'
import { readSourceFiles } from './source-tree.ts'

// Parsing the whole tree takes five seconds of the processor, and more on a busy machine.
setDefaultTimeout(120_000)

describe('house rules', () => {
  test('every file follows them', () => {
    expect(readSourceFiles().flatMap(houseRuleViolations)).toEqual([])
  })

  test.each([
    ['no purpose', 'agent/slices/a.ts', 'export const x = 1'],
    ['JSX of an unnamed runtime', 'bot/web/a.tsx', '// A.\nexport const x = <p />'],
    ['a default export', 'agent/slices/a.ts', '// A.\nexport default 1'],
    ['a barrel', 'agent/slices/a.ts', `// A.\nexport * from './b.ts'`],
    ['a re-export', 'agent/slices/a.ts', `// A.\nexport { x } from './b.ts'`],
    ['an enum', 'agent/slices/a.ts', '// A.\nenum X { A }'],
    ['the environment', 'agent/slices/a.ts', `// A.\nexport const x = process.env['X']`],
    ['the console', 'bot/commands/a.ts', `// A.\nconsole.log('x')`],
    ['the time', 'agent/images/a.ts', '// A.\nexport const x = Date.now()'],
    ['the present date', 'agent/images/a.ts', '// A.\nexport const x = new Date()'],
    ['a timer', 'agent/images/a.ts', '// A.\nsetTimeout(() => {}, 1)'],
    ['chance', 'agent/images/a.ts', '// A.\nexport const x = Math.random()'],
    ['the file system', 'agent/images/a.ts', `// A.\nimport { readFileSync } from 'node:fs'\nreadFileSync('x')`],
    ['a database', 'agent/images/a.ts', `// A.\nimport { Database } from 'bun:sqlite'\nexport type X = Database`],
    ['a route that looks at the method', 'agent/http/routes/a.ts', `// A.\nexport const x = (request: Request) => request.method === 'HEAD'`],
    ['the text of an error, spelled out', 'agent/images/a.ts', '// A.\nexport const x = (e: unknown) => (e instanceof Error ? e.message : String(e))'],
    ['the text of an error or a word instead', 'bot/a.ts', `// A.\nexport const x = (e: unknown) => (e instanceof Error ? e.message : 'unknown')`],
    [
      'the code of an error, spelled out',
      'agent/images/a.ts',
      `// A.\nexport const x = (e: unknown) => e instanceof Error && 'code' in e && e.code === 'ENOENT'`,
    ],
    ['no extension', 'agent/images/a.ts', `// A.\nimport { x } from './b'\nx()`],
    ['no node: prefix', 'agent/images/a.ts', `// A.\nimport { join } from 'path'\njoin('x')`],
    ['an empty word in a name', 'agent/images/a.ts', '// A.\nexport function createImageManager() {}'],
    ['an empty word in a file name', 'agent/images/image-utils.ts', '// A.\nexport const x = 1'],
  ])('find %s', (_what, path, text) => {
    expect(houseRuleViolations({ path, text })).toHaveLength(1)
  })

  test('accept a good file', () => {
    const text = `// A.\nimport { join } from 'node:path'\nimport { x } from './b.ts'\nexport const at = new Date(x).toISOString() + join('a', 'b')`
    expect(houseRuleViolations({ path: 'agent/images/a.ts', text })).toEqual([])
  })
})
