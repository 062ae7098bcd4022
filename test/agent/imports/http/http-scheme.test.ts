// Imports over http against servers on loopback: ranges, cuts, redirects, versions, and servers that lie.

import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'bun:test'
import { createAddressGuard } from '../../../../agent/imports/address-guard.ts'
import { createHttpScheme } from '../../../../agent/imports/http/http-scheme.ts'
import type { HttpSchemeOptions } from '../../../../agent/imports/http/http-scheme.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { problemCode } from '../../../../protocol/problems.ts'
import type { Task } from '../../../../protocol/task.ts'
import { openImportStore, orderOf } from '../../../support/agents/import-store.ts'
import type { ImportStore } from '../../../support/agents/import-store.ts'
import { startFileServer } from '../../../support/clients/file-server.ts'
import { seededBytes } from '../../../support/images/image-store.ts'

const LOOPBACK = ['127.0.0.1']
const CONTENT = seededBytes(9_000_001, 3)

interface Options extends Partial<HttpSchemeOptions> {
  readonly allow?: readonly string[]
  readonly lookup?: (name: string) => Promise<readonly string[]>
}

function open(options: Options = {}): Promise<ImportStore> {
  const { allow = LOOPBACK, lookup = async () => ['127.0.0.1'], ...rest } = options
  const guard = createAddressGuard({ allow, lookup, ownAddresses: () => [] })
  return openImportStore({ schemes: [createHttpScheme({ clock: systemClock, guard, concurrency: 1, ...rest })] })
}

const at = (url: string) => ({ location: { kind: 'url', url } }) as const
const outcome = (task: Task): string => (task.error ? problemCode(task.error) : task.state)

