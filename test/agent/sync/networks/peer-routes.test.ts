// The network of a sync: which addresses both ends of a connection have. The source is a real server on all loopback addresses, the target has some of
// them.

import { describe, expect, test } from 'bun:test'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createPeerFetch, createPeerNetwork } from '../../../../agent/sync/peer-network.ts'
import { createProvingFetch } from '../../../../agent/sync/sources/prove.ts'
import { isWithin } from '../../../../agent/sync/networks/announcement.ts'
import { createSendFrom } from '../../../../agent/system/send-from.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { makeProblem, problemCode, ProblemError } from '../../../../protocol/problems.ts'

const ID = '0a7b4f5e-30c8-4b6f-9a3a-7d1f2d7c9b11'
const SLICES = '/v1/slices/missing'

interface Seen {
  readonly path: string
  readonly to: string
  readonly from: string
  readonly host: string
  readonly token: string
}

/** A source: what it announces may name `PORT`, its port. `idAt` returns its UUID at one of its addresses. */
async function openSource(networks: unknown, idAt: (address: string) => string = () => ID) {
  const seen: Seen[] = []
  let text = ''
  const answer = (request: IncomingMessage): string => {
    const to = request.socket.localAddress ?? ''
    const { host = '', authorization = '' } = request.headers
    seen.push({ path: request.url ?? '', to, from: request.socket.remoteAddress ?? '', host, token: authorization })
    return request.url === '/v1/store' ? `{"id":"${idAt(to)}","networks":${text}}` : '{"missing":[]}'
  }
  const server = createServer((request, response) => {
    const body = answer(request)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  await new Promise<void>((resolve) => server.listen(port, '0.0.0.0', resolve))
  text = JSON.stringify(networks ?? null).replaceAll('PORT', String(port))
  if (networks === undefined) text = 'null'
  return {
    port,
    seen,
    /** Returns the connections of requests for slices as `from → to`. */
    paths: () => seen.filter(({ path }) => path === SLICES).map(({ from, to }) => `${from} → ${to}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

interface Target {
  readonly cidr?: string
  readonly own?: readonly string[]
  readonly peers?: readonly string[]
  readonly names?: Readonly<Record<string, string>>
}

/** A target with addresses of its own. */
function openTarget({ cidr = '', own = [], peers = [], names = {} }: Target) {
  let nowMs = 0
  const lookup = async (name: string) => [names[name] ?? '']
  const network = createPeerNetwork(peers, lookup, {
    cidr,
    now: () => nowMs,
    ownAddresses: (within) => own.filter((address) => isWithin(address, within)),
    sendFrom: createSendFrom(),
  })
  const fetch = createPeerFetch(network)
  return {
    advance: (ms: number) => void (nowMs += ms),
    client: (baseUrl: string) => createAgentClient({ baseUrl, token: 'secret', fetch, answerTimeoutMs: 5000 }),
  }
}

async function outcomeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
    return 'done'
  } catch (error) {
    if (error instanceof ProblemError) return `${problemCode(error.problem)}: ${error.problem.detail}`
    throw error
  }
}

const at = (...addresses: string[]) => ({ urls: addresses.map((address) => `http://${address}:PORT`) })
/** A source with a management address, a data address and two sync addresses. */
const ANNOUNCED = {
  listen: at('127.20.0.1'),
  data: { cidr: '127.40.0.0/16', ...at('127.40.0.1') },
  sync: { cidr: '127.30.0.0/16', ...at('127.30.0.1', '127.30.0.2') },
}

describe('network.sync of the target', () => {
  test('wins over that of the source, and both ends have an address in it', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ cidr: '127.40.0.0/16', own: ['127.30.0.9', '127.40.0.9', '127.20.0.9'] })
    await client(`http://127.20.0.1:${source.port}`).slices.missing([])
    expect(source.paths()).toEqual(['127.40.0.9 → 127.40.0.1'])
    // The management address is asked for the networks, and the chosen one whether it is the same store.
    expect(source.seen.map(({ path, to }) => `${path} ${to}`)).toEqual(['/v1/store 127.20.0.1', '/v1/store 127.40.0.1', `${SLICES} 127.40.0.1`])
    for (const { token } of source.seen) expect(token).toBe('Bearer secret')
  })

  test('keeps the name of the source in the header Host', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ cidr: '127.40.0.0/16', own: ['127.40.0.9'], names: { 'hub.example': '127.20.0.1' } })
    await client(`http://hub.example:${source.port}`).slices.missing([])
    expect(source.seen.at(-1)).toMatchObject({ to: '127.40.0.1', host: `hub.example:${source.port}` })
  })

  test('needs no announcement for a source that is named by its address in the network', async () => {
    await using source = await openSource(undefined)
    const { client } = openTarget({ cidr: '127.40.0.0/16', own: ['127.40.0.9'] })
    await client(`http://127.40.0.7:${source.port}`).slices.missing([])
    expect(source.seen.map(({ path, from, to }) => `${path} ${from} ${to}`)).toEqual([`${SLICES} 127.40.0.9 127.40.0.7`])
  })

  test('uses the own address that is nearest to the source', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ cidr: '127.0.0.0/8', own: ['127.20.0.9', '127.40.0.9', '127.30.0.9'] })
    await client(`http://127.30.0.2:${source.port}`).slices.missing([])
    expect(source.paths()).toEqual(['127.30.0.9 → 127.30.0.2'])
  })

  test('refuses when this node has no address in it, before anything is sent', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ cidr: '127.40.0.0/16', own: ['127.20.0.9'] })
    expect(await outcomeOf(client(`http://127.20.0.1:${source.port}`).slices.missing([]))).toBe(
      'no-network-address: This node has no address in 127.40.0.0/16, network.sync of this store.',
    )
    expect(source.seen).toEqual([])
  })

  test.each([
    ['no address in it', ANNOUNCED],
    ['no networks', undefined],
  ])('refuses a source that announces %s', async (_what, announced) => {
    await using source = await openSource(announced)
    const { client } = openTarget({ cidr: '127.50.0.0/16', own: ['127.50.0.9'] })
    const url = `http://127.20.0.1:${source.port}`
    expect(await outcomeOf(client(url).slices.missing([]))).toBe(
      `no-network-address: ${url} announces no address in 127.50.0.0/16 that this store may connect to.`,
    )
    expect(source.paths()).toEqual([])
  })
})

