// The order of a commit: slices stay pinned until the journal names them, and a final upload exists once its journal is whole.

import { expect, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { toHex } from '../../../protocol/slices/digest.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'

const SLICE = 64 * 1024

test('slices stay pinned until the journal that names them is durable', async () => {
  const pinned = new Map<string, string[]>()
  const crashPoint = (name: string): void => {
    if (name.endsWith('-journal')) pinned.set(name, [...server.slices.pinned()].toSorted())
  }
  await using server = await startUploadServer({ crashPoint })
  const content = someBytes(3 * SLICE)
  const url = await create(server, 10 * SLICE)
  expect((await patch(server, url, 0, content)).status).toBe(204)
  const expected = [0, 1, 2].map((i) => toHex(new Uint8Array(Bun.SHA256.hash(content.subarray(i * SLICE, (i + 1) * SLICE)) as Uint8Array))).toSorted()
  expect([...pinned]).toEqual([
    ['uploads:before-journal', expected],
    ['uploads:after-journal', expected],
  ])
  // From here on the journal keeps them.
  expect(server.slices.pinned().size).toBe(0)
})

test.each(['uploads:before-splice', 'uploads:spliced'])('a final upload whose creation a crash ended at %s', async (planned) => {
  const crashed = (): string => `${server.folder}-crashed`
  const crashPoint = (name: string): void => {
    if (name === planned) cpSync(server.folder, crashed(), { recursive: true })
  }
  await using server = await startUploadServer({ crashPoint })
  const part = await create(server, 2 * SLICE, { 'Upload-Concat': 'partial' })
  expect((await patch(server, part, 0, someBytes(2 * SLICE))).status).toBe(204)
  const created = await server.ask('POST', '/v1/uploads', { 'Upload-Concat': `final;${part} ${part}` })
  expect(created.status).toBe(201)
  const url = created.headers.get('location') ?? ''
  const [imageId = ''] = server.publisher.images.keys()
  server.publisher.remove(imageId)

  await server.uploads.stop()
  await server.restart({ folder: crashed() })
  await server.uploads.settled()
  const isSpliced = planned === 'uploads:spliced'
  // Without its entries it was never answered, so it is removed and becomes no image. With them it is published.
  expect((await readdir(crashed())).toSorted()).toEqual((isSpliced ? [part, url] : [part]).map((path) => path.split('/').at(-1) ?? '').toSorted())
  expect([...server.publisher.images.keys()]).toEqual(isSpliced ? [imageId] : [])
  expect((await server.ask('HEAD', url)).status).toBe(isSpliced ? 200 : 404)
  expect((await server.ask('HEAD', part)).headers.get('upload-offset')).toBe(String(2 * SLICE))
})
