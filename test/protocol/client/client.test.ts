// The typed client against servers that answer as an agent does, and against those that do anything else.

import { describe, expect, test } from 'bun:test'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { peerUrl } from '../../../protocol/client/exchange.ts'
import type { Peer } from '../../../protocol/client/exchange.ts'
import { FrameInvalid, SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import { encodeManifest, MANIFEST_ENTRIES_MAX } from '../../../protocol/slices/manifest.ts'
import { makeProblem, problemCode, ProblemError } from '../../../protocol/problems.ts'

const health = { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' }

/** A client of a server that answers with `answer`, and what it was asked. */
function against(answer: (request: Request) => Response | Promise<Response>, changes: Partial<Peer> = {}) {
  const asked: { method: string; path: string; headers: Headers; body: string }[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const url = new URL(request.url)
      asked.push({ method: request.method, path: url.pathname + url.search, headers: request.headers, body: await request.clone().text() })
      return answer(request)
    },
  })
  const baseUrl = `http://127.0.0.1:${server.port}`
  return { client: createAgentClient({ baseUrl, token: 'secret', ...changes }), baseUrl, asked, [Symbol.asyncDispose]: () => server.stop(true) }
}

async function failureOf(run: Promise<unknown>): Promise<{ code: string; detail: string; status: number }> {
  try {
    await run
  } catch (error) {
    if (error instanceof ProblemError) return { code: problemCode(error.problem), detail: error.problem.detail, status: error.problem.status }
    throw error
  }
  throw new Error('it did not fail')
}

describe('client', () => {
  test('sends the token, encodes names and drops members that are undefined', async () => {
    await using server = against(() => Response.json({ items: [], next: null }))
    await server.client.images.list({ status: 'available', owner: undefined, limit: 5, name: 'a b&c' })
    expect(server.asked[0]).toMatchObject({ method: 'GET', path: '/v1/images?status=available&limit=5&name=a+b%26c' })
    expect(server.asked[0]?.headers.get('authorization')).toBe('Bearer secret')
    await server.client.files.list('some folder/ü')
    expect(server.asked[1]?.path).toBe('/v1/files?path=some+folder%2F%C3%BC')
    await failureOf(server.client.images.grant('img_1', 'user:a/b'))
    expect(server.asked[2]).toMatchObject({ method: 'PUT', path: '/v1/images/img_1/grants/user%3Aa%2Fb' })
  })

  test('never leaves the given path', async () => {
    for (const segment of ['.', '..', '']) expect(() => peerUrl('http://h', ['v1', segment])).toThrow('is neither a name nor an id')
    expect(peerUrl('http://h/prefix', ['v1', 'a/../b?c#d']).href).toBe('http://h/prefix/v1/a%2F..%2Fb%3Fc%23d')
    expect(() => peerUrl('file:///etc/passwd', ['v1'])).toThrow('must be an http or https URL')
    expect(() => peerUrl('nonsense', ['v1'])).toThrow('must be an http or https URL')
  })

  test('reads all pages', async () => {
    const page = (cursor: string | null) => ({ items: [], next: cursor === null ? 'a' : cursor === 'a' ? 'b' : null })
    await using server = against((request) => Response.json(page(new URL(request.url).searchParams.get('cursor'))))
    for await (const _image of server.client.images.all()) throw new Error('there is none')
    expect(server.asked.map(({ path }) => path)).toEqual(['/v1/images', '/v1/images?cursor=a', '/v1/images?cursor=b'])
  })

  test('returns health even if its state is error', async () => {
    await using server = against(() => Response.json({ ...health, state: 'error' }, { status: 503 }))
    expect((await server.client.health()).state).toBe('error')
  })

  test('requests a manifest only when it is read, so that a refusal always reaches the reader', async () => {
    await using server = against((request) =>
      request.url.endsWith('/health') ? Response.json(health) : Response.json(makeProblem('wrong-status', 'The image is deleted.'), { status: 409 }),
    )
    const manifest = server.client.images.manifest('img_1')
    await server.client.health()
    expect(server.asked.map(({ path }) => path)).toEqual(['/v1/health'])
    expect(await failureOf(Array.fromAsync(manifest))).toMatchObject({ code: 'wrong-status' })
  })

  test('returns undefined for an image that was deleted for good', async () => {
    await using server = against(() => new Response(null, { status: 204 }))
    expect(await server.client.images.delete('img_1')).toBeUndefined()
  })
})