describe('without network.sync', () => {
  test('the sync network of the source is used', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ own: ['127.20.0.9', '127.30.0.9'] })
    await client(`http://127.20.0.1:${source.port}`).slices.missing([])
    expect(source.paths()).toEqual(['127.30.0.9 → 127.30.0.1'])
  })

  test('a node without an address in the sync network of the source refuses', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client } = openTarget({ own: ['127.20.0.9'] })
    const url = `http://127.20.0.1:${source.port}`
    expect(await outcomeOf(client(url).slices.missing([]))).toBe(`no-network-address: This node has no address in 127.30.0.0/16, the sync network of ${url}.`)
    expect(source.paths()).toEqual([])
  })

  test.each([
    ['announces nothing', undefined],
    ['has none either', { ...ANNOUNCED, sync: { cidr: null, urls: [] } }],
    ['announces nonsense', { ...ANNOUNCED, sync: { cidr: 'everywhere', urls: [] } }],
  ])('a source that %s is reached at the named address', async (_what, announced) => {
    await using source = await openSource(announced)
    const { client } = openTarget({ own: ['127.20.0.9'] })
    await client(`http://127.20.0.1:${source.port}`).slices.missing([])
    expect(source.paths()).toEqual(['127.0.0.1 → 127.20.0.1'])
  })
})

