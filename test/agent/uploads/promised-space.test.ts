// The space that an upload is promised: what it still needs, from its creation to its end. The account of space is real, the disk has 8 MiB.

import { expect, test } from 'bun:test'
import { createSpace } from '../../../agent/system/space.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const MIB = 1_048_576

async function startScene() {
  const clock = createManualClock()
  const disk = { space: async () => ({ totalBytes: 8 * MIB, freeBytes: 8 * MIB }) }
  const space = createSpace({ disk, clock, mount: '/', reservedBytes: () => 0 })
  const server = await startUploadServer({ clock, space })
  return { server, promised: async () => (await space.state()).promisedBytes, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('is the missing data, with 40 bytes for each slice that is there', async () => {
  await using scene = await startScene()
  const url = await create(scene.server, 3 * MIB)
  expect(await scene.promised()).toBe(3 * MIB)
  await patch(scene.server, url, 0, someBytes(1000))
  expect(await scene.promised()).toBe(3 * MIB - 1000)
  await patch(scene.server, url, 1000, someBytes(MIB - 1000))
  expect(await scene.promised()).toBe(2 * MIB + 16 * 40)
  expect((await scene.server.ask('DELETE', url)).status).toBe(204)
  expect(await scene.promised()).toBe(0)
})

test('is nothing while the length is deferred, and what is missing once it is declared', async () => {
  await using scene = await startScene()
  const created = await scene.server.ask('POST', '/v1/uploads', { 'Upload-Defer-Length': '1' })
  const url = created.headers.get('location') ?? ''
  expect([created.status, await scene.promised()]).toEqual([201, 0])
  await patch(scene.server, url, 0, someBytes(1000))
  const short = await patch(scene.server, url, 1000, new Uint8Array(0), { 'Upload-Length': '999' })
  expect([short.status, (await scene.server.ask('HEAD', url)).headers.get('upload-length')]).toEqual([400, null])
  expect((await patch(scene.server, url, 1000, new Uint8Array(0), { 'Upload-Length': String(MIB) })).status).toBe(204)
  expect(await scene.promised()).toBe(MIB - 1000)
})

test('ends when the upload is an image', async () => {
  await using scene = await startScene()
  const url = await create(scene.server, 1000)
  expect((await patch(scene.server, url, 0, someBytes(1000))).status).toBe(204)
  expect([await scene.promised(), scene.server.publisher.images.size]).toEqual([0, 1])
})