describe('uploads', () => {
  test('are created, shown, and sent by slices', async () => {
    const id = 'upl_01jd0000000000000000000000'
    await using server = against(({ method }) => {
      if (method === 'POST') return new Response(null, { status: 201, headers: { Location: `/v1/uploads/${id}` } })
      const imageId = 'img_01jd0000000000000000000000'
      return new Response(null, { status: method === 'HEAD' ? 200 : 204, headers: { 'Upload-Offset': '7', 'Content-Location': `/v1/images/${imageId}` } })
    })
    const { uploads } = server.client
    expect(await uploads.create({ length: 9, metadata: { name: 'a ü' } })).toBe(id)
    expect(await uploads.show(id)).toEqual({ offset: 7, imageId: 'img_01jd0000000000000000000000' })
    const frames = async function* (): AsyncGenerator<Uint8Array> {
      yield new TextEncoder().encode('fra')
      yield new TextEncoder().encode('mes')
    }
    expect(await uploads.sendSlices(id, 5, frames())).toMatchObject({ offset: 7 })
    const [created, , sent] = server.asked
    expect(created?.headers.get('upload-metadata')).toBe(`name ${Buffer.from('a ü').toString('base64')}`)
    expect(sent).toMatchObject({ method: 'PATCH', path: `/v1/uploads/${id}`, body: 'frames' })
    expect(sent?.headers.get('content-type')).toBe(SLICES_MEDIA_TYPE)
    expect(sent?.headers.get('upload-offset')).toBe('5')
  })

  test('that do not exist are undefined, and a failing body reports its error', async () => {
    await using server = against(({ method }) => new Response(null, { status: method === 'HEAD' ? 410 : 204 }))
    expect(await server.client.uploads.show('upl_1')).toBeUndefined()
    const frames = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10)
      throw new Error('the file is gone')
    }
    await expect(server.client.uploads.sendSlices('upl_1', 0, frames())).rejects.toThrow('the file is gone')
  })
})

describe('failures', () => {
  test('with a problem of the agent throw it unchanged', async () => {
    const document = makeProblem('image-bound', 'Image x is used by vm-1.', { bindings: ['vm-1'] })
    await using server = against(() => Response.json(document, { status: 409, headers: { 'content-type': 'application/problem+json', 'retry-after': '7' } }))
    const failure = await server.client.images.delete('img_1').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ProblemError)
    if (failure instanceof ProblemError) {
      expect(failure.problem).toEqual(document)
      expect(failure.headers).toEqual({ 'retry-after': '7' })
    }
  })

  test('with an answer that does not come from an agent are reported without quoting it', async () => {
    const secret = 'AKIA-the-secret'
    const foreign = { type: 'about:blank', title: secret, status: 500, detail: secret, action: secret }
    const answers: Record<string, () => Response> = {
      'is not JSON': () => new Response(`<html>${secret}`),
      'sent JSON that does not match the schema of an agent': () => Response.json({ [secret]: secret, state: secret }),
      'answered 500 without the problem document': () => new Response(secret, { status: 500 }),
      'answered 501 without the problem document': () => Response.json(foreign, { status: 501, headers: { 'content-type': 'application/problem+json' } }),
      'redirects to another address': () => new Response(null, { status: 302, headers: { location: `http://elsewhere/${secret}` } }),
    }
    for (const [words, answer] of Object.entries(answers)) {
      await using server = against(answer)
      const failure = await failureOf(server.client.health())
      expect(failure.code).toBe('peer-unreachable')
      expect(failure.detail).toContain(words)
      expect(failure.detail).not.toContain(secret)
    }
  })

  test('that are too long to be problems end early', async () => {
    const document = { ...makeProblem('conflict', 'x'.repeat(60_000)), padding: '' }
    await using server = against(() => Response.json(document, { status: 409 }))
    expect((await failureOf(server.client.store.get())).detail).toHaveLength(2000)
    await using longer = against(() => Response.json({ ...document, padding: 'x'.repeat(10_000) }, { status: 409 }))
    expect(await failureOf(longer.client.store.get())).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('more than the limit') })
  })

  test.each([
    [401, 'unauthenticated'],
    [403, 'forbidden'],
    [404, 'not-found'],
    [412, 'precondition-failed'],
    [416, 'range-not-satisfiable'],
    [418, 'peer-unreachable'],
  ])('of a HEAD, which has no body, are mapped by their status: %d', async (status, code) => {
    await using server = against(() => new Response(null, { status }))
    expect((await failureOf(server.client.images.content('img_1', { method: 'HEAD' }))).code).toBe(code)
  })

  test('without a body are mapped by their status', async () => {
    await using server = against(() => new Response(null, { status: 403 }))
    expect((await failureOf(server.client.store.get())).code).toBe('forbidden')
    await using other = against(() => new Response('no', { status: 403 }))
    expect((await failureOf(other.client.store.get())).code).toBe('peer-unreachable')
  })

  test.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'cannot be reached: its certificate is not accepted (DEPTH_ZERO_SELF_SIGNED_CERT)'],
    ['ECONNREFUSED', 'cannot be reached: the connection was refused; nothing listens at this address'],
    ['EOTHER', 'cannot be reached: it failed'],
  ])('to connect report the reason: %s', async (code, sentence) => {
    const fetch = () => Promise.reject(Object.assign(new Error('it failed'), { code }))
    const client = createAgentClient({ baseUrl: 'http://peer.example', fetch })
    expect((await failureOf(client.health())).detail).toContain(sentence)
  })

  test('to connect name the address', async () => {
    const { client, baseUrl, ...server } = against(() => new Response())
    await server[Symbol.asyncDispose]()
    expect(await failureOf(client.health())).toMatchObject({
      code: 'peer-unreachable',
      status: 502,
      detail: expect.stringContaining(`${baseUrl} cannot be reached`),
    })
  })

  test('of an answer that is too long end the exchange early', async () => {
    let sent = 0
    const endless = () =>
      new ReadableStream<Uint8Array>({
        pull(controller) {
          sent += 1 << 20
          controller.enqueue(new Uint8Array(1 << 20).fill(32))
        },
      })
    await using server = against(() => new Response(endless()))
    expect(await failureOf(server.client.health())).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('more than the limit') })
    expect(sent).toBeLessThan(64 << 20)
  })
})

