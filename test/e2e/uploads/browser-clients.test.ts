// tus-js-client and Uppy in Chromium, on a page of another origin than the agent's.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { sampleBytes } from '../../conformance/tus/suite.ts'
import { openBrowserPage } from '../../support/clients/browser.ts'
import type { BrowserOrder, BrowserReport } from '../../support/clients/browser.ts'
import { hasTool, requireTool } from '../../support/require.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const content = sampleBytes(9 * 1024 * 1024 + 777)
const PIECE = 2 * 1024 * 1024
const browserTest = requireTool('chromium', 'chromium')

const CASES: Readonly<Record<string, Pick<BrowserOrder, 'client' | 'options' | 'abortAfter'>>> = {
  'tus-js-client sends a file in one request': { client: 'tus-js-client', options: {} },
  'tus-js-client sends a file in chunks': { client: 'tus-js-client', options: { chunkSize: PIECE } },
  'tus-js-client sends a file with bytes in the creation': { client: 'tus-js-client', options: { chunkSize: PIECE, uploadDataDuringCreation: true } },
  'tus-js-client sends a file in three parts at once': { client: 'tus-js-client', options: { chunkSize: PIECE, parallelUploads: 3 } },
  'tus-js-client sends a file with POST in place of PATCH': { client: 'tus-js-client', options: { chunkSize: PIECE, overridePatchMethod: true } },
  'tus-js-client sends a file by the draft': { client: 'tus-js-client', options: { chunkSize: PIECE, protocol: 'ietf-draft-05' } },
  'tus-js-client resumes a stopped upload': { client: 'tus-js-client', options: { chunkSize: PIECE }, abortAfter: PIECE },
  'Uppy sends a file in one request': { client: 'uppy', options: {} },
  'Uppy sends a file in chunks': { client: 'uppy', options: { chunkSize: PIECE } },
  'Uppy sends a file in parts at once': { client: 'uppy', options: { chunkSize: PIECE, parallelUploads: 2 } },
}

describe('clients in Chromium', () => {
  let server: UploadServer
  let reports: readonly BrowserReport[]

  beforeAll(async () => {
    if (!hasTool('chromium', 'chromium')) return
    await using page = await openBrowserPage(content)
    server = await startUploadServer({}, [page.origin])
    const headers = { Authorization: 'Bearer admin-secret' }
    reports = await page.run(Object.values(CASES).map((order) => ({ ...order, endpoint: server.endpoint, headers })))
  }, 120_000)
  afterAll(() => server?.[Symbol.asyncDispose]())

  for (const [i, [name, { abortAfter }]] of Object.entries(CASES).entries()) {
    browserTest(name, async () => {
      expect(reports[i]).toMatchObject({ outcome: 'done', reason: '', resumed: abortAfter === undefined ? 0 : 1 })
      const url = new URL(reports[i]?.url ?? '')
      const location = (await server.ask('HEAD', url.pathname)).headers.get('content-location') ?? ''
      expect(Buffer.compare(server.content(location.replace('/v1/images/', '')), content)).toBe(0)
    })
  }
})
