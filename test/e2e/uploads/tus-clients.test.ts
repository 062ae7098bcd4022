// tus-js-client in Node with its options.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { sampleBytes } from '../../conformance/tus/suite.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const LENGTH = 12 * 1024 * 1024 + 4321

interface Told {
  readonly outcome: 'done' | 'aborted' | 'failed'
  readonly reason?: string
  readonly url: string
  readonly answers: readonly { readonly method: string; readonly status: number; readonly location: string | null }[]
}

describe('tus-js-client', () => {
  let folder: TemporaryFolder
  let server: UploadServer
  let file: string
  const content = sampleBytes(LENGTH)

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    server = await startUploadServer()
    file = folder.file('image.raw')
    await Bun.write(file, content)
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const send = async (options: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<Told> => {
    const order = { endpoint: server.endpoint, token: 'admin-secret', file, options, ...more }
    const child = Bun.spawn(['node', join(import.meta.dir, '../../support/clients/tus-client.mjs'), JSON.stringify(order)], {
      stdout: 'pipe',
      stderr: 'inherit',
    })
    return JSON.parse(await new Response(child.stdout).text()) as Told
  }
  const expectWhole = (told: Told): void => {
    expect(told).toMatchObject({ outcome: 'done' })
    const location = told.answers.findLast((answer) => answer.location !== null)?.location ?? ''
    expect(Buffer.compare(server.content(location.replace('/v1/images/', '')), content)).toBe(0)
  }

  for (const [name, options] of Object.entries({
    'in one request': {},
    'in chunks': { chunkSize: 1024 * 1024 },
    'with bytes in the creation': { uploadDataDuringCreation: true },
    'with bytes in the creation, in chunks': { uploadDataDuringCreation: true, chunkSize: 3 * 1024 * 1024 },
    'in three parts at once': { parallelUploads: 3, chunkSize: 1024 * 1024 },
    'with POST in place of PATCH': { overridePatchMethod: true, chunkSize: 4 * 1024 * 1024 },
    'by the draft -05': { protocol: 'ietf-draft-05' },
    'by the draft -05, in chunks': { protocol: 'ietf-draft-05', chunkSize: 1024 * 1024 },
    'by the draft -05, with bytes in the creation': { protocol: 'ietf-draft-05', uploadDataDuringCreation: true, chunkSize: 5 * 1024 * 1024 },
    'by the draft -03, in chunks': { protocol: 'ietf-draft-03', chunkSize: 4 * 1024 * 1024 },
    'with metadata': { metadata: { filename: 'ä ö.raw', name: 'Debian 12', os: 'Debian', cloudInit: 'true' } },
  })) {
    test(`sends a file ${name}`, async () => {
      expectWhole(await send(options))
    }, 30_000)
  }

  test('resumes in another process', async () => {
    const first = await send({ chunkSize: 2 * 1024 * 1024 }, { abortAfter: 5 * 1024 * 1024 })
    expect(first.outcome).toBe('aborted')
    const second = await send({}, { resumeUrl: first.url })
    expect(second.answers.filter(({ method }) => method === 'POST')).toEqual([])
    expectWhole(second)
  }, 30_000)

  test('resumes by the draft in another process', async () => {
    const draft = { protocol: 'ietf-draft-05', chunkSize: 2 * 1024 * 1024 }
    const first = await send(draft, { abortAfter: 5 * 1024 * 1024 })
    expect(first.outcome).toBe('aborted')
    const second = await send(draft, { resumeUrl: first.url })
    expect(second.answers.filter(({ method }) => method === 'POST')).toEqual([])
    expectWhole(second)
  }, 30_000)

  test('terminates its upload on request', async () => {
    const told = await send({ chunkSize: 1024 * 1024 }, { abortAfter: 3 * 1024 * 1024, terminates: true })
    expect(told.outcome).toBe('aborted')
    expect((await server.ask('HEAD', new URL(told.url).pathname)).status).toBe(404)
  }, 30_000)
})
