// The connection test of `store add`: the step that failed, for servers that fail at each of them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { testConnectivity, versionWords } from '../../../bot/fleet/connectivity.ts'
import type { Connectivity } from '../../../bot/fleet/connectivity.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'
import type { Store } from '../../../protocol/store.ts'
import { storeOf } from '../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const DEPS = {
  fleet: { client: (peer: { readonly url: string; readonly token?: string | undefined }) => createAgentClient({ baseUrl: peer.url, token: peer.token }) },
  clock: systemClock,
}
const HEALTH = { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' }

type Answer = (request: Request) => Response

async function testOf(answer: Answer, tls?: { readonly cert: string; readonly key: string }, host = '127.0.0.1'): Promise<Connectivity> {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: answer, ...(tls ? { tls } : {}) })
  try {
    return await testConnectivity(DEPS, { url: `${tls ? 'https' : 'http'}://${host}:${server.port}`, token: 'secret' })
  } finally {
    await server.stop(true)
  }
}

/** The failed step, and the states of all steps in their order. */
async function stepOf(answer: Answer, tls?: { readonly cert: string; readonly key: string }): Promise<string> {
  const found = await testOf(answer, tls)
  return found.kind === 'failed' ? `${found.step}: ${statesOf(found)}` : found.kind
}

function statesOf({ steps }: Connectivity): string {
  return steps.map(({ step, state }) => `${step} ${state}`).join(', ')
}

/** Answers like an agent whose store and clock are given. */
function agentOf(store: Partial<Store>, asOf: string): Answer {
  return ({ url }) => {
    const { pathname } = new URL(url)
    if (pathname === '/v1/health') return Response.json({ ...HEALTH, asOf })
    return Response.json(pathname === '/v1/store' ? { ...storeOf(), ...store } : { items: [], next: null })
  }
}

/** Answers the health like an agent, and everything else with a problem. */
function refusing(code: 'unauthenticated' | 'forbidden' | 'store-unavailable'): Answer {
  return ({ url }) => {
    if (new URL(url).pathname === '/v1/health') return Response.json(HEALTH)
    const problem = makeProblem(code, 'No.')
    return Response.json(problem, { status: problem.status, headers: { 'Content-Type': 'application/problem+json' } })
  }
}

describe('the step that failed is', () => {
  test.each(['ftp://127.0.0.1', 'http://user:secret@127.0.0.1:1', ''])('URL for "%s"', async (url) => {
    const found = await testConnectivity(DEPS, { url, token: 'secret' })
    expect(found).toMatchObject({ kind: 'failed', step: 'URL' })
    expect(statesOf(found)).toBe(
      'URL failed, DNS skipped, TCP skipped, TLS skipped, agent skipped, token skipped, version skipped, clock skipped, space skipped',
    )
  })

  test('DNS when no name server knows the name', async () => {
    // RFC 6761 §6.4: names below .invalid do not exist.
    const found = await testConnectivity(DEPS, { url: 'http://edge-a.invalid:8420', token: 'secret' })
    expect(found).toMatchObject({ kind: 'failed', step: 'DNS', detail: expect.stringMatching(/^The name edge-a\.invalid cannot be resolved: /) })
  })

  test('TCP when nothing listens', async () => {
    const found = await testConnectivity(DEPS, { url: 'http://127.0.0.1:1', token: 'secret' })
    expect(found).toMatchObject({ kind: 'failed', step: 'TCP', detail: '127.0.0.1 port 1 cannot be reached: nothing listens there.' })
    expect(statesOf(found)).toStartWith('URL passed, DNS passed, TCP failed, TLS skipped')
  })

  test('TLS when the port speaks plain HTTP', async () => {
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => Response.json(HEALTH) })
    try {
      const found = await testConnectivity(DEPS, { url: `https://127.0.0.1:${server.port}`, token: 'secret' })
      expect(found).toMatchObject({ kind: 'failed', step: 'TLS', action: expect.stringContaining('write the address with http://') })
    } finally {
      await server.stop(true)
    }
  })

  test('agent when another program answers', async () => {
    expect(await stepOf(() => new Response('<html>'))).toStartWith('agent: URL passed, DNS passed, TCP passed, TLS passed, agent failed, token skipped')
  })

  test('agent when the agent cannot answer', async () => {
    expect(await stepOf(refusing('store-unavailable'))).toStartWith('agent: ')
  })

  test('token when the agent does not know it', async () => {
    expect(await stepOf(refusing('unauthenticated'))).toStartWith('token: URL passed, DNS passed, TCP passed, TLS passed, agent passed, token failed')
  })

  test('token when the token may not read the store', async () => {
    expect(await stepOf(refusing('forbidden'))).toStartWith('token: ')
  })

  test('version when the description of the store is not understood, and when it is of another major version', async () => {
    const now = new Date().toISOString()
    expect(await stepOf(agentOf({ capacity: 'much' as never }, now))).toStartWith('version: ')
    const newer = await testOf(agentOf({ version: '7.0.0' }, now))
    expect(newer).toMatchObject({ kind: 'failed', step: 'version', action: 'Upgrade the bot to 7.0.0.' })
  })
})

