// Imports from a hostile server: heads and bodies without end, slow ones, chunks that never come, redirects in a circle.

import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { expectHarmless } from './expect-harmless.ts'
import { openTarget } from './attack.ts'
import type { AttackTarget } from './attack.ts'
import { sendForever } from './wire-lies.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Longest image of the store of the target: a body without end is stored up to it, and then removed. */
const LENGTH_MAX = 8 * MIB

interface Liar extends AsyncDisposable {
  readonly url: string
  readonly asked: number
}

/** Answers every connection after its first bytes. */
async function startLiar(lie: (socket: Socket, head: string) => void): Promise<Liar> {
  let asked = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.once('data', (head) => {
      asked++
      lie(socket, head.toString('latin1'))
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/image.raw`,
    get asked() {
      return asked
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('a source', () => {
  let target: AttackTarget

  beforeAll(async () => {
    target = await openTarget(`[imports]\nallow = ["127.0.0.1"]\n[transfer]\nupload-concurrency = 16\n[uploads]\nmax-length = "${LENGTH_MAX / MIB} MiB"\n`)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  const attack = async (lie: (socket: Socket, head: string) => void): Promise<void> => {
    await using liar = await startLiar(lie)
    await expectHarmless(target, 'import', async ({ url, headers, index }) => {
      const response = await fetch(`${url}/v1/images`, {
        method: 'POST',
        headers: headers('uploader', { 'content-type': 'application/json' }),
        body: JSON.stringify({ name: `hostile ${index} ${crypto.randomUUID()}`, source: { url: liar.url } }),
      })
      expect([202, 429]).toContain(response.status)
      await response.arrayBuffer()
      await Bun.sleep(200)
    })
    expect(liar.asked).toBeGreaterThan(0)
    for (const task of (await target.agent.client.tasks.list({ kind: 'import', limit: 1000 })).items) {
      if (task.state === 'queued' || task.state === 'running') await target.agent.client.tasks.cancel(task.id).catch(() => {})
    }
  }

  test('whose head never ends', () => attack((socket) => sendForever(socket, Buffer.from(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(64 * KIB)}\r\n`))))

  test('whose body never ends', () =>
    attack((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      sendForever(socket, Buffer.alloc(256 * KIB, 7))
    }))

  test('whose bodies are slow', () =>
    attack((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n')
      sendForever(socket, Buffer.from('x'), 500)
    }))

  test('whose lines of chunks never end', () =>
    attack((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;')
      sendForever(socket, Buffer.alloc(64 * KIB, 'x'))
    }))

  test('whose ranges never end', () =>
    attack((socket, head) => {
      const range = /range: bytes=(\d+)-(\d+)/i.exec(head)
      socket.write(
        `HTTP/1.1 206 Partial Content\r\nETag: "a"\r\nContent-Range: bytes ${range?.[1]}-${range?.[2]}/${LENGTH_MAX}\r\nTransfer-Encoding: chunked\r\n\r\n`,
      )
      sendForever(socket, Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(64 * KIB, 7), Buffer.from('\r\n')]))
    }))

  test('whose redirects go in a circle', () => attack((socket) => void socket.end('HTTP/1.1 302 Found\r\nLocation: /image.raw\r\nContent-Length: 0\r\n\r\n')))
})
