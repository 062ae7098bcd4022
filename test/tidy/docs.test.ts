// The documents say what is so: commands, links, crash points, problems and named tests exist, and none is left out.

import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { KNOWN_KEYS } from '../../agent/config.ts'
import packageFile from '../../package.json' with { type: 'json' }
import { COMMANDS } from '../../bot/commands/table.ts'
import { PROBLEMS } from '../../protocol/problems.ts'
import { readSourceFiles } from './source-tree.ts'

const read = (path: string): string => readFileSync(path, 'utf8')
const DOCUMENTS = [...new Bun.Glob('{*.md,docs/**/*.md}').scanSync('.')].toSorted()

/** First cells of the table rows of a section that are code. */
function codesOfSection(path: string, heading: string): string[] {
  const section =
    read(path)
      .split(/^## /m)
      .find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([^`]+)` /gm)].map(([, code = '']) => code)
}

describe('documents', () => {
  test.each(DOCUMENTS)('%s links to files that exist', (path) => {
    const targets = [...read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, target = '']) => target)
    expect(targets.filter((target) => !existsSync(join(dirname(path), target)))).toEqual([])
  })

  test.each(DOCUMENTS)('%s names scripts and files that exist', (path) => {
    const text = read(path)
    const scripts = [...text.matchAll(/\bbun(?:@[\d.]+)? run ([a-z]+)/g)].map(([, name = '']) => name)
    expect(scripts.filter((name) => !(name in packageFile.scripts))).toEqual([])
    const files = [...text.matchAll(/\bbun (?:test )?((?:agent|bot|scripts|test)\/[\w./-]+\.ts)/g)].map(([, file = '']) => file)
    expect(files.filter((file) => !existsSync(file))).toEqual([])
  })

  test.each(DOCUMENTS)('%s names commands of the console that exist', (path) => {
    const known = new Set(COMMANDS.flatMap(({ noun, verb }) => [`${noun} ${verb}`, noun]))
    const lines = [...read(path).matchAll(/^(?:slipway> |bun run slipway |npx -y bun@[\d.]+ run slipway )([a-z]+)(?: ([a-z]+))?/gm)]
    const unknown = lines.filter(([, noun = '', verb]) => noun !== 'help' && !known.has(verb === undefined ? noun : `${noun} ${verb}`))
    expect(unknown.map(([line]) => line)).toEqual([])
  })
})

describe('docs/architecture.md', () => {
  test('lists every crash point of the code, and no other', () => {
    const inCode = readSourceFiles(['agent']).flatMap(({ text }) => [...text.matchAll(/crashPoint\('([^']+)'\)/g)].map(([, name = '']) => name))
    expect(codesOfSection('docs/architecture.md', 'Crash points').toSorted()).toEqual([...new Set(inCode)].toSorted())
  })

  test('names a test that exists for every two concurrent operations', () => {
    const section = read('docs/architecture.md').split('## Concurrent operations')[1] ?? ''
    const rows = section.split('\n').filter((line) => /^\| (?!operations |-)/.test(line))
    expect(rows.length).toBeGreaterThan(30)
    for (const row of rows) {
      const [, path = '', name = ''] = /`(test\/[^`]+)` "([^"]+)"\s*\|$/.exec(row) ?? []
      expect([row, existsSync(path) && read(path).includes(name)]).toEqual([row, true])
    }
  })
})

describe('docs/operations.md', () => {
  test('lists every health check, and no other', () => {
    const inCode = [...read('agent/health/checks.ts').matchAll(/\bcheck\(\s*'([^']+)'/g)].map(([, name = '']) => name)
    expect(inCode.length).toBeGreaterThan(5)
    expect(codesOfSection('docs/operations.md', 'Health').toSorted()).toEqual(inCode.toSorted())
  })

  test('lists every key of the configuration', () => {
    const section = read('docs/operations.md').split('## Configuration')[1]?.split('\n## ')[0] ?? ''
    const missing = Object.entries(KNOWN_KEYS).flatMap(([name, keys]) =>
      Object.keys(keys).filter((key) => !section.includes(`\`${name}.${key}\``) && !section.includes(`\`.${key}\``)),
    )
    expect(missing).toEqual([])
    const example = read('systemd/examples/edge-a.toml')
    expect(Object.values(KNOWN_KEYS).flatMap((keys) => Object.keys(keys).filter((key) => !new RegExp(`^(?:# )?${key} = `, 'm').test(example)))).toEqual([])
  })

  test('lists every problem with its status, and no other', () => {
    expect(codesOfSection('docs/operations.md', 'Problems').toSorted()).toEqual(Object.keys(PROBLEMS).toSorted())
    const text = read('docs/operations.md')
    for (const [code, { status }] of Object.entries(PROBLEMS)) expect(text).toMatch(new RegExp(`^\\| \`${code}\` +\\| ${status} +\\|`, 'm'))
  })
})