/** Serves one raw answer to every request. */
async function serveRaw(answer: (socket: Socket, head: string) => void): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (head) => answer(socket, String(head)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/raw.img`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('the bytes', () => {
  test.each([1, 4, 16])('arrive whole with %d connections', async (concurrency) => {
    await using server = await startFileServer(CONTENT)
    await using target = await open({ concurrency })
    const task = await target.import(at(server.url))
    expect(task.error).toBeUndefined()
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
    expect(target.store.catalogue.need(task.subject).source).toMatchObject({ kind: 'url', url: server.url, filename: 'file.img' })
    // Five ranges of 2 MiB need five connections at most, and each connection carries one range after the other.
    const connections = new Set(server.clientPorts.slice(1))
    expect(connections.size).toBe(Math.min(concurrency, 5))
    expect(server.ranges.slice(1).toSorted()).toEqual(
      concurrency === 1
        ? ['bytes=0-9000000']
        : ['bytes=0-2097151', 'bytes=2097152-4194303', 'bytes=4194304-6291455', 'bytes=6291456-8388607', 'bytes=8388608-9000000'],
    )
    expect(server.requests[0]?.headers).toMatchObject({ 'accept-encoding': 'identity', range: 'bytes=0-0' })
  })

  test.each([1, 4])('continue after three cuts with %d connections, by Range and If-Range', async (concurrency) => {
    await using server = await startFileServer(CONTENT)
    await using target = await open({ concurrency })
    server.cuts = [1_000_000, 1_500_000, 1_200_000]
    const task = await target.import(at(server.url))
    expect(outcome(task)).toBe('succeeded')
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
    const asked = server.requests.filter(({ headers }) => headers.range !== 'bytes=0-0')
    expect(asked.every(({ headers }) => headers['if-range'] === '"v1"')).toBe(true)
    if (concurrency === 1)
      expect(asked.map(({ headers }) => headers.range)).toEqual(['bytes=0-9000000', 'bytes=1000000-9000000', 'bytes=2500000-9000000', 'bytes=3700000-9000000'])
  })

  test('continue by Last-Modified where there is no strong entity tag', async () => {
    await using server = await startFileServer(CONTENT)
    await using target = await open()
    Object.assign(server, { etag: 'W/"weak"', lastModified: 'Sat, 21 Nov 2026 10:00:00 GMT', cuts: [4_000_000] })
    expect(outcome(await target.import(at(server.url)))).toBe('succeeded')
    expect(server.requests.at(-1)?.headers).toMatchObject({ range: 'bytes=4000000-9000000', 'if-range': 'Sat, 21 Nov 2026 10:00:00 GMT' })
  })

  test('of a server without ranges are read again and skipped after a cut', async () => {
    await using server = await startFileServer(CONTENT)
    await using target = await open({ concurrency: 4 })
    Object.assign(server, { hasRanges: false, cuts: [20, 2_000_000, 3_000_000, 4_000_000] })
    const task = await target.import(at(server.url))
    expect(outcome(task)).toBe('succeeded')
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
  })

  test('of a file that changes after a cut are those of the new file', async () => {
    await using server = await startFileServer(CONTENT)
    await using target = await open()
    const other = seededBytes(3_000_000, 9)
    server.cuts = [4_000_000]
    server.intercept = (request) => {
      if (request.headers.range?.startsWith('bytes=0-0') && server.requests.length > 1) Object.assign(server, { bytes: other, etag: '"v2"' })
      return false
    }
    const task = await target.import(at(server.url))
    expect(outcome(task)).toBe('succeeded')
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(other))
  })

  test('of a file that changes between two requests are not mixed', async () => {
    await using server = await startFileServer(CONTENT)
    await using target = await open({ concurrency: 2 })
    const other = seededBytes(9_000_001, 9)
    let count = 0
    server.intercept = () => {
      if (++count === 4) Object.assign(server, { bytes: other, etag: '"v2"' })
      return false
    }
    const task = await target.import(at(server.url))
    expect(outcome(task)).toBe('succeeded')
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(other))
  })

  test('of an empty file are refused', async () => {
    await using server = await startFileServer(new Uint8Array(0))
    await using target = await open()
    expect(outcome(await target.import(at(server.url)))).toBe('invalid-input')
  })

  test.each(['chunked', 'until the connection closes'])('arrive without a length: %s', async (framing) => {
    await using server = await serveRaw((socket) => {
      if (framing !== 'chunked') return void socket.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), CONTENT]))
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (let from = 0; from < CONTENT.byteLength; from += 1_000_000) {
        const chunk = CONTENT.subarray(from, from + 1_000_000)
        socket.write(`${chunk.byteLength.toString(16)};name=value\r\n`)
        socket.write(chunk)
        socket.write('\r\n')
      }
      socket.end('0\r\nTrailer: ignored\r\n\r\n')
    })
    await using target = await open()
    const task = await target.import(at(server.url))
    expect(task.error).toBeUndefined()
    expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
  })
})

describe('redirects', () => {
  /** Redirects the first path to a location. */
  async function redirected(location: string, options: Options = {}): Promise<{ task: Task; target: ImportStore; requests: number }> {
    await using server = await startFileServer(CONTENT)
    server.intercept = (request, response) => {
      if (request.url !== '/file.img') return false
      response.writeHead(302, { Location: location.replace('SELF', `127.0.0.1:${server.port}`) }).end('a body that nobody may see')
      return true
    }
    const target = await open(options)
    return { task: await target.import({ ...at(server.url), credentials: { token: 'secret' } }), target, requests: server.requests.length }
  }

  test('are followed, with credentials for the first server only', async () => {
    await using server = await startFileServer(CONTENT)
    await using other = await startFileServer(CONTENT)
    server.intercept = (_request, response) => {
      response.writeHead(301, { Location: `http://localhost:${other.port}/moved?signature=1` }).end()
      return true
    }
    await using target = await open({ allow: ['127.0.0.1', 'localhost'] })
    expect(outcome(await target.import({ ...at(server.url), credentials: { username: 'ann', password: 'pässword' } }))).toBe('succeeded')
    expect(server.requests[0]?.headers.authorization).toBe('Basic YW5uOnDDpHNzd29yZA==')
    expect(other.requests.map(({ url, headers }) => [url, headers.host, headers.authorization])).toEqual([
      ['/moved?signature=1', `localhost:${other.port}`, undefined],
      ['/moved?signature=1', `localhost:${other.port}`, undefined],
    ])
  })

  test.each([
    ['http://10.0.0.1/', 'source-not-allowed'],
    ['http://169.254.169.254/latest/meta-data/', 'source-not-allowed'],
    ['http://[::ffff:10.0.0.1]/', 'source-not-allowed'],
    ['http://2130706434/', 'source-not-allowed'],
    ['http://rebound.test/', 'source-not-allowed'],
    ['file:///etc/passwd', 'source-refused'],
    ['ftp://127.0.0.1/x', 'source-refused'],
    ['http://user:password@SELF/x', 'source-refused'],
    ['http://', 'source-refused'],
  ])('to %s end with %s', async (location, code) => {
    const { task, target, requests } = await redirected(location, {
      lookup: async (name) => (name === 'rebound.test' ? ['127.0.0.1', '10.0.0.2'] : ['127.0.0.1']),
    })
    await using _target = target
    expect(outcome(task)).toBe(code)
    expect(JSON.stringify(task)).not.toContain('nobody may see')
    expect(requests).toBe(1)
  })

  test('are followed five times and no more', async () => {
    for (const [hops, expected] of [
      [5, 'succeeded'],
      [6, 'source-refused'],
    ] as const) {
      await using server = await startFileServer(CONTENT)
      server.intercept = (request, response) => {
        const hop = Number(/hop=(\d+)/.exec(request.url ?? '')?.[1] ?? 0)
        if (hop >= hops) return false
        response.writeHead(307, { Location: `/file.img?hop=${hop + 1}` }).end()
        return true
      }
      await using target = await open()
      expect(outcome(await target.import(at(server.url)))).toBe(expected)
    }
  })
})

