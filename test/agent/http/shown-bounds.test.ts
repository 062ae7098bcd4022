// How much of a wrong request its refusal repeats, and how long and how many the parts of a request may be, as literals.

import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import { parseRange } from '../../../agent/http/content/ranges.ts'
import { createStoreStates } from '../../../agent/http/events/store-state.ts'
import type { StoreStateDeps } from '../../../agent/http/events/store-state.ts'
import { createBodyRoom, readJson } from '../../../agent/http/json-body.ts'
import { createEntryLimit } from '../../../agent/http/page/entry-limit.ts'
import { readForm } from '../../../agent/http/page/own-form.ts'
import { readQuery } from '../../../agent/http/query.ts'
import { validateBody } from '../../../agent/http/validation.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

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

test('positions of a Range field are exact up to 15 digits; longer ones are beyond every length', () => {
  const digits = (count: number) => `bytes=${10 ** (count - 1) + 1}-${10 ** (count - 1)}`
  // The last position is before the first one, so the field is not valid.
  expect(parseRange(digits(15), 100)).toEqual({ kind: 'whole' })
  expect(parseRange(digits(16), 100)).toEqual({ kind: 'unsatisfiable' })
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

  test.each([
    ['announced', true],
    ['not announced', false],
  ])('of a form has at most 8 KiB, whether its length is %s', async (_how, isAnnounced) => {
    const sent = (length: number): Promise<string> => {
      const bytes = new TextEncoder().encode(`a=${'x'.repeat(length - 2)}`)
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes)
          controller.close()
        },
      })
      const type = 'application/x-www-form-urlencoded'
      return codeOf(readForm(post(stream, { 'content-type': type, ...(isAnnounced ? { 'content-length': String(length) } : {}) })))
    }
    expect([await sent(8192), await sent(8193)]).toEqual(['read', 'payload-too-large'])
  })

  test('of a form that announces too much is refused before a byte is read', async () => {
    let isRead = false
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      isRead = true
      controller.close()
    }
    const stream = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 })
    expect(await codeOf(readForm(post(stream, { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '8193' })))).toBe('payload-too-large')
    expect(isRead).toBe(false)
  })
})

describe('wrong tokens', () => {
  const isLet = (limit: ReturnType<typeof createEntryLimit>, address: string): boolean => {
    try {
      limit.begin(address)
      return true
    } catch {
      return false
    }
  }

  test('are refused after 10 of one address in a minute', () => {
    const clock = createManualClock()
    const limit = createEntryLimit(clock)
    expect(Array.from({ length: 11 }, () => isLet(limit, '192.0.2.1'))).toEqual([...Array.from({ length: 10 }, () => true), false])
    clock.advance(59_999)
    expect(problemOf(() => limit.begin('192.0.2.1')).problem.action).toBe('Wait 1 s, then try again.')
    clock.advance(1)
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })

  test('are remembered of 10,000 addresses', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < 10; i++) limit.begin('192.0.2.1')
    for (let i = 1; i < 10_000; i++) limit.begin(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    limit.begin('198.51.100.1')
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })
})

test('the state of a store counts all tasks, names 20 of them, and shows 256 characters of subject and creator', async () => {
  const task = (id: string, state: string) => ({
    id,
    kind: 'gc',
    state,
    subject: 's'.repeat(257),
    createdBy: 'c'.repeat(257),
    progress: { done: 0, total: null },
  })
  const asked: { state?: string; limit?: number }[] = []
  const deps = {
    events: { latestId: () => '7' },
    health: () => Promise.resolve({}),
    store: () => Promise.resolve({}),
    findImage: () => undefined,
    tasks: {
      isOrderedBy: () => true,
      list: (query: { state?: 'running' | 'queued'; limit?: number }) => {
        asked.push(query)
        return { items: Array.from({ length: query.state === 'running' ? 2 : 19 }, (_, i) => task(`${query.state}-${i}`, query.state ?? '')), next: null }
      },
    },
  } as unknown as StoreStateDeps
  const { tasks } = await createStoreStates(deps)({ name: 'root', role: 'admin', tokenId: 'tok_1' })
  expect([tasks.running, tasks.queued, tasks.items.length]).toEqual([2, 19, 20])
  expect(tasks.items.map(({ id }) => id).slice(0, 3)).toEqual(['running-0', 'running-1', 'queued-0'])
  expect([tasks.items[0]?.subject, tasks.items[0]?.createdBy]).toEqual(['s'.repeat(256), 'c'.repeat(256)])
  expect(asked.map(({ limit }) => limit)).toEqual([1000, 1000])
})