describe('an announced address', () => {
  test('of another store is not used', async () => {
    await using source = await openSource(ANNOUNCED, (address) => (address === '127.20.0.1' ? ID : 'b5b3c2ad-5b1f-4f7f-8a86-0d7c3e0e6c21'))
    const { client } = openTarget({ own: ['127.30.0.9'] })
    const url = `http://127.20.0.1:${source.port}`
    expect(await outcomeOf(client(url).slices.missing([]))).toBe(
      `peer-unreachable: http://127.30.0.1:${source.port} is another store than ${url}, which announces that address.`,
    )
    expect(source.paths()).toEqual([])
  })

  test('is replaced by the next one when it does not answer as the source', async () => {
    await using source = await openSource(ANNOUNCED, (address) => (address === '127.30.0.1' ? 'other' : ID))
    const { client } = openTarget({ own: ['127.30.0.9'] })
    await client(`http://127.20.0.1:${source.port}`).slices.missing([])
    expect(source.paths()).toEqual(['127.30.0.9 → 127.30.0.2'])
  })

  test('must be in sync.peers, unless it is in the network of this store', async () => {
    await using source = await openSource(ANNOUNCED)
    const url = `http://127.20.0.1:${source.port}`
    const own = ['127.30.0.9', '127.40.0.9']
    const unlisted = openTarget({ own, peers: ['127.20.0.1'] })
    expect(await outcomeOf(unlisted.client(url).slices.missing([]))).toStartWith('peer-not-allowed: This store does not connect to 127.30.0.1')
    const listed = openTarget({ own, peers: ['127.20.0.1', '127.30.0.0/16'] })
    await listed.client(url).slices.missing([])
    const configured = openTarget({ own, cidr: '127.40.0.0/16', peers: ['127.20.0.1'] })
    await configured.client(url).slices.missing([])
    expect(source.paths()).toEqual(['127.30.0.9 → 127.30.0.1', '127.40.0.9 → 127.40.0.1'])
  })

  test('that is never allowed is not used', async () => {
    const announced = { ...ANNOUNCED, sync: { cidr: '169.254.0.0/16', ...at('169.254.169.254') } }
    await using source = await openSource(announced)
    const { client } = openTarget({ own: ['169.254.0.9'] })
    expect(await outcomeOf(client(`http://127.20.0.1:${source.port}`).slices.missing([]))).toStartWith('no-network-address')
  })

  test('of this machine is used only for a source on this machine', async () => {
    const network = createPeerNetwork([], async () => ['192.0.2.7'], {
      cidr: '127.40.0.0/16',
      now: () => 0,
      ownAddresses: () => ['127.40.0.9'],
      sendFrom: async () => {
        throw new Error('a request was sent')
      },
    })
    const fetch = createPeerFetch(network, async () => Response.json({ id: ID, networks: JSON.parse(JSON.stringify(ANNOUNCED).replaceAll('PORT', '1')) }))
    const client = createAgentClient({ baseUrl: 'http://hub.example', token: 'secret', fetch })
    expect(await outcomeOf(client.slices.missing([]))).toStartWith('no-network-address: http://hub.example announces no address')
  })
})

describe('the source is asked for its networks', () => {
  test('once for many requests, and again after a minute', async () => {
    await using source = await openSource(ANNOUNCED)
    const { client, advance } = openTarget({ own: ['127.30.0.9'] })
    const agent = client(`http://127.20.0.1:${source.port}`)
    const asked = (): number => source.seen.filter(({ path, to }) => path === '/v1/store' && to === '127.20.0.1').length
    await Promise.all(Array.from({ length: 10 }, () => agent.slices.missing([])))
    expect([asked(), source.paths().length]).toEqual([1, 10])
    advance(59_999)
    await agent.slices.missing([])
    expect(asked()).toBe(1)
    advance(1)
    await agent.slices.missing([])
    expect(asked()).toBe(2)
  })

  test('not again when a request for the store itself returned them', async () => {
    await using source = await openSource(ANNOUNCED)
    const network = createPeerNetwork([], async () => [], { cidr: '', now: () => 0, ownAddresses: () => ['127.30.0.9'], sendFrom: createSendFrom() })
    const fetch = createPeerFetch(network)
    const answer = await fetch(`http://127.20.0.1:${source.port}/v1/store`, { headers: { authorization: 'Bearer secret' } })
    expect(await answer.json()).toMatchObject({ id: ID })
    await (await fetch(`http://127.20.0.1:${source.port}${SLICES}`, { method: 'POST', body: '{}' })).text()
    expect(source.seen.map(({ path, to }) => `${path} ${to}`)).toEqual(['/v1/store 127.20.0.1', '/v1/store 127.30.0.1', `${SLICES} 127.30.0.1`])
  })

  // 256 KiB is the longest answer that is read; one without a length is not read either.
  test.each([
    ['of 262,144 bytes', 262_144, 0],
    ['of 262,145 bytes', 262_145, 1],
    ['of unknown length', undefined, 1],
  ])('again when the answer of the store was %s, %j: %i times', async (_what, length, times) => {
    const text = (bytes: number): string => `{"id":"${ID}","networks":null,"more":"${'x'.repeat(bytes)}"}`
    const body = text((length ?? 1000) - text(0).length)
    let questions = 0
    const network = createPeerNetwork([], async () => ['192.0.2.7'], { cidr: '', now: () => 0, ownAddresses: () => [], sendFrom: createSendFrom() })
    const fetch = createPeerFetch(network, async (url) => {
      if (!url.endsWith('/v1/store')) return Response.json({ missing: [] })
      questions++
      const headers = { 'content-type': 'application/json', ...(length === undefined ? {} : { 'content-length': String(length) }) }
      return new Response(body, { headers })
    })
    const answer = await fetch('http://hub.example/v1/store', { headers: { authorization: 'Bearer secret' } })
    // Whoever asked gets the whole answer in any case.
    expect(await answer.text()).toBe(body)
    await createAgentClient({ baseUrl: 'http://hub.example', token: 'secret', fetch }).slices.missing([])
    expect(questions).toBe(1 + times)
  })

  test('again after a connection failed', async () => {
    await using source = await openSource(ANNOUNCED)
    const send = createSendFrom()
    let isCut = false
    const network = createPeerNetwork([], async () => [], {
      cidr: '',
      now: () => 0,
      ownAddresses: () => ['127.30.0.9'],
      sendFrom: (url, init, end) => (isCut && url.endsWith(SLICES) ? Promise.reject(new Error('cut')) : send(url, init, end)),
    })
    const agent = createAgentClient({ baseUrl: `http://127.20.0.1:${source.port}`, token: 'secret', fetch: createPeerFetch(network) })
    await agent.slices.missing([])
    isCut = true
    expect(await outcomeOf(agent.slices.missing([]))).toStartWith('peer-unreachable')
    isCut = false
    await agent.slices.missing([])
    expect(source.seen.filter(({ path, to }) => path === '/v1/store' && to === '127.20.0.1')).toHaveLength(2)
  })
})

