// The connection test of `store add`: the step that failed, for servers that fail at each of them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { testConnectivity } from '../../../bot/fleet/connectivity.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const FLEET = { client: (peer: { readonly url: string; readonly token?: string | undefined }) => createAgentClient({ baseUrl: peer.url, token: peer.token }) }
const HEALTH = { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' }

type Answer = (request: Request) => Response

async function stepOf(answer: Answer, tls?: { readonly cert: string; readonly key: string }): Promise<string> {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: answer, ...(tls ? { tls } : {}) })
  try {
    const found = await testConnectivity(FLEET, { url: `${tls ? 'https' : 'http'}://127.0.0.1:${server.port}`, token: 'secret' })
    return found.kind === 'failed' ? found.step : found.kind
  } finally {
    await server.stop(true)
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
    expect(await testConnectivity(FLEET, { url, token: 'secret' })).toMatchObject({ kind: 'failed', step: 'URL' })
  })

  test('network when nothing listens', async () => {
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    const url = `http://127.0.0.1:${server.port}`
    await server.stop(true)
    expect(await testConnectivity(FLEET, { url, token: 'secret' })).toMatchObject({ kind: 'failed', step: 'network' })
  })

  requireTool('openssl', 'openssl')('TLS when no authority signed the certificate', async () => {
    await using folder = await createTemporaryFolder()
    const [key, cert] = [folder.file('key.pem'), folder.file('cert.pem')]
    await run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=127.0.0.1')
    const tls = { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() }
    expect(await stepOf(() => Response.json(HEALTH), tls)).toBe('TLS')
  })

  test('agent when another program answers', async () => {
    expect(await stepOf(() => new Response('<html>'))).toBe('agent')
  })

  test('agent when the agent cannot answer', async () => {
    expect(await stepOf(refusing('store-unavailable'))).toBe('agent')
  })

  test('token when the agent does not know it', async () => {
    expect(await stepOf(refusing('unauthenticated'))).toBe('token')
  })

  test('role when the token may not read the store', async () => {
    expect(await stepOf(refusing('forbidden'))).toBe('role')
  })
})