test('a DNS server that changes its answer cannot lead a connection elsewhere', async () => {
  await using server = await startFileServer(CONTENT)
  const inner = await startFileServer(seededBytes(100_000, 1))
  await using _inner = inner
  const answers = [['127.0.0.1'], ['127.0.0.1'], ['10.0.0.1'], ['127.0.0.1']]
  const asked: string[] = []
  await using target = await open({
    allow: ['127.0.0.1'],
    lookup: async (name) => {
      asked.push(name)
      return answers.shift() ?? ['10.0.0.1']
    },
  })
  // The check before the task, the first request and the next one resolve the name once each; the third answer is private.
  const task = await target.import(at(`http://rebind.test:${server.port}/file.img`))
  expect(outcome(task)).toBe('source-not-allowed')
  expect(asked).toEqual(['rebind.test', 'rebind.test', 'rebind.test'])
  expect(server.requests.map(({ headers }) => headers.host)).toEqual([`rebind.test:${server.port}`])
  expect(inner.requests).toEqual([])
})

describe('servers that misbehave', () => {
  const refusals: readonly (readonly [string, string, string])[] = [
    ['HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret', 'source-refused', 'The server of the source answered with status 404.'],
    ['HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nsecret', 'source-refused', 'The server of the source answered with status 401.'],
    ['HTTP/1.1 503 Busy secret\r\nContent-Length: 6\r\n\r\nsecret', 'source-unreachable', 'its server answered with status 503'],
    ['HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nsecret', 'source-refused', 'Content-Encoding'],
    ['secret\r\n\r\n', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\n folded: yes\r\n\r\n', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(20), 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nsecret', 'source-unreachable', 'its answer is not valid HTTP/1.1'],
    ['HTTP/1.1 206 Partial Content\r\nETag: "a"\r\nContent-Range: bytes 5-5/10\r\nContent-Length: 1\r\n\r\ns', 'source-unreachable', 'it changed'],
  ]
  test.each(refusals)('answer %# is refused', async (answer, code, detail) => {
    await using server = await serveRaw((socket) => socket.end(answer))
    await using target = await open()
    const task = await target.import(at(server.url))
    expect(outcome(task)).toBe(code)
    expect(task.error?.detail).toContain(detail)
    expect(JSON.stringify(task.error)).not.toContain('secret')
    expect(target.uploads.stats().unfinished).toBe(0)
  })

  test('a body that ends before its length is continued, and then fails', async () => {
    await using server = await serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'))
    await using target = await open()
    expect(outcome(await target.import(at(server.url)))).toBe('source-unreachable')
  })

  test('ranges that are longer than they say are refused', async () => {
    const body = 'y'.repeat(5_000_000)
    await using server = await serveRaw((socket, head) => {
      const range = /range: bytes=(\d+)-(\d+)/i.exec(head)
      socket.end(
        `HTTP/1.1 206 Partial Content\r\nETag: "a"\r\nContent-Range: bytes ${range?.[1]}-${range?.[2]}/9000000\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      )
    })
    await using target = await open({ concurrency: 4 })
    expect(outcome(await target.import(at(server.url)))).toBe('source-refused')
  })

  test('a server that does not answer is given up', async () => {
    await using server = await serveRaw(() => {})
    await using target = await open({ headMs: 50 })
    const task = await target.import(at(server.url))
    expect(task.error?.detail).toBe('The source was not read after 3 attempts: it did not answer within 0.05 s.')
  })

  test('a body without end is refused at the longest length of the store', async () => {
    const piece = Buffer.alloc(256 * 1024, 1)
    await using server = await serveRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const more = (): void => void (socket.destroyed || (socket.write(piece) ? setImmediate(more) : socket.once('drain', more)))
      more()
    })
    const guard = createAddressGuard({ allow: LOOPBACK, lookup: async () => [], ownAddresses: () => [] })
    await using target = await openImportStore({
      schemes: [createHttpScheme({ clock: systemClock, guard, concurrency: 1 })],
      uploads: { maxLength: 8_000_000 },
    })
    expect(outcome(await target.import(at(server.url)))).toBe('payload-too-large')
    expect(target.uploads.stats().unfinished).toBe(0)
  })
})

test('a plan says what the server says, and starts nothing', async () => {
  await using server = await startFileServer(CONTENT)
  server.headers = { 'Content-Disposition': `attachment; filename*=UTF-8''debian%2012.qcow2` }
  await using target = await open()
  const plan = await target.imports.plan(orderOf(at(`${server.url}?signature=abc`)), new AbortController().signal)
  expect(plan).toMatchObject({
    dryRun: true,
    source: { kind: 'url', location: server.url, filename: 'debian 12.qcow2', length: 9_000_001, canResume: true },
    image: { name: 'imported' },
    objections: [],
  })
  expect(server.ranges).toEqual(['bytes=0-0'])
  expect(target.tasks.list({ limit: 10 }).items).toEqual([])
  expect(target.uploads.stats().unfinished).toBe(0)
})
