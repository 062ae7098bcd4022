// tus-js-client against an agent, in Node and in Chromium on a page of another origin: an upload is read back at its own address, which
// is not found after termination.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { sampleBytes } from '../../conformance/tus/suite.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { openBrowserPage } from '../../support/clients/browser.ts'
import type { BrowserOrder, BrowserPage } from '../../support/clients/browser.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const LENGTH = 20 * 1024 * 1024 + 5
const CHUNK = 8 * 1024 * 1024

const nodeTest = requireTool('node', 'nodejs')
const browserTest = requireTool('chromium', 'chromium')

let folder: TemporaryFolder
let agent: AgentProcess
let page: BrowserPage
const content = sampleBytes(LENGTH)

beforeAll(async () => {
  folder = await createTemporaryFolder()
  page = await openBrowserPage(content)
  agent = await startAgent(folder.path, { config: `[uploads]\norigins = ["${page.origin}"]\n` })
})
afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await page[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const PATHS = { whole: [], 'with its creation': [], 'from a stream of unknown length': [] }

describe('an upload is read back at its address', () => {
  nodeTest('by tus-js-client in Node', async () => {
    await Bun.write(folder.file('input'), content)
    const order = { endpoint: `${agent.url}/v1/uploads`, headers: agent.headers(), file: folder.file('input'), chunkSize: CHUNK }
    const child = Bun.spawn(['node', join(import.meta.dir, '../../support/clients/tus-round-trip.mjs'), JSON.stringify(order)], {
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
    expect(stdout === '' ? stderr : JSON.parse(stdout)).toEqual({ ...PATHS, 'from a stream of known length': [] })
  })

  browserTest('by tus-js-client in Chromium', async () => {
    const order: Omit<BrowserOrder, 'client' | 'options'> = { endpoint: `${agent.url}/v1/uploads`, headers: agent.headers() }
    const reports = await page.run([
      { ...order, client: 'round trip', options: {} },
      { ...order, client: 'round trip', options: { uploadDataDuringCreation: true } },
      { ...order, client: 'round trip', options: { chunkSize: CHUNK, uploadLengthDeferred: true } },
    ])
    expect(reports.map(({ reason }) => reason)).toEqual(['', '', ''])
  })
})

describe('the address of an upload', () => {
  const TUS = { 'tus-resumable': '1.0.0' }
  const create = async (length: number): Promise<string> => {
    const made = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers({ ...TUS, 'upload-length': String(length) }) })
    return new URL(made.headers.get('location') ?? '', agent.url).href
  }

  test('redirects GET and HEAD without tus to the image of a finished upload', async () => {
    const url = await create(4)
    for (const [method, status] of [
      ['GET', 409],
      ['HEAD', 412],
    ] as const)
      expect((await fetch(url, { method, headers: agent.headers() })).status).toBe(status)
    const headers = agent.headers({ ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' })
    const patched = await fetch(url, { method: 'PATCH', headers, body: 'abcd' })
    const image = patched.headers.get('content-location')
    for (const method of ['GET', 'HEAD']) {
      const found = await fetch(url, { method, headers: agent.headers(), redirect: 'manual' })
      expect([found.status, found.headers.get('location'), found.headers.get('tus-resumable')]).toEqual([303, `${image}/content`, '1.0.0'])
    }
    expect(await (await fetch(url, { headers: agent.headers() })).text()).toBe('abcd')
    expect((await fetch(url, { method: 'DELETE', headers: agent.headers(TUS) })).status).toBe(204)
    for (const method of ['GET', 'HEAD']) expect((await fetch(url, { method, headers: agent.headers() })).status).toBe(404)
  })

  test('is not found for other uploaders, and does not give the holder of its link access to the content', async () => {
    const { url } = await agent.client.links.create({ kind: 'upload', ttlSeconds: 60 })
    const made = await fetch(url, {
      method: 'POST',
      headers: { ...TUS, 'upload-length': '4', 'content-type': 'application/offset+octet-stream' },
      body: 'wxyz',
    })
    const location = new URL(made.headers.get('location') ?? '', agent.url)
    const found = await fetch(location, { redirect: 'manual' })
    expect([found.status, found.headers.get('location')]).toEqual([303, `${made.headers.get('content-location')}/content`])
    expect((await fetch(location)).status).toBe(401)
    expect((await fetch(location.origin + (found.headers.get('location') ?? '') + location.search)).status).toBe(403)
    const other = await agent.client.tokens.create({ name: 'another', role: 'uploader' })
    expect((await fetch(location.origin + location.pathname, { headers: { authorization: `Bearer ${other.token}` } })).status).toBe(404)
  })
})
