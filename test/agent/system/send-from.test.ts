// Requests from a given address of this node: their local address, certificates, back-pressure and broken answers.

import { expect, test } from 'bun:test'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createSendFrom } from '../../../agent/system/send-from.ts'
import { errorCode } from '../../../protocol/errors.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const END = { localAddress: '127.0.0.9', serverName: 'hub.example' }
const opensslTest = requireTool('openssl', 'openssl')

/** A server that passes each request to `answer` as text, with its socket. */
async function openServer(answer: (head: string, socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => answer(bytes.toString('latin1'), socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-one: a\r\n\r\nok'

test('sends method, path, headers and body from the address, and keeps the connection for the next request', async () => {
  const heads: string[] = []
  await using server = await openServer((head, socket) => {
    heads.push(head)
    socket.write(OK)
  })
  const send = createSendFrom()
  const init = { method: 'POST', headers: { host: 'hub.example:8420', 'content-type': 'application/json' }, body: '{"a":"ü"}' }
  const answer = await send(`${server.url}/v1/x?y=1`, init, END)
  expect([answer.status, answer.headers.get('x-one'), await answer.text()]).toEqual([200, 'a', 'ok'])
  expect(await (await send(server.url, {}, END)).text()).toBe('ok')
  expect(heads[0]).toStartWith('POST /v1/x?y=1 HTTP/1.1\r\n')
  expect(heads[0]).toMatch(/\r\nhost: hub\.example:8420\r\n/i)
  expect(heads[0]).toMatch(/\r\ncontent-length: 10\r\n/i)
  expect(Buffer.from(heads[0] ?? '', 'latin1').toString('utf8')).toEndWith('{"a":"ü"}')
  expect(heads[1]).toStartWith('GET / HTTP/1.1\r\n')
  expect([...server.sockets].map(({ remoteAddress }) => remoteAddress)).toEqual(['127.0.0.9'])
})

test('refuses a body that is not text', async () => {
  await expect(createSendFrom()('http://127.0.0.1:1/', { method: 'POST', body: new Uint8Array(1) }, END)).rejects.toThrow('must be text')
})

test('rejects when there is no server, and when the address is not of this node', async () => {
  const codeOf = (running: Promise<unknown>) => running.then(() => 'answered', errorCode)
  expect(await codeOf(createSendFrom()('http://127.0.0.1:1/', {}, END))).toBe('ECONNREFUSED')
  expect(await codeOf(createSendFrom()('http://127.0.0.1:1/', {}, { ...END, localAddress: '192.0.2.1' }))).toBe('EADDRNOTAVAIL')
})

test.each([
  ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'],
  ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
])('fails the body when a connection with %s ends too early', async (_framing, text) => {
  await using server = await openServer((_head, socket) => socket.end(text))
  const answer = await createSendFrom()(server.url, {}, END)
  await expect(answer.text()).rejects.toThrow()
})

test('answers without a body have none', async () => {
  await using server = await openServer((_head, socket) => socket.write('HTTP/1.1 304 Not Modified\r\n\r\n'))
  const answer = await createSendFrom()(server.url, {}, END)
  expect([answer.status, answer.body]).toEqual([304, null])
})

test('the signal ends a request and a body', async () => {
  await using server = await openServer((head, socket) => head.startsWith('GET /body') && socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'))
  const waiting = new AbortController()
  const request = createSendFrom()(server.url, { signal: waiting.signal }, END)
  await until('the request arrived', () => server.sockets.size === 1)
  waiting.abort()
  await expect(request).rejects.toThrow('abort')
  const reading = new AbortController()
  const answer = await createSendFrom()(`${server.url}/body`, { signal: reading.signal }, END)
  const body = answer.text()
  reading.abort()
  await expect(body).rejects.toThrow()
})

test('receives no more than is read, and closes the connection of a body that is cancelled', async () => {
  let sent = 0
  await using server = await openServer((_head, socket) => {
    const piece = Buffer.alloc(MIB)
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${1024 * MIB}\r\n\r\n`)
    const more = (): void => {
      while (sent < 1024 && socket.writable) {
        sent++
        if (!socket.write(piece)) return
      }
    }
    socket.on('drain', more)
    more()
  })
  const answer = await createSendFrom()(server.url, {}, END)
  const reader = answer.body!.getReader()
  await reader.read()
  // Nothing more arrives although the server would send: what is in flight fits into the buffers of both ends.
  let before = -1
  await until('the server waits', async () => {
    const isStill = sent === before
    before = sent
    await Bun.sleep(100)
    return isStill
  })
  expect(sent).toBeLessThan(64)
  await reader.cancel()
  await until('the connection is closed', () => [...server.sockets].every(({ destroyed, readableEnded }) => destroyed || readableEnded))
})

opensslTest('a certificate must be valid for the name of the source, whatever the address is', async () => {
  await using folder = await createTemporaryFolder()
  const [key, cert] = [folder.file('key.pem'), folder.file('cert.pem')]
  const subject = ['-subj', '/CN=hub.example', '-addext', 'subjectAltName=DNS:hub.example,IP:10.1.0.5']
  const made = Bun.spawn(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject], {
    stderr: 'ignore',
  })
  expect(await made.exited).toBe(0)
  const ca = await Bun.file(cert).text()
  const server = createTlsServer({ key: await Bun.file(key).text(), cert: ca }, (request, response) => response.end(request.socket.remoteAddress))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const from = async (serverName: string): Promise<string | undefined> => {
    try {
      return await (await createSendFrom({ ca })(url, {}, { localAddress: '127.0.0.9', serverName })).text()
    } catch (error) {
      return errorCode(error)
    }
  }
  try {
    expect(await from('hub.example')).toBe('127.0.0.9')
    expect(await from('10.1.0.5')).toBe('127.0.0.9')
    expect(await from('other.example')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await from('127.0.0.1')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
