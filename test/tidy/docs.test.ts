// The documents name commands that a reader can run as they stand.

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'

const DOCUMENTS = ['README.md', ...new Bun.Glob('docs/*.md').scanSync('.')]

/** Lines that call `bun` by its name, which the two commands of the README do not install. */
function bareCalls(text: string): string[] {
  return text.split('\n').filter((line) => /(?:^|`)bun (?:run|test|[\w/-]+\.ts)/.test(line.trim()))
}

describe('documents', () => {
  test('are found, and a bare call in one would be', () => {
    expect(DOCUMENTS.length).toBeGreaterThan(5)
    expect(bareCalls('bun run check\n`bun agent/main.ts serve`\nnpx -y bun@1.4.5 run check')).toHaveLength(2)
  })

  test.each(DOCUMENTS)('%s calls bun through npx', (path) => {
    expect(bareCalls(readFileSync(path, 'utf8'))).toEqual([])
  })
})