describe('a certificate', () => {
  const tool = requireTool('openssl', 'openssl')

  /** Makes a certificate for `edge-a.example` and `localhost`, signed by itself, with the times at which it begins and ends. */
  async function certificate(from: string, until: string): Promise<{ cert: string; key: string }> {
    await using folder = await createTemporaryFolder()
    const [key, request, cert] = [folder.file('key.pem'), folder.file('request.pem'), folder.file('cert.pem')]
    const files = [`database = ${folder.file('index')}`, `new_certs_dir = ${folder.path}`, 'default_md = sha256', 'rand_serial = yes', 'policy = p']
    const extensions = ['x509_extensions = e', '[p]', 'commonName = supplied', '[e]', 'subjectAltName = DNS:edge-a.example,DNS:localhost']
    await Bun.write(folder.file('ca.cnf'), ['[ca]', 'default_ca = d', '[d]', ...files, ...extensions, ''].join('\n'))
    await Bun.write(folder.file('index'), '')
    await run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', request, '-subj', '/CN=edge-a')
    const dates = ['-startdate', from, '-enddate', until]
    await run('openssl', 'ca', '-batch', '-config', folder.file('ca.cnf'), '-selfsign', '-keyfile', key, '-in', request, '-out', cert, '-notext', ...dates)
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() }
  }
  const VALID = ['20260101000000Z', '20990101000000Z'] as const

  tool('of no trusted authority and for another host is refused for both', async () => {
    const found = await testOf(() => Response.json(HEALTH), await certificate(...VALID))
    expect(found).toMatchObject({
      kind: 'failed',
      step: 'TLS',
      detail:
        'The certificate is for DNS:edge-a.example, DNS:localhost, not for 127.0.0.1. No authority that the bot trusts signed the certificate (issuer: edge-a; DEPTH_ZERO_SELF_SIGNED_CERT).',
      action: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    })
    expect(statesOf(found)).toStartWith('URL passed, DNS passed, TCP passed, TLS failed, agent skipped')
  })

  tool('of no trusted authority is refused for that alone when it names the host', async () => {
    const found = await testOf(() => Response.json(HEALTH), await certificate(...VALID), 'localhost')
    expect(found).toMatchObject({ step: 'TLS', detail: expect.stringMatching(/^No authority that the bot trusts signed the certificate/) })
  })

  tool('that has expired says when', async () => {
    const found = await testOf(() => Response.json(HEALTH), await certificate('20200101000000Z', '20210101000000Z'))
    expect(found).toMatchObject({ step: 'TLS', detail: expect.stringMatching(/^The certificate expired at 2021-01-01 00:00:00 UTC\./) })
    const later = await testOf(() => Response.json(HEALTH), await certificate('20980101000000Z', '20990101000000Z'))
    expect(later).toMatchObject({ step: 'TLS', detail: expect.stringMatching(/^The certificate is not valid before 2098-01-01 00:00:00 UTC\./) })
  })
})

describe('a store that can be used', () => {
  test('passes every step; what is not as it should be is a warning', async () => {
    const well = await testOf(agentOf({}, new Date().toISOString()))
    expect(statesOf(well)).toBe('URL passed, DNS passed, TCP passed, TLS passed, agent passed, token passed, version passed, clock passed, space passed')
    const capacity = { ...storeOf().capacity, available: 0 }
    const found = await testOf(agentOf({ version: '0.9.3', capacity }, '2020-01-01T00:00:00.000Z'))
    expect(statesOf(found)).toEndWith('token passed, version warning, clock warning, space warning')
    expect(found).toMatchObject({
      kind: 'connected',
      warnings: [/too new for this bot/, /behind that of the bot/, /no space above the reserve of 1.0 GB/].map(matching),
    })
  })

  test('has the version of this bot, or is told which side to upgrade', () => {
    expect(versionWords('0.1.7', '0.1.0')).toEqual({ isFailure: false, isSame: true, detail: '0.1.7', action: '' })
    expect(versionWords('0.0.9', '0.1.0')).toMatchObject({ isFailure: false, isSame: false, action: 'Upgrade the agent to 0.1.0.' })
    expect(versionWords('0.2.0', '0.1.0')).toMatchObject({ isFailure: false, isSame: false, action: 'Upgrade the bot to 0.2.0.' })
    expect(versionWords('1.0.0', '2.3.4')).toMatchObject({ isFailure: true, action: 'Upgrade the agent to 2.3.4.' })
  })
})

function matching(pattern: RegExp): unknown {
  return expect.stringMatching(pattern)
}