test('the state of an upload requires an offset, which can be 0', async () => {
  const answer = (offset: Record<string, string>) => against(() => new Response(null, { headers: offset }))
  await using empty = answer({ 'upload-offset': '0' })
  expect(await empty.client.uploads.show('upl_1')).toEqual({ offset: 0, imageId: undefined })
  const wrong: Record<string, string>[] = [{}, { 'upload-offset': '-1' }, { 'upload-offset': '1.5' }, { 'upload-offset': 'x' }]
  for (const headers of wrong) {
    await using server = answer(headers)
    expect(await failureOf(server.client.uploads.show('upl_1'))).toMatchObject({ code: 'peer-unreachable' })
  }
})

describe('time', () => {
  /** Timeouts that a test lets run out; real time plays no part. */
  function manualTimeouts() {
    const running: AbortController[] = []
    return {
      timeout: (_ms: number) => {
        const controller = new AbortController()
        running.push(controller)
        return controller.signal
      },
      /** The n-th timeout runs out. */
      runOut: (n: number) => running[n]?.abort(),
      get count() {
        return running.length
      },
    }
  }

  test('without an answer ends', async () => {
    const clock = manualTimeouts()
    const asked = Promise.withResolvers<void>()
    await using server = against(
      () => {
        asked.resolve()
        return new Promise<Response>(() => {})
      },
      { timeout: clock.timeout, answerTimeoutMs: 5000 },
    )
    const failing = failureOf(server.client.health())
    await asked.promise
    clock.runOut(0)
    expect(await failing).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('did not answer within 5 s') })
  })

  test('of silence within an answer ends it; the time a reader takes does not', async () => {
    const clock = manualTimeouts()
    const more = Promise.withResolvers<void>()
    const stream = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new Uint8Array(10))
        await more.promise
        controller.enqueue(new Uint8Array(10))
      },
    })
    await using server = against(() => new Response(stream), { timeout: clock.timeout, stallTimeoutMs: 9000 })
    const answer = await server.client.images.content('img_1')
    // The limit of the answer itself no longer counts.
    clock.runOut(0)
    const pieces = answer.body()
    await pieces.next()
    // The reader rests here: both looks pass without an end.
    clock.runOut(1)
    clock.runOut(2)
    more.resolve()
    await pieces.next()
    const silent = failureOf(pieces.next())
    // A look after the second piece came sees that something happened, the next one that nothing did.
    clock.runOut(3)
    clock.runOut(4)
    expect(await silent).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('fell silent for 9 s') })
  })

  /** A client whose answers come in pieces of a length, each when it is asked for, `waitMs` after the one before. */
  function piecemeal(pieceBytes: number, waitMs: number) {
    let nowMs = 0
    const body = () => new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(pieceBytes).fill(32)) }, { highWaterMark: 0 })
    return createAgentClient({ baseUrl: 'http://peer.example', fetch: async () => new Response(body()), now: () => (nowMs += waitMs) })
  }

  test.each([
    ['JSON', (client: AgentClient) => client.images.list()],
    ['a manifest', (client: AgentClient) => client.images.manifest('img_1').next()],
    ['slices', (client: AgentClient) => client.slices.fetch(['sha256:0']).next()],
    ['an image', async (client: AgentClient) => Array.fromAsync((await client.images.content('img_1')).body())],
  ])('of a peer that trickles %s ends, though it is never silent', async (_what, ask) => {
    expect(await failureOf(ask(piecemeal(1, 5000)))).toMatchObject({
      code: 'peer-unreachable',
      detail: expect.stringContaining('sent less than 4096 bytes per second'),
    })
  })

  test('of a JSON answer has an end, whatever its rate', async () => {
    expect(await failureOf(piecemeal(64 * 1024, 5000).images.list())).toMatchObject({
      detail: expect.stringContaining('did not finish its answer within 120 s'),
    })
  })

  test('that the reader takes does not count against the rate', async () => {
    let nowMs = 0
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array([32])) }, { highWaterMark: 0 })
    const client = createAgentClient({ baseUrl: 'http://peer.example', fetch: async () => new Response(body), now: () => nowMs })
    const pieces = (await client.images.content('img_1')).body()
    for (let i = 0; i < 10; i++) {
      expect((await pieces.next()).done).toBe(false)
      nowMs += 3_600_000
    }
    await pieces.return(undefined)
  })

  test('of a body that makes its way is unlimited; one that makes none is ended', async () => {
    const clock = manualTimeouts()
    const came = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const go = Promise.withResolvers<void>()
    // A server that never answers, so that only the client's own limit ends the request.
    await using silent = Bun.listen({ port: 0, hostname: '127.0.0.1', socket: { data() {} } })
    const client = createAgentClient({ baseUrl: `http://127.0.0.1:${silent.port}`, token: 'secret', timeout: clock.timeout })
    const frames = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10)
      came[0]?.resolve()
      await go.promise
      yield new Uint8Array(10)
      came[1]?.resolve()
      await new Promise(() => {})
    }
    const failing = failureOf(client.uploads.sendSlices('upl_1', 0, frames()))
    await came[0]?.promise
    // A piece went since the request began: the first look passes and makes a second one.
    clock.runOut(0)
    go.resolve()
    await came[1]?.promise
    clock.runOut(1)
    expect(clock.count).toBe(3)
    clock.runOut(2)
    expect(await failing).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('did not answer') })
  })

  test('is up when the caller says so', async () => {
    await using server = against(() => new Promise<Response>(() => {}))
    const stop = new AbortController()
    const asking = server.client.health({ signal: stop.signal }).catch((error: unknown) => error)
    stop.abort(new Error('enough'))
    expect(await asking).toMatchObject({ message: 'enough' })
  })
})

