// JSON bodies of requests at their bounds.

import { describe, expect, test } from 'bun:test'
import { BODIES_BYTES_MAX, BODIES_BYTES_PER_ACTOR_MAX, createBodyRoom, JSON_BODY_MAX, readJson, UNCOUNTED_BODY_MAX } from '../../../agent/http/json-body.ts'
import type { Actor } from '../../../agent/contract/access.ts'
import type { ProblemError } from '../../../protocol/problems.ts'

const actor = (tokenId: string): Actor => ({ name: 'same name', role: 'viewer', tokenId })

function request(body: string | ReadableStream<Uint8Array>, headers: Record<string, string> = {}): Request {
  return new Request('http://store/v1/x', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
}

function text(length: number): string {
  return JSON.stringify('x'.repeat(length - 2))
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'read',
    (error: ProblemError) => error.code,
  )
}

describe('a JSON body', () => {
  const limits = () => ({ room: createBodyRoom(), actor: actor('tok_1'), lengthMax: JSON_BODY_MAX })

  test('of the longest length is read, and one byte more is refused', async () => {
    expect(await readJson(request(text(JSON_BODY_MAX)), limits())).toHaveLength(JSON_BODY_MAX - 2)
    expect(await codeOf(readJson(request(text(JSON_BODY_MAX + 1)), limits()))).toBe('payload-too-large')
  })

  test('that announces too much is refused before a byte is read', async () => {
    let isRead = false
    const body = new ReadableStream<Uint8Array>({ pull: () => void (isRead = true) }, { highWaterMark: 0 })
    expect(await codeOf(readJson(request(body, { 'content-length': String(JSON_BODY_MAX + 1) }), limits()))).toBe('payload-too-large')
    expect(isRead).toBe(false)
  })

  test('without a length is refused at the limit, in pieces of any size', async () => {
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1000
        controller.enqueue(new Uint8Array(1000).fill(0x20))
      },
    })
    expect(await codeOf(readJson(request(body), limits()))).toBe('payload-too-large')
    expect(sent).toBeLessThan(2 * JSON_BODY_MAX)
  })

  test('in pieces that split a character is read completely', async () => {
    const bytes = new TextEncoder().encode('"grüße"')
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    expect(await readJson(request(body), limits())).toBe('grüße')
  })

  test('is accepted up to the limits of depth and of values, and no further', async () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    const wide = (values: number): string => JSON.stringify(Array.from({ length: values - 1 }, () => 0))
    for (const body of [nested(32), wide(16_384)]) expect(await codeOf(readJson(request(body), limits()))).toBe('read')
    for (const body of [nested(33), wide(16_385)]) expect(await codeOf(readJson(request(body), limits()))).toBe('invalid-input')
  })

  test('can have many arrays and objects beside each other', async () => {
    const text = `[${'{"a":[]},'.repeat(1000)}{}]`
    expect(await readJson(request(text), limits())).toHaveLength(1001)
  })

  test('that is not JSON is refused by its media type, or by its content', async () => {
    const codeFor = (type: string) => codeOf(readJson(request('a=1', { 'content-type': type }), limits()))
    expect(await codeFor('application/x-www-form-urlencoded')).toBe('unsupported-media-type')
    expect(await codeFor('application/json; charset=utf-8')).toBe('invalid-input')
    expect(await codeFor('application/merge-patch+json')).toBe('invalid-input')
    expect(await codeOf(readJson(new Request('http://store/v1/x', { method: 'POST', body: new TextEncoder().encode('a=1') }), limits()))).toBe('invalid-input')
    expect(await readJson(request('{"a":1}', { 'content-type': 'application/x-www-form-urlencoded' }), limits())).toEqual({ a: 1 })
  })

  test('can have brackets and commas in its strings', async () => {
    const text = `["${'[{,'.repeat(10_000)}", "\\"[[", "\\\\"]`
    expect(await readJson(request(text), limits())).toEqual(JSON.parse(text))
  })

  test('that is empty is an empty object', async () => {
    expect(await readJson(request(''), limits())).toEqual({})
  })
})

describe('room for bodies', () => {
  const long = 512 * 1024

  test('is limited for each caller, by token and not by name', () => {
    const room = createBodyRoom()
    for (let taken = 0; taken + long <= BODIES_BYTES_PER_ACTOR_MAX; taken += long) room.take(actor('tok_1'), long)
    expect(() => room.take(actor('tok_1'), long)).toThrow('at the same time')
    room.take(actor('tok_2'), long)
  })

  test('is limited for all callers together, and released', () => {
    const room = createBodyRoom()
    const taken: Disposable[] = []
    for (let i = 0; i < BODIES_BYTES_MAX / long; i++) taken.push(room.take(actor(`tok_${i}`), long))
    expect(() => room.take(actor('tok_x'), long)).toThrow('at the same time')
    taken[0]?.[Symbol.dispose]()
    room.take(actor('tok_x'), long)
  })

  test('of one caller has 8 MiB, of all callers 32 MiB, to the byte', () => {
    const room = createBodyRoom()
    for (let i = 0; i < 3; i++) room.take(actor(`tok_${i}`), 8_388_608)
    expect(() => room.take(actor('tok_3'), 8_388_609)).toThrow('at the same time')
    room.take(actor('tok_3'), 8_388_607)
    expect(() => room.take(actor('tok_4'), 2)).toThrow('at the same time')
    room.take(actor('tok_4'), 1)
    expect(() => room.take(actor('tok_5'), 1)).toThrow('at the same time')
  })

  test('of a link is its own, and what one body releases leaves the others counted', () => {
    const room = createBodyRoom()
    const link = { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15 } as const
    room.take({ ...actor('tok_1'), link }, 1)
    const rest = room.take({ ...actor('tok_2'), link }, 8_388_607)
    expect(() => room.take({ ...actor('tok_1'), link }, 1)).toThrow('at the same time')
    room.take(actor('tok_1'), 8_388_608)
    rest[Symbol.dispose]()
    expect(() => room.take({ ...actor('tok_1'), link }, 8_388_608)).toThrow('at the same time')
    room.take({ ...actor('tok_1'), link }, 8_388_607)
  })

  test('is released after a body that was refused or ended early', async () => {
    const room = createBodyRoom()
    for (let i = 0; i < 2 * (BODIES_BYTES_PER_ACTOR_MAX / JSON_BODY_MAX); i++) {
      const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('cut')) })
      await readJson(request(broken, { 'content-length': String(JSON_BODY_MAX) }), { room, actor: actor('tok_1'), lengthMax: JSON_BODY_MAX }).catch(() => {})
    }
    expect(await readJson(request(text(JSON_BODY_MAX)), { room, actor: actor('tok_1'), lengthMax: JSON_BODY_MAX })).toHaveLength(JSON_BODY_MAX - 2)
  })

  test('is not used by short bodies', async () => {
    const room = createBodyRoom()
    room.take(actor('tok_1'), BODIES_BYTES_PER_ACTOR_MAX)
    const short = request(text(UNCOUNTED_BODY_MAX), { 'content-length': String(UNCOUNTED_BODY_MAX) })
    expect(await readJson(short, { room, actor: actor('tok_1'), lengthMax: JSON_BODY_MAX })).toHaveLength(UNCOUNTED_BODY_MAX - 2)
  })
})
