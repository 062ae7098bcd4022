// What one client may use of the server: connections, time, and memory while it reads slowly.

import { describe, expect, test } from 'bun:test'
import { networkInterfaces } from 'node:os'
import { PIECE_BYTES_AVERAGE_MIN, PIECES_JUDGED, WRITE_BYTES_MAX } from '../../../agent/server/limits.ts'
import { requireThat } from '../../support/require.ts'
import { openTestServer, RawConnection } from '../../support/agents/test-server.ts'
import { until } from '../../support/until.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const MIB = 1024 * 1024
const hello = (): Response => new Response('hello')
const readText = async (request: Request): Promise<Response> => {
  try {
    return new Response(await request.text())
  } catch (error) {
    return Response.json({ code: (error as { code?: string }).code }, { status: 408 })
  }
}

/** An address of this machine other than loopback. */
const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === 'IPv4' && !address.internal)?.address

/** Returns an endless stream of zeros in pieces of 1 MiB; `given` counts the bytes that were read from it. */
function endless(): { body: ReadableStream<Uint8Array>; given: () => number } {
  let bytes = 0
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        bytes += MIB
        controller.enqueue(new Uint8Array(MIB))
      },
    },
    { highWaterMark: 0 },
  )
  return { body, given: () => bytes }
}

describe('connections', () => {
  test('the allowed number is served, the next one is closed, and one that ends allows another', async () => {
    await using server = await openTestServer(hello, { connectionsMax: 3 })
    const open = [1, 2, 3].map(() => new RawConnection(server.port))
    for (const connection of open) {
      connection.send(GET)
      await connection.until(() => connection.text.endsWith('hello'))
      expect(connection.text).toStartWith('HTTP/1.1 200')
    }
    using refused = new RawConnection(server.port)
    refused.send(GET)
    await refused.untilEnded()
    expect(refused.text).toBe('')
    open[0]?.socket.destroy()
    await until('there is room', async () => {
      using next = new RawConnection(server.port)
      next.send(GET)
      await next.until(() => next.text.endsWith('hello'))
      return next.text !== ''
    })
    for (const connection of open) connection.socket.destroy()
  })

  requireThat(ownAddress !== undefined, 'this machine has loopback addresses only')('are counted by address, except those of loopback', async () => {
    await using server = await openTestServer(hello, { connectionsPerAddressMax: 2 }, '0.0.0.0')
    const count = async (host: string): Promise<number> => {
      const connections = [1, 2, 3].map(() => new RawConnection(server.port, host))
      for (const connection of connections) {
        connection.send(GET)
        await connection.until(() => connection.text.endsWith('hello'))
      }
      for (const connection of connections) connection.socket.destroy()
      return connections.filter(({ text }) => text !== '').length
    }
    expect(await count('127.0.0.1')).toBe(3)
    expect(await count(ownAddress ?? '')).toBe(2)
  })

  test('pipelined requests are bounded, and served one after the other', async () => {
    let running = 0
    let most = 0
    await using server = await openTestServer(
      async () => {
        most = Math.max(most, ++running)
        await Bun.sleep(1)
        running--
        return new Response('hello')
      },
      { pipelinedMax: 8 },
    )
    using within = new RawConnection(server.port)
    within.send(GET.repeat(8))
    await within.until(() => within.text.split('hello').length === 9)
    expect(within.text.split('HTTP/1.1 200').length - 1).toBe(8)
    using beyond = new RawConnection(server.port)
    beyond.send(GET.repeat(1000))
    await beyond.untilEnded()
    expect(most).toBe(1)
    expect(beyond.text.split('HTTP/1.1 200').length - 1).toBeLessThan(9)
  })
})

describe('time', () => {
  test.each(['', 'GET / HT', GET.slice(0, -2)])('a head that is not complete in time is answered with 408: %j', async (head) => {
    await using server = await openTestServer(hello, { headMsMax: 300 })
    using connection = new RawConnection(server.port)
    connection.send(head)
    await connection.untilEnded()
    expect(connection.text).toStartWith('HTTP/1.1 408')
    expect(connection.text).toContain('urn:slipway:problem:request-timeout')
  })

  test('a connection between requests is closed after the idle time', async () => {
    await using server = await openTestServer(hello, { idleMsMax: 300 })
    using connection = new RawConnection(server.port)
    connection.send(GET)
    await connection.untilEnded()
    expect(connection.text).toStartWith('HTTP/1.1 200')
  })

  test('a body below the least rate ends with 408, and the connection is closed', async () => {
    await using server = await openTestServer(readText, { rate: { bytesPerSecondMin: 1024, windowMs: 1000 } })
    using connection = new RawConnection(server.port)
    connection.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
    const trickle = setInterval(() => connection.send('x'), 50)
    await connection.untilEnded()
    clearInterval(trickle)
    expect(connection.text).toStartWith('HTTP/1.1 408')
    expect(connection.text.toLowerCase()).toContain('connection: close')
    expect(connection.text).toContain('request-timeout')
  })

  test('a body above the least rate is received, no matter how long it takes', async () => {
    await using server = await openTestServer(readText, { rate: { bytesPerSecondMin: 1000, windowMs: 500 } })
    using connection = new RawConnection(server.port)
    connection.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n')
    let sent = 0
    const steady = setInterval(() => sent++ < 40 && connection.send('x'.repeat(1000)), 100)
    await connection.until(() => connection.text.endsWith('x'.repeat(40_000)))
    clearInterval(steady)
    expect(connection.text).toStartWith('HTTP/1.1 200')
  }, 60_000)

  test('time that a body waits for the application does not count', async () => {
    await using server = await openTestServer(
      async (request) => {
        await Bun.sleep(2500)
        return readText(request)
      },
      { rate: { bytesPerSecondMin: 1024, windowMs: 1000 } },
    )
    const content = 'y'.repeat(MIB * 3)
    expect(await (await fetch(`http://127.0.0.1:${server.port}/`, { method: 'POST', body: content })).text()).toBe(content)
  }, 60_000)
})

