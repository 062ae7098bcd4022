// Files of evidence: bounds, cuts, and secrets that may not pass.

import { describe, expect, test } from 'bun:test'
import { evidenceReadme, jsonDocument, jsonLines, maskSecrets, readPart } from '../../protocol/evidence.ts'
import type { EvidencePart } from '../../protocol/evidence.ts'

const turn = (): Promise<void> => Promise.resolve()
const part = (lines: Iterable<string>, bytesMax = 1000): EvidencePart => ({ name: 'a.txt', about: 'lines', bytesMax, read: () => lines })

describe('maskSecrets', () => {
  test.each([
    ['Authorization: Bearer slp_abcdefghijklmnop', 'Authorization: Bearer ***'],
    ['a slg_0123456789abcdefghijklmnop b', 'a *** b'],
    ['https://ann:hunter2@mirror.example/x.iso?sig=abc#part', 'https://mirror.example/x.iso?***'],
    ['sftp://ann@files.example/x', 'sftp://files.example/x'],
    ['https://mirror.example/x.iso', 'https://mirror.example/x.iso'],
    ['GET /v1/images/a/content?link=eyJ.abc&as=raw', 'GET /v1/images/a/content?link=***&as=raw'],
    ['{"privateKey":"-----BEGIN OPENSSH PRIVATE KEY-----\\nabc"}', '{"privateKey":"***"}'],
    ['{"password":"a\\"b","tokenId":"tok_1","admin-token":"x"}', '{"password":"***","tokenId":"tok_1","admin-token":"***"}'],
    ['-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nrest', '***\nrest'],
    ['Basic dXNlcjpwYXNz', 'Basic ***'],
    ['nothing secret: 10 of 12 tokens', 'nothing secret: 10 of 12 tokens'],
  ])('%s', (text, masked) => {
    expect(maskSecrets(text)).toBe(masked)
  })

  test('replaces the given texts, also as JSON spells them', () => {
    expect(maskSecrets('x se"cret y', ['se"cret', ''])).toBe('x *** y')
    expect(maskSecrets('{"detail":"x se\\"cret"}', ['se"cret'])).toBe('{"detail":"x ***"}')
  })

  test.each([
    ['addresses', 'https://'.repeat(2000)],
    ['quotes', '"'.repeat(16_000)],
    ['a word after a quote', `"${'token'.repeat(3200)}`],
    ['beginnings of keys', '-----BEGIN PRIVATE KEY-----'.repeat(600)],
    ['parameters', '?link='.repeat(2600)],
  ])('takes little time for a line of %s', (_name, text) => {
    const before = performance.now()
    for (let i = 0; i < 5; i++) maskSecrets(text)
    expect(performance.now() - before).toBeLessThan(2000)
  })
})

describe('readPart', () => {
  test('keeps the first lines up to its bound, and says that it was cut', async () => {
    expect(await readPart(part(['aaaa', 'bbbb', 'cccc'], 10), [], turn)).toEqual({ name: 'a.txt', text: 'aaaa\nbbbb\n', about: 'lines; cut at 10 bytes' })
    expect(await readPart(part(['aaaa', 'bbbb'], 10), [], turn)).toEqual({ name: 'a.txt', text: 'aaaa\nbbbb\n', about: 'lines' })
    expect(await readPart(part(['ä', 'b'], 4), [], turn)).toMatchObject({ text: 'ä\n' })
    expect(await readPart(part([]), [], turn)).toMatchObject({ text: '' })
  })

  test('reads no more than it keeps', async () => {
    let made = 0
    const endless = function* (): Generator<string> {
      for (;;) yield `line ${++made}`
    }
    await readPart({ ...part([], 100), read: endless }, [], turn)
    expect(made).toBe(14)
  })

  test('masks a whole line before it cuts it, and leaves out one that is too long to mask', async () => {
    const secret = 'x'.repeat(100)
    const long = `${'a '.repeat(4070)}${secret}`
    expect((await readPart(part([long], 100_000), [secret], turn)).text).not.toContain('xxx')
    expect((await readPart(part(['b'.repeat(16_385)], 100_000), [], turn)).text).toBe('(a line of 16385 characters is left out)\n')
    expect((await readPart(part(['b'.repeat(16_384)], 100_000), [], turn)).text).toBe(`${'b'.repeat(8192)}\n`)
  })

  test('gives the event loop turns', async () => {
    let turns = 0
    await readPart(part(jsonLines(Array.from({ length: 1000 }, (_, i) => i)), 100_000), [], async () => void turns++)
    expect(turns).toBe(5)
  })
})

test('README.txt begins with its head and lists the files', () => {
  const text = evidenceReadme(
    ['Evidence of edge-a'],
    [
      { name: 'a.json', text: '', about: 'first' },
      { name: 'longer.txt', text: '', about: 'second' },
    ],
  )
  expect(text.startsWith('Evidence of edge-a\n\n')).toBe(true)
  expect(text).toContain('\na.json      first\nlonger.txt  second\n')
  expect(jsonDocument({ a: 1 })).toEqual(['{', '  "a": 1', '}'])
})