describe('a source that wants a proof', () => {
  const TOKEN = `slg_${'a'.repeat(40)}`
  const PROVER = { storeId: ID, publicKey: 'k'.repeat(43), sign: () => Promise.resolve('s'.repeat(86)) }

  /** A source that accepts proofs with its present nonce only, at addresses that `isStrictAt` names. */
  async function openStrictSource(isStrictAt: (address: string) => boolean) {
    const source = { nonce: 'nonce-0001', paths: [] as string[] }
    const server = createServer((request, response) => {
      const to = request.socket.localAddress ?? ''
      const proof = String(request.headers['slipway-proof'])
      if (isStrictAt(to) && !proof.includes(`.${source.nonce}.`)) {
        response.writeHead(401, { 'content-type': 'application/problem+json', 'slipway-nonce': source.nonce })
        response.end(JSON.stringify(makeProblem('unauthenticated', 'The grant needs a proof.')))
        return
      }
      source.paths.push(`${request.url} ${to}`)
      const { port } = server.address() as AddressInfo
      const networks = JSON.stringify(ANNOUNCED).replaceAll('PORT', String(port))
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(request.url === '/v1/store' ? `{"id":"${ID}","networks":${networks}}` : '{"missing":[]}')
    })
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
    const { port } = server.address() as AddressInfo
    return Object.assign(source, {
      port,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise<void>((resolve) => server.close(() => resolve()))
      },
    })
  }

  function openProvingTarget(port: number) {
    let nowMs = 0
    const networks = { cidr: '', now: () => nowMs, ownAddresses: () => ['127.30.0.9'], sendFrom: createSendFrom() }
    const fetch = createProvingFetch(createPeerFetch(createPeerNetwork([], async () => [], networks)), PROVER, TOKEN)
    return {
      advance: (ms: number) => void (nowMs += ms),
      agent: createAgentClient({ baseUrl: `http://127.20.0.1:${port}`, token: TOKEN, fetch, answerTimeoutMs: 5000 }),
    }
  }

  test('gets a new one when its nonce has expired, also while the route is found again', async () => {
    await using source = await openStrictSource(() => true)
    const { agent, advance } = openProvingTarget(source.port)
    await agent.slices.missing([])
    source.nonce = 'nonce-0002'
    await agent.slices.missing([])
    source.nonce = 'nonce-0003'
    advance(60_000)
    await agent.slices.missing([])
    const route = ['/v1/store 127.20.0.1', '/v1/store 127.30.0.1']
    expect(source.paths).toEqual([...route, `${SLICES} 127.30.0.1`, `${SLICES} 127.30.0.1`, ...route, `${SLICES} 127.30.0.1`])
  })

  test('on its sync network only: its description is not taken for the answer', async () => {
    await using source = await openStrictSource((address) => address !== '127.20.0.1')
    source.nonce = 'short'
    const { agent } = openProvingTarget(source.port)
    expect(await outcomeOf(agent.slices.missing([]))).toBe('unauthenticated: The grant needs a proof.')
  })
})
