// All routes of a real agent over real sockets: the role that each requires, and behaviour that only a server has.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenApiDocument } from '../../../../agent/http/openapi/document.ts'
import type { CreatedToken, Role } from '../../../../protocol/access.ts'
import { startAgent } from '../../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { ACCESS_TABLE, callersOf, TABLE_ROLES } from './access-table.ts'

let folder: TemporaryFolder
let agent: AgentProcess
let document: OpenApiDocument
const tokens = new Map<Role, CreatedToken>()

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  for (const role of TABLE_ROLES) tokens.set(role, await agent.client.tokens.create({ name: `the ${role}`, role }))
  document = (await (await fetch(`${agent.url}/v1/openapi.json`, { headers: agent.headers() })).json()) as OpenApiDocument
})

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Every method and path of the agent, except OPTIONS, which is open to everyone; `role` is from the OpenAPI document. */
function operations(): { method: string; pattern: string; role: string }[] {
  return Object.entries(document.paths)
    .flatMap(([pattern, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        pattern,
        role: String((operation as Record<string, unknown>)['x-role']),
      })),
    )
    .filter(({ method }) => method !== 'OPTIONS')
}

/** Sends bytes and returns everything received until the peer closes, or until the requested number of answers. */
function sendRaw(text: string, answers = 1): Promise<string> {
  const { hostname, port } = new URL(agent.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text))
    let received = ''
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      if ((received.match(/HTTP\/1\.1 \d{3}/g) ?? []).length >= answers && received.endsWith('}')) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received))
  })
}

describe('access', () => {
  test('covers every route of the table, and the document names its role', () => {
    const documented = Object.fromEntries(operations().map(({ method, pattern, role }) => [`${method} ${pattern}`, role]))
    const written = Object.entries(ACCESS_TABLE).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, callers]) => [
        `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
        callers.includes('nobody') ? 'public' : TABLE_ROLES.find((role) => callers.includes(role)),
      ]),
    )
    // The document lists HEAD only if it differs from GET.
    const isListed = ([line]: (string | undefined)[]): boolean => line?.startsWith('HEAD ') !== true || documented[line] !== undefined
    expect(documented).toEqual(Object.fromEntries(written.filter(isListed)))
  })

  test('is refused with 401 without a token, and with 403 with a lesser one, on every route', async () => {
    let refusals = 0
    for (const { method, pattern } of operations()) {
      const callers = callersOf(method, pattern)
      if (callers.includes('nobody')) continue
      const url = agent.url + pattern.replaceAll(/\{\w+\}/g, 'none')
      // The first page is for browsers only.
      const accept: Record<string, string> = pattern === '/' ? { accept: 'text/html' } : {}
      const missing = await fetch(url, { method, headers: accept })
      expect([method, pattern, missing.status]).toEqual([method, pattern, 401])
      expect(missing.headers.get('www-authenticate')).toStartWith('Bearer')
      await missing.arrayBuffer()
      for (const lesser of TABLE_ROLES.filter((role) => !callers.includes(role))) {
        const refused = await fetch(url, { method, headers: { ...accept, authorization: `Bearer ${tokens.get(lesser)?.token}` } })
        expect([method, pattern, lesser, refused.status]).toEqual([method, pattern, lesser, 403])
        await refused.arrayBuffer()
        refusals++
      }
    }
    expect(refusals).toBeGreaterThan(40)
  })
})

describe('the mount path', () => {
  const get = (target: string) =>
    sendRaw(`GET ${target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${tokens.get('admin')?.token}\r\nconnection: close\r\n\r\n`)

  test('cannot be left by any spelling of a path', async () => {
    await Bun.write(folder.file('secret'), 'very secret')
    await symlink(folder.file('secret'), join(folder.path, 'store', 'link'))
    for (const path of [
      '../secret',
      '%2e%2e%2fsecret',
      '%2e%2e/secret',
      '..%2fsecret',
      '%252e%252e%252fsecret',
      '..%5csecret',
      '%c0%ae%c0%ae/secret',
      'images/../../secret',
      'link',
      `${folder.path}/secret`,
      `%2f${folder.path}/secret`,
      'store.json%00/../../secret',
    ]) {
      for (const route of ['/v1/files/content?path=', '/v1/files?path=', '/v1/files/content/', '/v1/files/']) {
        const answer = await get(route + path)
        expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
        expect(answer).not.toContain('very secret')
      }
    }
    expect(await get('/v1/files')).toContain('{"name":"link","length":0,')
  })
})

describe('the server', () => {
  test('returns the length of a file for HEAD, and sends it for GET', async () => {
    const url = `${agent.url}/v1/files/content?path=store.json`
    const head = await fetch(url, { method: 'HEAD', headers: agent.headers() })
    const get = await fetch(url, { headers: agent.headers() })
    const length = (await get.arrayBuffer()).byteLength
    expect(head.headers.get('content-length')).toBe(String(length))
    expect(get.headers.get('content-length')).toBe(String(length))
  })

  test('answers the next request on a socket after a refusal whose body it did not read', async () => {
    const body = 'x'.repeat(200_000)
    const first = `POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const answers = await sendRaw(`${first}GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`, 2)
    expect(answers).toMatch(/^HTTP\/1\.1 401 /)
    // Either the second request is answered, or the connection is closed. A body is never parsed as a request.
    expect(answers.match(/HTTP\/1\.1 (\d{3})/g)?.slice(1) ?? []).toEqual(answers.includes('200 OK') ? ['HTTP/1.1 200'] : [])
  })

  test('sends events to a client that resumes a stream', async () => {
    const stream = await fetch(`${agent.url}/v1/events`, { headers: agent.headers({ accept: 'text/event-stream', 'last-event-id': '0' }) })
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const readUntil = async (part: string): Promise<void> => {
      while (!text.includes(part)) text += (await reader?.read())?.value ?? ''
    }
    await readUntil('token.created')
    await agent.client.store.patch({ description: 'seen by the stream' })
    await readUntil('store.changed')
    await reader?.cancel()
  })

  test('keeps the disabled state, descriptions and schedules after a kill', async () => {
    await agent.client.store.patch({ description: 'in the cellar' })
    await agent.client.store.disable('disk swap')
    await agent.client.schedules.patch('scrub', { cron: '5 5 * * 5' })
    await agent.restart()
    expect(await agent.client.store.get()).toMatchObject({ enabled: false, disabledReason: 'disk swap', description: 'in the cellar' })
    const { items } = await agent.client.schedules.list()
    expect(items.find(({ name }) => name === 'scrub')?.cron).toBe('5 5 * * 5')
    const refused = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers({ 'tus-resumable': '1.0.0', 'upload-length': '10' }) })
    expect(((await refused.json()) as { type: string }).type).toBe('urn:slipway:problem:store-disabled')
    expect((await agent.client.store.enable()).enabled).toBe(true)
  })
})
