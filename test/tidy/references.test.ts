// Documents refer to files and tests that exist, and comments refer to documents that exist.

import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { readSourceFiles } from './source-tree.ts'

const DOCUMENTS = ['README.md', ...new Bun.Glob('docs/**/*.md').scanSync('.')].toSorted()

/** Returns the paths of the repository in backticks that do not exist. Skips paths with a placeholder and databases. */
function missingPaths(text: string): string[] {
  const paths = [...text.matchAll(/`((?:agent|bot|docs|protocol|scripts|systemd|test)\/[\w./@-]*)`/g)].map((match) => match[1] ?? '')
  return paths.filter((path) => !path.endsWith('.db') && !existsSync(path))
}

/** Returns the tests quoted as `file` "name" whose file does not contain the name. */
function missingTests(text: string): string[] {
  return [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)` "([^"]+)"/g)].flatMap(([quoted, path = '', name = '']) =>
    existsSync(path) && readFileSync(path, 'utf8').includes(name) ? [] : [quoted],
  )
}

describe('references', () => {
  test('that lead nowhere are found', () => {
    expect(missingPaths('`agent/main.ts` and `agent/gone.ts`, but `uploads/<id>/`')).toEqual(['agent/gone.ts'])
    expect(missingTests('`test/tidy/references.test.ts` "that lead nowhere are found"')).toEqual([])
    expect(missingTests(`\`test/tidy/references.test.ts\` "${['no', 'such', 'name'].join(' ')}"`)).toHaveLength(1)
  })

  test.each(DOCUMENTS)('%s names files and tests that exist', (path) => {
    const text = readFileSync(path, 'utf8')
    expect([...missingPaths(text), ...missingTests(text)]).toEqual([])
  })

  test('of comments name documents that exist', () => {
    const missing = readSourceFiles().flatMap(({ path, text }) =>
      [...text.matchAll(/\bdocs\/[\w/-]+\.md\b/g)].flatMap(([document]) => (existsSync(document) ? [] : [`${path}: ${document}`])),
    )
    expect(missing).toEqual([])
  })

  test('list every crash point of the agent, and no other', () => {
    const inCode = readSourceFiles(['agent']).flatMap(({ text }) => [...text.matchAll(/crashPoint\??\.?\('([a-z:-]+)'\)/g)].map((match) => match[1] ?? ''))
    const listed = [...readFileSync('docs/internals/crash-points.md', 'utf8').matchAll(/^\| `([a-z:-]+)`/gm)].map((match) => match[1] ?? '')
    expect([...new Set(inCode)].toSorted()).toEqual(listed.toSorted())
  })
})
