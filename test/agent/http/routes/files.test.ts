// Content of files of the mount path: whole, in ranges, conditionally, and that each answer closes its file.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'
import { createMemoryFiles } from '../../../support/memory/memory-files.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const MIB = 1024 * 1024
const SMALL = Uint8Array.from({ length: 1000 }, (_unused, i) => i % 251)
const LONG = Uint8Array.from({ length: 3 * MIB }, (_unused, i) => i % 253)

async function openApp() {
  const files = createMemoryFiles({ small: SMALL, long: LONG, empty: new Uint8Array(0) })
  const memory = await createMemoryApp({ files })
  const ask = async (path: string, options: RequestInit = {}) => {
    const answer = await memory.ask(`/v1/files/content?path=${path}`, { role: 'operator', ...options })
    const { status, headers } = answer
    const bytes = new Uint8Array(await answer.arrayBuffer())
    return { status, bytes, length: headers.get('content-length'), range: headers.get('content-range'), etag: headers.get('etag') ?? '' }
  }
  return { ask, openCount: files.openCount, [Symbol.asyncDispose]: () => memory[Symbol.asyncDispose]() }
}

describe('the content of a file', () => {
  test.each([
    ['small', SMALL],
    ['long', LONG],
    ['empty', new Uint8Array(0)],
  ])('is sent whole: %s', async (path, bytes) => {
    await using app = await openApp()
    const answer = await app.ask(path)
    expect([answer.status, answer.length, answer.range]).toEqual([200, String(bytes.byteLength), null])
    expect(Buffer.from(answer.bytes).equals(bytes)).toBe(true)
    expect(app.openCount()).toBe(0)
  })

  test.each([
    ['small', 'bytes=100-199', 100, 200, SMALL],
    ['small', 'bytes=-1', 999, 1000, SMALL],
    ['long', 'bytes=2000000-2000009', 2_000_000, 2_000_010, LONG],
    ['long', 'bytes=100-', 100, 3 * MIB, LONG],
  ] as const)('is sent in ranges: %s %s', async (path, range, start, end, bytes) => {
    await using app = await openApp()
    const answer = await app.ask(path, { headers: { range } })
    expect([answer.status, answer.length, answer.range]).toEqual([206, String(end - start), `bytes ${start}-${end - 1}/${bytes.byteLength}`])
    expect(Buffer.from(answer.bytes).equals(bytes.subarray(start, end))).toBe(true)
    expect(app.openCount()).toBe(0)
  })

  test('is not there for a range beyond the end, which names the length', async () => {
    await using app = await openApp()
    const answer = await app.ask('small', { headers: { range: 'bytes=1000-' } })
    expect([answer.status, answer.range]).toEqual([416, 'bytes */1000'])
    expect(app.openCount()).toBe(0)
  })

  test('is not sent to HEAD, whose answer ignores ranges and has the length', async () => {
    await using app = await openApp()
    const answer = await app.ask('small', { method: 'HEAD', headers: { range: 'bytes=0-9' } })
    expect([answer.status, answer.length, answer.range, answer.bytes.byteLength]).toEqual([200, '1000', null, 0])
    expect(app.openCount()).toBe(0)
  })

  test('is not sent again to a client that has it, and refused to one that expects another', async () => {
    await using app = await openApp()
    const { etag } = await app.ask('small')
    expect((await app.ask('small', { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect((await app.ask('small', { headers: { 'if-match': '"another"' } })).status).toBe(412)
    expect((await app.ask('small', { headers: { 'if-range': '"another"', range: 'bytes=0-9' } })).status).toBe(200)
    expect((await app.ask('small', { headers: { 'if-range': etag, range: 'bytes=0-9' } })).status).toBe(206)
    expect(app.openCount()).toBe(0)
  })

  test.each([
    ['bytes=2097152-3145727', 'answered with the error'],
    ['bytes=2097151-3145727', 'broken off'],
  ])('that cannot be read is, up to 1 MiB, answered with an error, and later broken off: %s is %s', async (range, outcome) => {
    const files = createMemoryFiles({ long: LONG }, 2_000_000)
    await using memory = await createMemoryApp({ files })
    const answer = await memory.ask('/v1/files/content?path=long', { role: 'operator', headers: { range } })
    if (outcome === 'broken off') {
      expect(answer.status).toBe(206)
      await expect(answer.bytes()).rejects.toThrow('EIO')
    } else expect(answer.status).toBe(500)
    expect(files.openCount()).toBe(0)
  })
})
