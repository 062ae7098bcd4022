// Responses on the wire: their length, and how a failed one ends.

import { describe, expect, test } from 'bun:test'
import { openTestServer, RawConnection } from '../../support/agents/test-server.ts'
import { until } from '../../support/until.ts'

const KIB = 1024

/** Returns a stream of pieces that, with `fails`, fails after the last one. */
function streamOf(pieces: number, size: number, fails = false): ReadableStream<Uint8Array> {
  let given = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // Wait, as a read from a disk would.
        await Bun.sleep(1)
        if (given++ < pieces) controller.enqueue(new Uint8Array(size).fill(97))
        else if (fails) controller.error(new Error('the disk is broken'))
        else controller.close()
      },
    },
    { highWaterMark: 0 },
  )
}

async function ask(application: (request: Request) => Response | Promise<Response>, head: string): Promise<RawConnection> {
  const server = await openTestServer(application)
  const connection = new RawConnection(server.port)
  connection.send(`${head}\r\n\r\n`)
  await connection.untilEnded()
  await server[Symbol.asyncDispose]()
  return connection
}

const CLOSING = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close'
const OLD = 'GET / HTTP/1.0'

describe('Content-Length', () => {
  test.each([
    ['nothing', () => new Response(null), '0'],
    ['an empty text', () => new Response(''), '0'],
    ['a text', () => new Response('hello'), '5'],
    ['JSON of many pieces', () => Response.json('x'.repeat(100 * KIB)), String(100 * KIB + 2)],
    ['a stream with a length', () => new Response(streamOf(40, 64 * KIB), { headers: { 'content-length': String(40 * 64 * KIB) } }), String(40 * 64 * KIB)],
  ])('of %s', async (_name, application, length) => {
    for (const head of [CLOSING, OLD]) {
      const { text } = await ask(application, head)
      const [top = '', body = ''] = text.split('\r\n\r\n')
      expect(top.toLowerCase()).toContain(`content-length: ${length}`)
      expect(top.toLowerCase()).not.toContain('transfer-encoding')
      expect(body).toHaveLength(Number(length))
    }
  })

  test('is present in the response to HEAD, which has no content', async () => {
    const { text } = await ask(() => new Response(streamOf(1, 10), { headers: { 'content-length': '10' } }), CLOSING.replace('GET', 'HEAD'))
    expect(text.toLowerCase()).toContain('content-length: 10\r\n')
    expect(text).toEndWith('\r\n\r\n')
  })

  test('is absent from a response that cannot have content', async () => {
    for (const status of [204, 304]) expect((await ask(() => new Response(null, { status }), CLOSING)).text.toLowerCase()).not.toContain('content-length')
  })

  test('a stream of unknown length is sent in chunks, and to HTTP/1.0 until the connection closes', async () => {
    const chunked = await ask(() => new Response(streamOf(3, 10)), CLOSING)
    expect(chunked.text).toEndWith('\r\n0\r\n\r\n')
    const old = await ask(() => new Response(streamOf(3, 10)), OLD)
    expect([old.text.split('\r\n\r\n')[1], old.ending]).toEqual(['a'.repeat(30), 'FIN'])
  })
})

describe('a response that fails after its head', () => {
  test.each([
    ['is shorter than its length', { 'content-length': '1000000' }, true],
    ['ends before its length', { 'content-length': '1000000' }, false],
    ['is longer than its length', { 'content-length': '15' }, false],
  ])('%s: fewer bytes arrive than announced', async (_name, headers, fails) => {
    for (const head of [CLOSING, OLD]) {
      const { text } = await ask(() => new Response(streamOf(3, 10, fails), { headers }), head)
      expect((text.split('\r\n\r\n')[1] ?? '').length).toBeLessThan(Number(headers['content-length']))
    }
  })

  test('has no last chunk', async () => {
    expect((await ask(() => new Response(streamOf(3, 10, true)), CLOSING)).text).not.toContain('\r\n0\r\n')
  })

  test('resets the connection if a clean close would mark the end of the content', async () => {
    expect((await ask(() => new Response(streamOf(3, 10, true)), OLD)).ending).toBe('RST')
  })
})

describe('a client that disconnects', () => {
  test('aborts the signal of its request and cancels the waiting stream', async () => {
    let isCancelled = false
    let signal: AbortSignal | undefined
    await using server = await openTestServer((request) => {
      ;({ signal } = request)
      return new Response(
        new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new TextEncoder().encode('first')),
          cancel: () => void (isCancelled = true),
        }),
      )
    })
    const connection = new RawConnection(server.port)
    connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await connection.until(() => connection.text.includes('first'))
    connection.socket.destroy()
    await until('the stream is cancelled', () => isCancelled && signal?.aborted === true)
    await until('nothing is pending', () => server.pending === 0)
  })

  test.each([true, false])('in the middle of a body: the application reads all received bytes before the error; read late: %p', async (isLate) => {
    const seen = Promise.withResolvers<[number, string]>()
    await using server = await openTestServer(async (request) => {
      if (isLate) await Bun.sleep(300)
      let bytes = 0
      try {
        for await (const piece of request.body ?? []) bytes += piece.byteLength
        seen.resolve([bytes, 'end'])
      } catch (error) {
        seen.resolve([bytes, (error as Error).name])
      }
      return new Response()
    })
    const connection = new RawConnection(server.port)
    connection.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(700_000)}`)
    connection.socket.end()
    expect(await seen.promise).toEqual([700_000, 'AbortError'])
    connection.socket.destroy()
  })

  test('after a whole body: the application reads all of it', async () => {
    const seen = Promise.withResolvers<number>()
    await using server = await openTestServer(async (request) => {
      await Bun.sleep(300)
      seen.resolve((await request.text()).length)
      return new Response()
    })
    const connection = new RawConnection(server.port)
    connection.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n${'x'.repeat(700_000)}`)
    connection.socket.end()
    expect(await seen.promise).toBe(700_000)
  })
})

describe('bodies', () => {
  test('are not read beyond a bound while the application does not read', async () => {
    const begun = Promise.withResolvers<void>()
    const end = Promise.withResolvers<void>()
    await using server = await openTestServer(async () => {
      begun.resolve()
      await end.promise
      return new Response('no')
    })
    using connection = new RawConnection(server.port)
    connection.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n')
    await begun.promise
    const piece = Buffer.alloc(KIB * KIB)
    let taken = 0
    while (
      connection.socket.write(piece) ||
      (await Promise.race([new Promise((resolve) => connection.socket.once('drain', () => resolve(true))), Bun.sleep(500)]))
    )
      taken += piece.byteLength
    // The buffers of the kernel on both sides.
    expect(taken).toBeLessThan(32 * KIB * KIB)
    end.resolve()
    await connection.untilEnded()
    expect(connection.text.toLowerCase()).toContain('connection: close')
  })

  test('that the application does not read are discarded up to a bound, and the connection stays usable', async () => {
    await using server = await openTestServer((request) => new Response(request.method))
    using connection = new RawConnection(server.port)
    connection.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}PUT / HTTP/1.1\r\nHost: a\r\n\r\n`)
    await connection.until(() => connection.text.endsWith('PUT'))
    expect(connection.text.match(/HTTP\/1.1 200/g)).toHaveLength(2)
  })
})
