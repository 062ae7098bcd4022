// What a command of the console loads: modules that only the service or an upload needs would double its start time.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Packages and files that running this file evaluates, without type-only and dynamic imports. */
function loadedBy(entry: string): Set<string> {
  const transpiler = new Bun.Transpiler({ loader: 'ts' })
  const loaded = new Set<string>()
  const visit = (path: string): void => {
    if (loaded.has(path)) return
    loaded.add(path)
    if (!path.endsWith('.ts')) return
    for (const { kind, path: specifier } of transpiler.scanImports(readFileSync(path, 'utf8'))) {
      if (kind !== 'import-statement') continue
      visit(specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier)
    }
  }
  visit(entry)
  return loaded
}

describe('a command of the console', () => {
  test('loads neither Bolt nor the tus client', () => {
    const loaded = loadedBy('bot/main.ts')
    expect(loaded).toContain('bot/commands/store/show/list.ts')
    const heavy = [...loaded].filter((path) => /^(?:@slack\/|tus-js-client|hono|bot\/slack\/(?!slack-unreachable|app-manifest))/.test(path))
    expect(heavy).toEqual([])
  })

  test('loads less than the service, which loads Bolt', () => {
    expect(loadedBy('bot/serve.ts')).toContain('@slack/bolt')
  })
})
