// Streams of server-sent events as a client reads them: any division into pieces, and what an agent would not send.

import { afterAll, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { AnswerInvalid } from '../../../protocol/client/exchange.ts'
import { followEvents, readServerSentEvents, STREAMED_LENGTH_MAX } from '../../../protocol/client/event-stream.ts'
import type { ServerSentEvent, StreamedItem } from '../../../protocol/client/event-stream.ts'
import { ProblemError } from '../../../protocol/problems.ts'

async function read(pieces: readonly (string | Uint8Array)[]): Promise<ServerSentEvent[]> {
  const encoder = new TextEncoder()
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) yield typeof piece === 'string' ? encoder.encode(piece) : piece
  }
  const found: ServerSentEvent[] = []
  for await (const sent of readServerSentEvents(body(), { tooLong: () => new Error('too long') })) found.push(sent)
  return found
}

describe('reading server-sent events', () => {
  test('joins data lines, skips comments and unknown fields, and drops what has no blank line at its end', async () => {
    expect(await read([': hello\n\nretry: 3\nevent: state\ndata: a\ndata:b\nid: 7\n\ndata:\n\n\n\nevent: x\n\ndata: lost'])).toEqual([
      { type: 'state', data: 'a\nb' },
      { type: 'message', data: '' },
    ])
  })

  test('accepts every line end, also divided between pieces', async () => {
    for (const end of ['\n', '\r', '\r\n'])
      expect(await read([`data: 1${end}${end}data: 2${end}${end}`, 'data: 3\n'])).toEqual([
        { type: 'message', data: '1' },
        { type: 'message', data: '2' },
      ])
    expect(await read(['data: 1\r', '\n\r', '\n'])).toEqual([{ type: 'message', data: '1' }])
  })

  test('gives the same events for every division of the bytes', async () => {
    const text = 'event: état\r\ndata: ü€😀\r\n\r\n:c\ndata: {"a":1}\rdata: b\r\r\ndata: z\n\n'
    const bytes = new TextEncoder().encode(text)
    const whole = [
      { type: 'état', data: 'ü€😀' },
      { type: 'message', data: '{"a":1}\nb' },
      { type: 'message', data: 'z' },
    ]
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat({ max: bytes.length }), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        expect(await read(at.slice(1).map((end, i) => bytes.subarray(at[i] ?? 0, end)))).toEqual(whole)
      }),
    )
  })

  test('ends at an event that is too long, in one line or in many, and not one character earlier', async () => {
    const line = 'data: '
    const longest = 'x'.repeat(STREAMED_LENGTH_MAX - line.length)
    expect((await read([`${line}${longest}\n\n`]))[0]?.data.length).toBe(131_066)
    expect((await read([line, longest, '\n\n']))[0]?.data.length).toBe(131_066)
    expect(read([`${line}${longest}y\n\n`])).rejects.toThrow('too long')
    expect(read([line, longest, 'y'])).rejects.toThrow('too long')
    expect(read(Array.from({ length: 140 }, () => `data: ${'x'.repeat(1000)}\n`))).rejects.toThrow('too long')
    expect(read([`:${'x'.repeat(STREAMED_LENGTH_MAX)}`])).rejects.toThrow('too long')
  })
})

describe('following an agent', () => {
  let answer = (_request: Request): Response => new Response()
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => answer(request) })
  afterAll(() => server.stop(true))
  const peer = { baseUrl: `http://127.0.0.1:${server.port}/agent`, token: 'secret' }
  const stream = (text: string): Response => new Response(text, { headers: { 'content-type': 'text/event-stream' } })
  const follow = async (options = {}): Promise<StreamedItem[]> => {
    const items: StreamedItem[] = []
    for await (const item of followEvents(peer, options)) items.push(item)
    return items
  }
  const refusal = async (): Promise<ProblemError> => {
    const error: unknown = await follow().catch((thrown: unknown) => thrown)
    if (!(error instanceof ProblemError)) throw new Error('it was not refused')
    return error
  }
  const EVENT = { id: '8', time: '2026-01-01T00:00:00.000Z', type: 'a.b', severity: 'info', subject: 's', message: 'm', actor: 'x', details: {} }
  const STATE = {
    position: '7',
    health: { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' },
    store: null,
    tasks: { running: 0, queued: 0, items: [] },
  }

  test('asks for the state with the token and the last id, and yields states and events in their order', async () => {
    let asked: readonly unknown[] = []
    answer = (request) => {
      asked = [request.url, ...['last-event-id', 'accept', 'authorization'].map((name) => request.headers.get(name))]
      return stream(`retry: 3000\n\nevent: state\ndata: ${JSON.stringify(STATE)}\n\nevent: later\ndata: ?\n\nid: 8\ndata: ${JSON.stringify(EVENT)}\n\n`)
    }
    const items = await follow({ lastEventId: '6' })
    expect(items.map((item) => (item.kind === 'state' ? item.state.position : item.event.id))).toEqual(['7', '8'])
    expect(asked).toEqual([`${peer.baseUrl}/v1/events?state=true`, '6', 'text/event-stream', 'Bearer secret'])
  })

  test('refuses what an agent would not send', async () => {
    for (const text of [
      'data: {\n\n',
      'event: state\ndata: {}\n\n',
      'data: {"id":"1"}\n\n',
      `data: ${JSON.stringify({ ...EVENT, id: '-1' })}\n\n`,
      `event: state\ndata: ${JSON.stringify({ ...STATE, position: 'x' })}\n\n`,
      `data: ${'x'.repeat(1_000_000)}\n\n`,
    ]) {
      answer = () => stream(text)
      const { code, cause } = await refusal()
      expect(code).toBe('peer-unreachable')
      expect(cause).toBeInstanceOf(AnswerInvalid)
    }
    answer = () => Response.json({ items: [], next: null })
    expect((await refusal()).problem.detail).toContain('answered without a stream of events')
  })

  test('ends with the error of the caller that counts the bytes', async () => {
    answer = () => stream(`event: state\ndata: ${JSON.stringify(STATE)}\n\n`)
    const enough = new Error('enough')
    const onBytes = (): void => {
      throw enough
    }
    expect(follow({ onBytes })).rejects.toBe(enough)
  })
})
