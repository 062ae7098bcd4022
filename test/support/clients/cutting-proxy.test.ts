// Verifies the faults of the proxy, because tests that rely on it would also pass on a perfect link.

import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createCuttingProxy } from './cutting-proxy.ts'
import type { CuttingProxy, LinkFaults } from './cutting-proxy.ts'
import { until } from '../until.ts'

const KIB = 1024
/** Timers may fire this much early, in milliseconds. */
const TIMER_SLACK_MS = 5

/** One end of a connection and the bytes it received. */
interface End {
  readonly socket: Socket
  received: number
  /** How it ended: cleanly, or with the code of an error; undefined while it is open. */
  ended: string | undefined
}

function watch(socket: Socket): End {
  const end: End = { socket, received: 0, ended: undefined }
  socket.on('data', (piece: Buffer) => void (end.received += piece.length))
  socket.on('error', (error: NodeJS.ErrnoException) => void (end.ended ??= error.code))
  socket.on('end', () => void (end.ended ??= 'end'))
  socket.on('close', () => void (end.ended ??= 'close'))
  return end
}

describe('the cutting proxy', () => {
  let server: Server
  let accepted: End[]

  beforeEach(async () => {
    accepted = []
    server = createServer((socket) => void accepted.push(watch(socket)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterEach(() => {
    for (const { socket } of accepted) socket.destroy()
    server.close()
  })

  const proxyWith = (faults: LinkFaults): Promise<CuttingProxy> => createCuttingProxy((server.address() as AddressInfo).port, faults)

  const connect = async (proxy: CuttingProxy): Promise<{ client: End; far: End }> => {
    const before = accepted.length
    const client = watch(createConnection(proxy.port, '127.0.0.1'))
    const far = await until('the server was reached', () => accepted[before])
    return { client, far }
  }

  test('forwards bytes no sooner than its delay, in both directions', async () => {
    await using proxy = await proxyWith({ delayMs: 200 })
    const { client, far } = await connect(proxy)
    const startMs = performance.now()
    client.socket.write('there')
    await until('it arrived', () => far.received > 0)
    expect(performance.now() - startMs).toBeGreaterThan(200 - TIMER_SLACK_MS)
    far.socket.write('back')
    await until('the bytes came back', () => client.received > 0)
    expect(performance.now() - startMs).toBeGreaterThan(400 - TIMER_SLACK_MS)
  })

  test('accepts more while bytes are in flight', async () => {
    await using proxy = await proxyWith({ delayMs: 60_000, bytesPerSecond: 10 * KIB })
    const { client, far } = await connect(proxy)
    client.socket.write(new Uint8Array(4096 * KIB))
    await until('the line is full', () => proxy.taken.up >= 600 * KIB)
    expect({ out: proxy.bytes.up, far: far.received }).toEqual({ out: 0, far: 0 })
  })

  test('keeps a rate', async () => {
    await using proxy = await proxyWith({ bytesPerSecond: 1024 * KIB })
    const { client, far } = await connect(proxy)
    const startMs = performance.now()
    client.socket.write(new Uint8Array(512 * KIB))
    await until('all arrived', () => far.received === 512 * KIB)
    expect(performance.now() - startMs).toBeGreaterThan(500 - TIMER_SLACK_MS)
    expect({ taken: proxy.taken.up, bytes: proxy.bytes.up }).toEqual({ taken: 512 * KIB, bytes: 512 * KIB })
  })

  test('keeps a rate that all connections share', async () => {
    await using proxy = await proxyWith({ bytesPerSecond: 1024 * KIB, isShared: true })
    const ends = [await connect(proxy), await connect(proxy)]
    const startMs = performance.now()
    for (const { client } of ends) client.socket.write(new Uint8Array(256 * KIB))
    await until('all arrived', () => ends.every(({ far }) => far.received === 256 * KIB))
    expect(performance.now() - startMs).toBeGreaterThan(500 - TIMER_SLACK_MS)
  })

  test('inverts one bit of each amount that is sent to clients', async () => {
    await using proxy = await proxyWith({ flipEvery: 100 * KIB })
    const { client, far } = await connect(proxy)
    let ones = 0
    client.socket.on('data', (piece: Buffer) => void (ones += piece.filter((byte) => byte !== 0 && Math.log2(byte) % 1 === 0).length))
    far.socket.write(new Uint8Array(450 * KIB))
    client.socket.write(new Uint8Array(450 * KIB))
    await until('all arrived', () => client.received === 450 * KIB && far.received === 450 * KIB)
    expect({ flips: proxy.flips, ones }).toEqual({ flips: 4, ones: 4 })
  })

  test('cuts open connections after every period, and loses bytes in flight', async () => {
    await using proxy = await proxyWith({ delayMs: 60_000 })
    const { client, far } = await connect(proxy)
    client.socket.write('lost')
    await until('bytes are in flight', () => proxy.taken.up > 0)
    proxy.setFaults({ cutEveryMs: 20 })
    await until('it was cut', () => client.ended !== undefined && far.ended !== undefined)
    expect(far).toMatchObject({ ended: 'end', received: 0 })
    let next = client
    await until('others were cut after it', () => {
      if (next.ended !== undefined) next = watch(createConnection(proxy.port, '127.0.0.1'))
      return proxy.cuts >= 4
    })
    expect(proxy.resets).toBe(0)
  })

  test('resets connections at random moments, so that both ends get an error', async () => {
    await using proxy = await proxyWith({ resetWithinMs: 50 })
    const clients: End[] = []
    await until('five were reset', () => {
      if (clients.every(({ ended }) => ended !== undefined)) clients.push(watch(createConnection(proxy.port, '127.0.0.1')))
      return proxy.resets >= 5
    })
    // A connection that was reset before it reached the server does not exist there.
    await until('all ends have an outcome', () => [...clients, ...accepted].every(({ ended }) => ended !== undefined))
    expect(new Set(clients.map(({ ended }) => ended))).toEqual(new Set(['ECONNRESET']))
    expect(accepted.length).toBeGreaterThan(0)
    expect(new Set(accepted.map(({ ended }) => ended))).toEqual(new Set(['ECONNRESET']))
  })

  test('cuts the given number of connections after the given number of bytes', async () => {
    await using proxy = await proxyWith({})
    proxy.setFaults({ cutAfter: 100 * KIB + 1, direction: 'up' }, 1)
    const cut = await connect(proxy)
    cut.client.socket.write(new Uint8Array(200 * KIB))
    await until('it was cut', () => cut.far.ended !== undefined)
    expect(cut.far.received).toBe(100 * KIB + 1)
    const whole = await connect(proxy)
    whole.client.socket.end(new Uint8Array(200 * KIB))
    await until('it ended', () => whole.far.ended !== undefined)
    expect(whole.far).toMatchObject({ ended: 'end', received: 200 * KIB })
    expect(proxy.cuts).toBe(1)
  })

  test('holds bytes back above an amount until it is raised', async () => {
    await using proxy = await proxyWith({})
    proxy.holdAt(100 * KIB)
    const { client, far } = await connect(proxy)
    client.socket.write(new Uint8Array(400 * KIB))
    await until('it holds', () => proxy.bytes.up >= 100 * KIB)
    expect(proxy.bytes.up).toBeLessThanOrEqual(164 * KIB)
    proxy.holdAt(Number.POSITIVE_INFINITY)
    await until('all arrived', () => far.received === 400 * KIB)
  })

  test('does not count a connection that ended by itself as cut', async () => {
    await using proxy = await proxyWith({})
    const { client, far } = await connect(proxy)
    client.socket.end()
    await until('it ended', () => far.ended !== undefined)
    far.socket.end()
    await until('both sides ended', () => client.ended !== undefined)
    proxy.setFaults({ cutEveryMs: 10 })
    const next = await connect(proxy)
    await until('another was cut', () => next.client.ended !== undefined)
    expect(proxy.cuts).toBe(1)
  })
})
