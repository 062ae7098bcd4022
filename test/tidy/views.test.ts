// Views of bytes leave a function only where a reason is listed, and the rule finds planted ones.

import { describe, expect, test } from 'bun:test'
import { readSourceFiles } from './source-tree.ts'
import { VIEWS_HANDED_OUT, viewsHandedOut } from './views.ts'

const found = (body: string): string[] => viewsHandedOut({ path: 'agent/a.ts', text: `export function parse(bytes: Uint8Array, kept: unknown[]) { ${body} }` })

describe('views of bytes', () => {
  test('are returned or stored only by the functions that are listed with a reason', () => {
    expect(readSourceFiles(['protocol', 'agent', 'bot']).flatMap(viewsHandedOut)).toEqual(Object.keys(VIEWS_HANDED_OUT).toSorted())
  })

  test.each([
    ['returned', 'return bytes.subarray(0, 4)'],
    ['returned in an object', 'const length = bytes[8]; return { digest: bytes.subarray(24, 56), length }'],
    ['returned in an object in a list', 'return [{ digest: bytes.subarray(24, 56) }]'],
    ['returned under a name', 'const digest = bytes.subarray(24, 56); return { digest }'],
    ['returned by a condition', 'return bytes.length > 4 ? bytes.subarray(0, 4) : undefined'],
    ['yielded', 'return function* () { yield bytes.subarray(0, 4) }'],
    ['given by an arrow function', 'const digestAt = (at: number) => bytes.subarray(at, at + 32); return digestAt(0)[0]'],
    ['pushed', 'kept.push(bytes.subarray(0, 4))'],
    ['pushed in an object', 'const row = { digest: bytes.subarray(0, 32) }; kept.push(row)'],
    ['stored in a map', `new Map().set('x', bytes.subarray(0, 4))`],
    ['stored in a member', 'this.rest = bytes.subarray(4)'],
    ['given to a constructor', 'new Record(bytes.subarray(0, 4))'],
    ['made of a buffer', 'return new Uint8Array(bytes.buffer, 8, 4)'],
    ['made of a whole buffer', 'return new Float64Array(bytes.buffer)'],
    ['made by Buffer.from', 'return Buffer.from(bytes.buffer, 8, 4)'],
  ])('are found when they are %s', (_how, body) => {
    expect(found(body)).toHaveLength(1)
  })

  test('are found when they go to an outer variable', () => {
    const text = 'export function reader() { let rest = new Uint8Array(0); return (piece: Uint8Array) => { rest = piece.subarray(4) } }'
    expect(viewsHandedOut({ path: 'agent/a.ts', text })).toEqual(['agent/a.ts reader'])
  })

  test.each([
    ['given to a function that is done with them', 'return checksumOf(bytes.subarray(0, 56))'],
    ['used under a name', 'const stored = bytes.subarray(64); if (checksumOf(stored) !== 1n) return undefined; return stored.length'],
    ['copied', 'return new Uint8Array(bytes.subarray(0, 32))'],
    ['copied into other bytes', 'const own = new Uint8Array(4); own.set(bytes.subarray(0, 4), 0); return own'],
    ['written', 'return file.write([bytes.subarray(0, 4)], 0)'],
    ['moved on', 'let rest = bytes; rest = rest.subarray(4); return rest.length'],
    ['text', `return Buffer.from('00ff', 'hex')`],
  ])('are accepted when they are %s', (_how, body) => {
    expect(found(body)).toEqual([])
  })
})