describe('content', () => {
  test('of a manifest is what its header says, no more and no less', async () => {
    const { manifest } = await encodeManifest([{ length: 10, digest: new Uint8Array(32).fill(1) }])
    let bytes = manifest.bytes
    await using server = against(() => new Response(bytes))
    const read = async (): Promise<Buffer> => Buffer.concat(await Array.fromAsync(server.client.images.manifest('img_1')))
    expect((await read()).equals(manifest.bytes)).toBe(true)
    const first = await server.client.images.manifest('img_1').next()
    expect(first.value.byteLength).toBe(32)
    const tooMany = manifest.bytes.slice()
    new DataView(tooMany.buffer).setBigUint64(12, BigInt(MANIFEST_ENTRIES_MAX + 1), true)
    for (const wrong of [manifest.bytes.slice(1), manifest.bytes.slice(0, 20), manifest.bytes.slice(0, -1), new Uint8Array([...manifest.bytes, 0]), tooMany]) {
      bytes = wrong
      expect(await failureOf(read())).toMatchObject({ code: 'peer-unreachable', detail: expect.stringContaining('not valid') })
    }
  })

  test('of slices that is cut is never whole', async () => {
    await using server = against(() => new Response(new Uint8Array(30)))
    const reading = (async () => {
      for await (const _frame of server.client.slices.fetch([])) throw new Error('there is none')
    })()
    expect(await reading.catch((error: unknown) => error)).toBeInstanceOf(FrameInvalid)
  })

  test('passes range and conditions', async () => {
    await using server = against(() => new Response(null, { status: 304 }))
    const answer = await server.client.images.content('img_1', { range: 'bytes=0-1', ifRange: '"a"', ifNoneMatch: '"b"', ifMatch: '"c"' })
    expect(answer.status).toBe(304)
    const headers = server.asked[0]?.headers
    expect([headers?.get('range'), headers?.get('if-range'), headers?.get('if-none-match'), headers?.get('if-match')]).toEqual([
      'bytes=0-1',
      '"a"',
      '"b"',
      '"c"',
    ])
  })
})
