// The cases of tus-node-server's shared tests of DataStores (packages/utils/src/test/stores.ts of tus/tus-node-server), in our words, on the store that relays to an
// agent. Two cases differ on purpose: the agent chooses the ids, and expires uploads itself.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { Upload } from '@tus/utils'
import { createAgentUploads } from '../../../bot/gateway/agent-uploads.ts'
import { RelayStore } from '../../../bot/gateway/relay-store.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const LENGTH = 960_244
const METADATA = { filename: 'world.raw', is_confidential: null }

let server: UploadServer
let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
let path: string
const uploadsAt = (port: number): ReturnType<typeof createAgentUploads> =>
  createAgentUploads({ peer: { baseUrl: `http://127.0.0.1:${port}`, token: 'admin-secret' }, storeName: 'edge-a' })
const openStore = (): RelayStore => new RelayStore(uploadsAt(server.port))
const newUpload = (more: { size?: number; metadata?: Record<string, string | null> } = {}): Upload =>
  new Upload({ id: 'chosen-by-the-agent', offset: 0, ...more })

beforeAll(async () => {
  server = await startUploadServer()
  folder = await createTemporaryFolder()
  path = folder.file('disk.raw')
  await Bun.write(path, new Uint8Array(LENGTH).fill(7))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

describe('the store', () => {
  test('has the methods of a DataStore and names its extensions', () => {
    const store = openStore()
    for (const method of ['create', 'write', 'getUpload', 'remove', 'declareUploadLength', 'deleteExpired', 'getExpiration'] as const)
      expect(store[method]).toBeFunction()
    for (const extension of ['creation', 'creation-with-upload', 'creation-defer-length', 'expiration', 'termination'])
      expect([extension, store.hasExtension(extension)]).toEqual([extension, true])
    for (const extension of ['checksum', 'concatenation']) expect([extension, store.hasExtension(extension)]).toEqual([extension, false])
  })
})

describe('create', () => {
  test('resolves to the upload, with where it is stored and the id of the agent', async () => {
    const made = await openStore().create(newUpload({ size: 1000, metadata: METADATA }))
    expect(made).toBeInstanceOf(Upload)
    expect(made.id).toMatch(/^upl_/)
    expect(made.storage).toEqual({ type: 'slipway', path: `/v1/uploads/${made.id}` })
  })

  test('makes an upload with offset 0, its length and its metadata', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ size: 1000, metadata: METADATA }))
    const { offset, size, metadata, sizeIsDeferred } = await store.getUpload(id)
    expect({ offset, size, metadata, sizeIsDeferred }).toEqual({ offset: 0, size: 1000, metadata: METADATA, sizeIsDeferred: false })
  })

  test('keeps that the length comes later', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload())
    const { size, sizeIsDeferred } = await store.getUpload(id)
    expect([size, sizeIsDeferred]).toEqual([undefined, true])
  })

  test('keeps metadata that is not ASCII', async () => {
    const store = openStore()
    const metadata = { filename: '世界_domination_plan.raw', is_confidential: null }
    const { id } = await store.create(newUpload({ size: 1000, metadata }))
    expect((await store.getUpload(id)).metadata).toEqual(metadata)
  })
})

describe('remove', () => {
  test('rejects with 404 for an upload that does not exist', async () => {
    for (const id of ['doesnt_exist', '../images', 'upl_01m81qc57ftb54a6cmhkbgnaqy'])
      await expect(openStore().remove(id)).rejects.toMatchObject({ status_code: 404 })
  })

  test('deletes an upload', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ size: 1000 }))
    await store.remove(id)
    expect([404, 410]).toContain(
      await store.getUpload(id).then(
        () => 200,
        ({ status_code: code }: { status_code: number }) => code,
      ),
    )
  })

  test('deletes an upload while its bytes come', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ size: LENGTH }))
    const began = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    const slow = Readable.from(
      (async function* (): AsyncGenerator<Buffer> {
        yield Buffer.alloc(100_000)
        began.resolve()
        await ended.promise
      })(),
      { objectMode: false },
    )
    const writing = store.write(slow, id, 0).catch(() => {})
    await began.promise
    await store.remove(id)
    expect([404, 410]).toContain(
      await store.getUpload(id).then(
        () => 200,
        ({ status_code: code }: { status_code: number }) => code,
      ),
    )
    ended.resolve()
    await writing
  })
})

describe('write', () => {
  test('rejects for an upload that does not exist', async () => {
    await expect(openStore().write(createReadStream(path), 'doesnt_exist', 0)).rejects.toMatchObject({ status_code: 404 })
  })

  test('resolves with the new offset, which getUpload then has', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ size: LENGTH, metadata: METADATA }))
    expect(await store.write(createReadStream(path), id, 0)).toBe(LENGTH)
    expect((await store.getUpload(id)).offset).toBe(LENGTH)
  })

  test('continues at the offset, and rejects with 409 at another one', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ size: LENGTH }))
    expect(await store.write(createReadStream(path, { end: 99_999 }), id, 0)).toBe(100_000)
    await expect(store.write(createReadStream(path), id, 0)).rejects.toMatchObject({ status_code: 409 })
    expect(await store.write(createReadStream(path, { start: 100_000 }), id, 100_000)).toBe(LENGTH)
  })

  test('rejects when the stream is destroyed or fails, and what the agent took stays', async () => {
    for (const cause of [undefined, new Error('the disk of the client is gone')]) {
      const store = openStore()
      const { id } = await store.create(newUpload({ size: LENGTH }))
      const stream = new Readable({
        read() {
          this.push('some data')
          this.destroy(cause)
        },
      })
      await expect(store.write(stream, id, 0)).rejects.toThrow()
      const { offset } = await store.getUpload(id)
      expect(offset).toBeLessThanOrEqual(9)
      expect(await store.write(createReadStream(path, { start: offset }), id, offset)).toBe(LENGTH)
    }
  })
})

describe('declareUploadLength', () => {
  test('rejects for an upload that does not exist', async () => {
    await expect(openStore().declareUploadLength('doesnt_exist', 10)).rejects.toMatchObject({ status_code: 404 })
  })

  test('sets a length that was to come later', async () => {
    const store = openStore()
    const { id } = await store.create(newUpload({ metadata: METADATA }))
    await store.declareUploadLength(id, 10)
    const { size, sizeIsDeferred } = await store.getUpload(id)
    expect([size, sizeIsDeferred]).toEqual([10, false])
  })
})

describe('expiration', () => {
  test('is that of the agent, which answers 404 or 410 afterwards', async () => {
    const clock = createManualClock()
    await using own = await startUploadServer({ clock, expiryMs: 60_000 })
    const store = new RelayStore(uploadsAt(own.port))
    const { id } = await store.create(newUpload({ size: 1000 }))
    await store.getUpload(id)
    expect(store.expires).toBe(new Date(Math.floor((clock.nowMs() + 60_000) / 1000) * 1000).toUTCString())
    clock.advance(60_001)
    expect([404, 410]).toContain(
      await store.getUpload(id).then(
        () => 200,
        ({ status_code: code }: { status_code: number }) => code,
      ),
    )
    expect([store.getExpiration(), await store.deleteExpired()]).toEqual([0, 0])
  })
})
