// Pages of upload links and uploads through the gateway, with a real agent: what the page says without a session, what it refuses, and what a client keeps when a
// connection, or the agent, ends in the middle.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect } from 'node:net'
import type { OpenBot } from '../../../bot/open.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { startGateway } from '../../support/agents/gateway.ts'
import type { TestGateway } from '../../support/agents/gateway.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot } from '../fixture.ts'

setDefaultTimeout(60_000)

const TUS = { 'tus-resumable': '1.0.0' }
const BODY = { ...TUS, 'content-type': 'application/offset+octet-stream' }
const LENGTH = 1_000_000
const BYTES = seededBytes(LENGTH, 5)

let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
let agent: AgentProcess
let bot: OpenBot
let gateway: TestGateway

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  gateway = startGateway(bot)
})
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  bot[Symbol.dispose]()
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Creates the upload of a page and returns its URL. */
async function begin(page: string, length = LENGTH, metadata = `filename ${btoa('disk.raw')}`): Promise<string> {
  const response = await fetch(`${page}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': String(length), 'upload-metadata': metadata } })
  expect(response.status).toBe(201)
  return new URL(response.headers.get('location') ?? '', page).href
}
const send = (url: string, offset: number, body: Uint8Array<ArrayBuffer> | ReadableStream): Promise<Response> =>
  fetch(url, { method: 'PATCH', headers: { ...BODY, 'upload-offset': String(offset) }, body })
const offsetOf = async (url: string): Promise<number> => Number((await fetch(url, { method: 'HEAD', headers: TUS })).headers.get('upload-offset'))
const stateOf = async (page: string): Promise<Record<string, unknown>> => (await (await fetch(`${page}/state`)).json()) as Record<string, unknown>

describe('the page of a link', () => {
  test('says without a session where the file goes, how large it may be and how to send it, and loads nothing from elsewhere', async () => {
    const page = await gateway.page('edge-a', agent.client, { name: '<b>"debian" & co</b>', maxLength: 2_000_000 })
    const response = await fetch(page)
    const html = await response.text()
    expect(response.status).toBe(200)
    for (const part of [
      '<h1>Upload &lt;b&gt;&quot;debian&quot; &amp; co&lt;/b&gt; to edge-a</h1>',
      '2.0 MB',
      'Begin before',
      'FILE=disk.raw; curl',
      `${page}/files`,
      'tus-js-client',
    ])
      expect(html).toContain(part)
    expect(html).not.toMatch(/<script>|<style|\son\w+=|style=|https?:\/\/(?!127\.0\.0\.1)/)
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toBe(
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' ${agent.url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect([response.headers.get('referrer-policy'), response.headers.get('cache-control')]).toEqual(['no-referrer', 'no-store'])
    const assets = [...html.matchAll(/(?:href|src)="(\/assets\/upload-[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(assets).toHaveLength(2)
    for (const path of assets) {
      const asset = await fetch(gateway.origin + path)
      expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
    }
    expect((await fetch(`${gateway.origin}/assets/upload-0000000000000000.js`)).status).toBe(404)
  })

  test('is refused for an address that nobody was given, without a word about stores, and without asking an agent', async () => {
    for (const secret of [`slu_${'x'.repeat(43)}`, 'slu_', '%00', '..%2f..%2fetc']) {
      const answers = await Promise.all([
        fetch(`${gateway.origin}/u/${secret}`),
        fetch(`${gateway.origin}/u/${secret}/state`),
        fetch(`${gateway.origin}/u/${secret}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': '1' } }),
      ])
      for (const answer of answers) {
        expect(answer.status).toBe(403)
        expect(await answer.text()).not.toContain('edge-a')
      }
    }
  })

  test('says why a link that was revoked cannot be used, and what to do', async () => {
    const page = await gateway.page('edge-a', agent.client)
    const [link] = (await agent.client.links.list()).items.toReversed()
    await agent.client.links.revoke(link?.id ?? '')
    const response = await fetch(page)
    expect(response.status).toBe(403)
    expect(await response.text()).toMatch(/The link was revoked.*Ask for a new link/s)
  })
})

