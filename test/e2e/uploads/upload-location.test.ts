// Where clients send the bytes of an upload in a store with a data network: there, whatever address created the upload.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { networkInterfaces } from 'node:os'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireThat } from '../../support/require.ts'

setDefaultTimeout(60_000)

const BYTES = seededBytes(3_000_000, 21)
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'))
const ipv6Test = requireThat(hasIpv6, 'the loopback interface has no address ::1, which stands for the data network')

describe('Location of a new upload', () => {
  const stack = new AsyncDisposableStack()
  let agent: AgentProcess
  let dataUrl: string
  let file: string

  beforeAll(async () => {
    if (!hasIpv6) return
    const folder = stack.use(await createTemporaryFolder())
    file = folder.file('image.raw')
    await Bun.write(file, BYTES)
    agent = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path, { environment: { SLIPWAY_NETWORK_DATA: '::1/128' } }))
    dataUrl = (await agent.client.store.get()).networks?.data.urls[0] ?? ''
  })
  afterAll(() => stack.disposeAsync())

  const create = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<string | null> => {
    const order = { 'tus-resumable': '1.0.0', 'upload-length': '10', 'upload-metadata': `name ${btoa('x')}`, ...headers }
    const made = await fetch(url, { method: 'POST', headers: agent.headers(order) })
    expect(made.status).toBe(201)
    return made.headers.get('location')
  }

  ipv6Test('is in the data network, and relative where the client stays on its address', async () => {
    const uploads = `${agent.url}/v1/uploads`
    expect(dataUrl).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect(await create(uploads)).toStartWith(`${dataUrl}/v1/uploads/upl_`)
    expect(await create(`${dataUrl}/v1/uploads`)).toStartWith('/v1/uploads/upl_')
    expect(await create(uploads, { 'x-forwarded-host': 'store.example', 'x-forwarded-proto': 'https' })).toStartWith('/v1/uploads/upl_')
    expect(await create(uploads, { 'sec-fetch-site': 'same-origin' })).toStartWith('/v1/uploads/upl_')
    expect(await create(uploads, { origin: agent.url })).toStartWith('/v1/uploads/upl_')
    const draft = await fetch(uploads, { method: 'POST', headers: agent.headers({ 'upload-complete': '?0', 'upload-draft-interop-version': '8' }) })
    expect([draft.status, draft.headers.get('location')?.startsWith(`${dataUrl}/v1/uploads/upl_`)]).toEqual([201, true])
  })

  for (const [name, options] of Object.entries({
    'in chunks': { chunkSize: 1024 * 1024 },
    'with bytes in the creation': { uploadDataDuringCreation: true, chunkSize: 1024 * 1024 },
    'in three parts at once': { parallelUploads: 3 },
    'by the draft -05': { protocol: 'ietf-draft-05' },
  })) {
    ipv6Test(`is followed by tus-js-client, ${name}`, async () => {
      const order = { endpoint: `${agent.url}/v1/uploads`, token: TEST_ADMIN_TOKEN, file, options }
      const child = Bun.spawn(['node', join(import.meta.dir, '../../support/clients/tus-client.mjs'), JSON.stringify(order)], {
        stdout: 'pipe',
        stderr: 'inherit',
      })
      const told = JSON.parse(await new Response(child.stdout).text()) as { outcome: string; url: string; answers: { location: string | null }[] }
      expect(told).toMatchObject({ outcome: 'done' })
      expect(told.url).toStartWith(dataUrl)
      // The URL of the upload redirects to the content, within the data network.
      const content = await fetch(told.url, { headers: agent.headers() })
      expect(content.url).toStartWith(`${dataUrl}/v1/images/img_`)
      expect(Buffer.from(await content.arrayBuffer()).equals(BYTES)).toBe(true)
    })
  }

  ipv6Test('does not move uploads of the client of the agent', async () => {
    const id = await agent.client.uploads.create({ length: 10, metadata: { name: 'y' } })
    expect(await agent.client.uploads.show(id)).toMatchObject({ offset: 0 })
  })
})