describe('readers', () => {
  test('one that reads nothing is cut, and costs one piece until then', async () => {
    const { body, given } = endless()
    await using server = await openTestServer(() => new Response(body), { rate: { bytesPerSecondMin: 1024, windowMs: 1500 } })
    using connection = new RawConnection(server.port)
    connection.socket.pause()
    connection.send(GET)
    await until('the socket accepts no more', async () => {
      const before = given()
      await Bun.sleep(300)
      return before > 0 && given() === before
    })
    expect(server.pending).toBe(1)
    await until('the connection is cut', () => server.pending === 0)
    // The buffers of the kernel on both sides of loopback.
    expect(given()).toBeLessThan(16 * MIB)
    connection.socket.resume()
    await connection.untilEnded()
    expect(connection.text.endsWith('\r\n0\r\n\r\n')).toBe(false)
  }, 60_000)

  test('one that reads slowly but steadily is not cut', async () => {
    const { body } = endless()
    // TCP windows open in steps of a large part of the buffers, so a slow reader has to be judged over several steps.
    await using server = await openTestServer(() => new Response(body), { rate: { bytesPerSecondMin: 1024, windowMs: 4000 } })
    using connection = new RawConnection(server.port)
    connection.socket.pause()
    connection.send(GET)
    let received = 0
    connection.socket.removeAllListeners('data')
    connection.socket.on('data', (piece: Buffer) => (received += piece.byteLength))
    const startMs = performance.now()
    // 200 KiB five times a second: the kernel's send buffer alone lasts longer than a window.
    while (performance.now() - startMs < 13_000 && connection.ending === undefined) {
      connection.socket.resume()
      await Bun.sleep(1)
      connection.socket.pause()
      await Bun.sleep(200)
    }
    expect(connection.ending).toBeUndefined()
    expect(received).toBeGreaterThan(MIB)
  }, 60_000)

  test('a hundred that read nothing cost a bounded amount of memory', async () => {
    await using server = await openTestServer(() => new Response(endless().body))
    Bun.gc(true)
    const before = process.memoryUsage.rss()
    const connections = Array.from({ length: 100 }, () => new RawConnection(server.port))
    for (const connection of connections) {
      connection.socket.pause()
      connection.send(GET)
    }
    await until('all wait', () => server.pending === 100)
    await Bun.sleep(1000)
    Bun.gc(true)
    // One piece of the application, the part of it that the socket has not accepted, and a connection at both ends.
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * (MIB + 2 * WRITE_BYTES_MAX) + 64 * MIB)
    for (const connection of connections) connection.socket.destroy()
    await until('no request is pending', () => server.pending === 0)
  }, 60_000)
})

describe('the chunks of a body', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
  const chunks = (length: number): string => `${length.toString(16)}\r\n${'x'.repeat(length)}\r\n`.repeat(PIECES_JUDGED)
  const ask = async (body: string, application = readText): Promise<string> => {
    await using server = await openTestServer(application)
    using connection = new RawConnection(server.port)
    connection.send(`${HEAD}${body}0\r\n\r\n`)
    await connection.untilEnded()
    return connection.text
  }

  test('arrive whole and in order when they are short', async () => {
    const text = Array.from({ length: 3000 }, (_, i) => `${i}`.padStart(i % 7 === 0 ? 5000 : 5, '.'))
    const hashed = async (request: Request): Promise<Response> => new Response(`${Bun.hash(await request.text())}`)
    const answer = await ask(text.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join(''), hashed)
    expect(answer).toEndWith(`${Bun.hash(text.join(''))}`)
  })

  test('are accepted down to the allowed average length, and refused below it', async () => {
    expect(await ask(chunks(PIECE_BYTES_AVERAGE_MIN))).toStartWith('HTTP/1.1 200')
    expect(await ask(chunks(PIECE_BYTES_AVERAGE_MIN - 1))).not.toStartWith('HTTP/1.1 200')
  })
})
