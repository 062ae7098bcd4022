// Many connections, slow connections, and connections full of requests.

import { afterAll, beforeAll, describe, test } from 'bun:test'
import { expectHarmless } from './expect-harmless.ts'
import { connectRaw, requestHead } from './requests.ts'
import { openTarget } from './attack.ts'
import type { AttackTarget } from './attack.ts'

describe('connections', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('with heads that never end', async () => {
    await expectHarmless(target, 'connection', async ({ url, signal }) => {
      using stack = new DisposableStack()
      const connections = await Promise.all(Array.from({ length: 30 }, () => connectRaw(url)))
      for (const connection of connections) {
        stack.use(connection)
        await connection.write('GET /v1/health HTTP/1.1\r\nHost: x\r\n')
      }
      for (let i = 0; !signal.aborted; i++) {
        for (const connection of connections) await connection.write(`X-${i}: ${'y'.repeat(50)}\r\n`)
        await Bun.sleep(100)
      }
    })
  })

  test('with heads as long as they may be, and longer', async () => {
    await expectHarmless(target, 'connection', async ({ url }) => {
      for (const length of [8 * 1024, 15 * 1024, 64 * 1024, 1024 * 1024]) {
        using connection = await connectRaw(url)
        await connection.write(requestHead('GET /v1/health', { 'X-Long': 'y'.repeat(length), Connection: 'close' }))
        while (!connection.isClosed() && connection.received() === 0) await Bun.sleep(5)
      }
    })
  })

  test('with slow bodies', async () => {
    await expectHarmless(target, 'write', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      const connections = await Promise.all(Array.from({ length: 20 }, () => connectRaw(url)))
      for (const connection of connections) {
        stack.use(connection)
        await connection.write(requestHead('POST /v1/slices/missing', headers('viewer', { 'Content-Type': 'application/json', 'Content-Length': '60000' })))
      }
      while (!signal.aborted) {
        for (const connection of connections) await connection.write(' ')
        await Bun.sleep(100)
      }
    })
  })

  test('with a thousand requests sent before the first answer is read', async () => {
    await expectHarmless(target, 'connection', async ({ url, headers }) => {
      using connection = await connectRaw(url)
      await connection.write(requestHead('GET /v1/store', headers('viewer')).repeat(1000))
      await connection.write(requestHead('GET /v1/store', headers('viewer', { Connection: 'close' })))
      while (!connection.isClosed()) await Bun.sleep(5)
      // Eight clients, each with one packet of requests at a time. Limiting a flood of connections is the task of a proxy.
      await Bun.sleep(200)
    })
  })
})
