// How much of a wrong request its refusal repeats, and how long and how many the parts of a request may be, as literals.

import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import { createBodyRoom, readJson } from '../../../agent/http/json-body.ts'
import { readQuery } from '../../../agent/http/query.ts'
import { validateBody } from '../../../agent/http/validation.ts'
import { ProblemError } from '../../../protocol/problems.ts'

/** Returns the problem that a call throws; fails if it throws none. */
function problemOf(call: () => unknown): ProblemError {
  try {
    call()
  } catch (error) {
    if (error instanceof ProblemError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'read',
    (error: ProblemError) => error.code,
  )

describe('a refusal repeats 100 characters of an unknown member', () => {
  test.each([
    ['of a query', (name: string) => readQuery(new URLSearchParams({ [name]: '1' }), ['limit'])],
    ['of a body', (name: string) => validateBody(z.strictObject({ limit: z.int().optional() }), { [name]: 1 })],
  ])('%s', (_where, read) => {
    const shownOf = (length: number) => problemOf(() => read('x'.repeat(length))).problem['errors']
    expect(shownOf(100)).toMatchObject([{ member: 'x'.repeat(100) }])
    expect(shownOf(101)).toMatchObject([{ member: 'x'.repeat(100) }])
  })
})

describe('a body', () => {
  const post = (body: string | ReadableStream<Uint8Array>, headers: Record<string, string>): Request =>
    new Request('http://store/', { method: 'POST', headers, body })

  test('of JSON is counted against its sender from 16 KiB + 1 byte', async () => {
    const room = createBodyRoom()
    const actor = { name: 'a', role: 'viewer', tokenId: 'tok_1' } as const
    room.take(actor, 8 * 1024 * 1024)
    const sent = (length: number) => {
      const text = JSON.stringify('x'.repeat(length - 2))
      return codeOf(readJson(post(text, { 'content-type': 'application/json', 'content-length': String(length) }), { room, actor, lengthMax: 65_536 }))
    }
    expect([await sent(16_384), await sent(16_385)]).toEqual(['read', 'limit-reached'])
  })
})