describe('an upload through the gateway', () => {
  test('becomes the image, of which the state says what the store found', async () => {
    const page = await gateway.page('edge-a', agent.client, { name: 'through' })
    expect(await stateOf(page)).toMatchObject({ state: 'open', store: 'edge-a', name: 'through', upload: null, isFinal: false })
    const url = await begin(page)
    expect(await stateOf(page)).toMatchObject({ state: 'used', upload: { path: new URL(url).pathname, offset: 0, length: LENGTH, filename: 'disk.raw' } })
    expect((await send(url, 0, BYTES.slice(0, 400_000))).headers.get('upload-offset')).toBe('400000')
    expect((await fetch(page)).ok).toBe(true)
    expect((await send(url, 400_000, BYTES.slice(400_000))).status).toBe(204)
    const state = await until('the image is there', async () => {
      const now = await stateOf(page)
      return now['isFinal'] === true ? now : undefined
    })
    expect(state).toMatchObject({ state: 'completed', sentence: 'The image is in edge-a.' })
    expect(state['found']).toEqual([
      ['Image', 'through'],
      ['Length', '1.0 MB'],
      ['Format', 'raw'],
      ['Size of the disk', '1.0 MB'],
      ['Status', 'available'],
    ])
    const again = await fetch(`${page}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': '5' } })
    expect([again.status, ((await again.json()) as { detail: string }).detail]).toEqual([
      403,
      'The link was already used. An upload link creates one upload only.',
    ])
  })

  test('tells of a file that the store refuses, with advice', async () => {
    const page = await gateway.page('edge-a', agent.client, { name: 'broken.qcow2' })
    const broken = new Uint8Array(70_000)
    broken.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])
    const url = await begin(page, broken.length)
    await send(url, 0, broken)
    const state = await until('the store has looked', async () => {
      const now = await stateOf(page)
      return now['isFinal'] === true ? now : undefined
    })
    expect(String(state['sentence'])).toStartWith('edge-a refused the image: ')
    expect(String(state['action'])).toContain('upload the right file')
  })

  test('is refused with 413 over the length of the link, and the link stays good', async () => {
    const page = await gateway.page('edge-a', agent.client, { maxLength: 1000 })
    for (const body of [undefined, new Uint8Array(2000)]) {
      const headers = { ...(body ? BODY : TUS), 'upload-length': body ? '1000' : '1001' }
      const response = await fetch(`${page}/files`, { method: 'POST', headers, ...(body ? { body } : {}) })
      expect([response.status, response.headers.get('tus-resumable')]).toEqual([413, '1.0.0'])
    }
    expect(await stateOf(page)).toMatchObject({ state: 'open' })
  })

  test('goes on where the agent is when its client was cut in the middle', async () => {
    const page = await gateway.page('edge-a', agent.client)
    const url = await begin(page)
    const socket = connect(gateway.port, '127.0.0.1')
    const lines = [`PATCH ${new URL(url).pathname} HTTP/1.1`, 'Host: 127.0.0.1', `Content-Length: ${LENGTH}`, 'Upload-Offset: 0']
    socket.write([...lines, ...Object.entries(BODY).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'))
    socket.write(BYTES.subarray(0, 600_000))
    await until('the agent has bytes', async () => Number(((await stateOf(page))['upload'] as { offset: number } | null)?.offset) > 0)
    socket.destroy()
    const offset = await offsetOf(url)
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThanOrEqual(600_000)
    expect((await send(url, offset, BYTES.slice(offset))).headers.get('upload-offset')).toBe(String(LENGTH))
  })

  test('of two pages that send the same file ends as one image with its bytes', async () => {
    const page = await gateway.page('edge-a', agent.client, { name: 'twice' })
    const url = await begin(page)
    const tab = async (): Promise<void> => {
      for (let turn = 0; ; turn++) {
        const head = await fetch(url, { method: 'HEAD', headers: TUS })
        const offset = Number(head.headers.get('upload-offset'))
        if (!head.ok || offset === LENGTH) return
        const answer = await send(url, offset, BYTES.slice(offset, Math.min(LENGTH, offset + 300_000)))
        await answer.body?.cancel()
        // A browser waits before it asks again; the longer, the more often it was interrupted.
        if (answer.status !== 204) await Bun.sleep(20 * turn)
      }
    }
    await Promise.all([tab(), tab()])
    const image = await until('the image is there', async () =>
      (await agent.client.images.list()).items.find(({ name, status }) => name === 'twice' && status === 'available'),
    )
    const content = await fetch(`${agent.url}/v1/images/${image.id}/content`, { headers: agent.headers() })
    expect(Buffer.from(await content.arrayBuffer()).equals(BYTES)).toBe(true)
    expect((await agent.client.images.list()).items.filter(({ name }) => name === 'twice')).toHaveLength(1)
  })

  test('gets 503 with Retry-After while the agent is gone, and loses nothing', async () => {
    const page = await gateway.page('edge-a', agent.client, { name: 'survivor' })
    const url = await begin(page)
    await send(url, 0, BYTES.slice(0, 500_000))
    const pipe = new TransformStream<Uint8Array, Uint8Array>()
    const writer = pipe.writable.getWriter()
    const sending = send(url, 500_000, pipe.readable)
    await writer.write(BYTES.subarray(500_000, 600_000))
    await until('the agent reads', async () => (await agent.client.uploads.list()).items.some(({ rate }) => rate > 0))
    await agent.kill()
    const ended = await sending
    expect([ended.status, ended.headers.get('retry-after')]).toEqual([503, '5'])
    await writer.abort().catch(() => {})
    for (const answer of [await fetch(url, { method: 'HEAD', headers: TUS }), await fetch(page), await fetch(`${page}/state`)])
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await (await fetch(page)).text()).toContain('edge-a does not answer at the moment. What has arrived there is kept.')
    await agent.restart()
    bot.fleet.registry.change('edge-a', { url: agent.url })
    const offset = await offsetOf(url)
    expect(offset).toBeGreaterThanOrEqual(500_000)
    expect((await send(url, offset, BYTES.slice(offset))).status).toBe(204)
  })
})
