// The table of costs is complete: every request of the interface has a kind, every kind is documented with the same figures, and every
// kind is attacked.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OpenApiDocument } from '../../agent/http/openapi/document.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { BUDGETS } from './budgets.ts'

const METHODS = new Set(['get', 'head', 'post', 'put', 'patch', 'delete', 'options'])
const MIB = 1024 * 1024

/** Returns the cells of each row of the table in docs/internals/request-costs.md, by kind. */
function documentedRows(): Map<string, string[]> {
  const section = readFileSync('docs/internals/request-costs.md', 'utf8')
  const rows = section.split('\n').filter((line) => /^\| (?!kind|-)/.test(line))
  return new Map(
    rows.map((line) => {
      const cells = line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
      return [cells[0] ?? '', cells]
    }),
  )
}

describe('budgets', () => {
  test('cover exactly the operations of the interface', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const document = (await (await fetch(`${agent.url}/v1/openapi.json`, { headers: agent.headers() })).json()) as OpenApiDocument
    const operations = Object.entries(document.paths).flatMap(([path, members]) =>
      Object.keys(members)
        .filter((name) => METHODS.has(name))
        .map((method) => `${method.toUpperCase()} ${path}`),
    )
    const budgeted = new Set(Object.values(BUDGETS).flatMap((budget): readonly string[] => budget.operations))
    expect(operations.filter((operation) => !budgeted.has(operation))).toEqual([])
    expect([...budgeted].filter((operation) => !operations.includes(operation))).toEqual([])
  })

  test('are documented in docs/internals/request-costs.md with the same figures', () => {
    const rows = documentedRows()
    expect([...rows.keys()].toSorted()).toEqual(Object.keys(BUDGETS).toSorted())
    for (const [kind, { memoryBytes, disk, loopMs }] of Object.entries(BUDGETS)) {
      const diskCell = disk === 'promised' ? 'promised' : disk === 0 ? '–' : `${disk / MIB} MiB`
      expect(rows.get(kind)?.slice(2, 5)).toEqual([`${memoryBytes / MIB} MiB`, diskCell, `${loopMs} ms`])
    }
  })

  test('are all attacked', () => {
    const attacks = readdirSync(import.meta.dir)
      .filter((name) => name.endsWith('.test.ts') && name !== 'budgets.test.ts')
      .map((name) => readFileSync(join(import.meta.dir, name), 'utf8'))
      .join('\n')
    expect(Object.keys(BUDGETS).filter((kind) => !attacks.includes(`, '${kind}', `))).toEqual([])
  })
})
