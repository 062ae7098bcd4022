// An image is removed whose upload could not record that it became this image: the upload must not publish it again.

import { describe, expect, test } from 'bun:test'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const BYTES = seededBytes(100_000, 7)

/** Opens a store, and uploads an image that is published; the write that records this in the upload fails with the code. */
async function publishUnrecorded(code: string) {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  let server: UploadServer | undefined
  const { catalogue, slices } = stack.use(await openImageStore(folder, { inProgress: () => server?.uploads.inProgress }))
  let isFailing: boolean | undefined
  const plain = createDisk()
  const disk: Disk = {
    ...plain,
    writeFileAtomic: (path, bytes) => (isFailing ? Promise.reject(Object.assign(new Error(code), { code })) : plain.writeFileAtomic(path, bytes)),
  }
  server = stack.use(
    await startUploadServer({
      publisher: catalogue,
      slices,
      cutter: CUTTER_DEFAULT,
      disk,
      crashPoint(name) {
        if (name === 'uploads:after-publish') isFailing ??= true
      },
    }),
  )
  const created = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(BYTES.length), 'Upload-Metadata': `name ${btoa('debian')}` })
  const path = new URL(created.headers.get('location') ?? '', server.endpoint).pathname
  const sent = await server.ask('PATCH', path, { 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream' }, BYTES)
  expect(sent.status).toBeGreaterThanOrEqual(500)
  const [image] = [...catalogue.each()]
  if (!image) throw new Error('the image was not published')
  const owned = stack.move()
  return {
    server,
    path,
    image,
    catalogue,
    repairDisk: () => void (isFailing = false),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

describe('an upload that could not record that it became an image', () => {
  test('does not publish the image again after it was removed', async () => {
    await using one = await publishUnrecorded('EIO')
    one.repairDisk()
    await one.catalogue.settled()
    await one.catalogue.delete(one.image.id, 'ada', { permanent: true })
    await one.server.ask('HEAD', one.path)
    await one.server.restart()
    await one.server.uploads.settled()
    expect([...one.catalogue.each()]).toEqual([])
  })

  test('does not keep a failing disk from refusing the removal: the image stays', async () => {
    await using one = await publishUnrecorded('EIO')
    await one.catalogue.settled()
    await expect(one.catalogue.delete(one.image.id, 'ada', { permanent: true })).rejects.toThrow('EIO')
    expect([...one.catalogue.each()].map(({ id }) => id)).toEqual([one.image.id])
  })

  test('is removed with its image when the disk is full, because the image must be deletable', async () => {
    await using one = await publishUnrecorded('ENOSPC')
    await one.catalogue.settled()
    await one.catalogue.delete(one.image.id, 'ada', { permanent: true })
    expect((await one.server.ask('HEAD', one.path)).status).toBe(404)
    one.repairDisk()
    await one.server.restart()
    await one.server.uploads.settled()
    expect([...one.catalogue.each()]).toEqual([])
  })

  test('becomes this image, once, when nobody removes it', async () => {
    await using one = await publishUnrecorded('EIO')
    one.repairDisk()
    await one.server.restart()
    await one.server.uploads.settled()
    expect([...one.catalogue.each()].map(({ id }) => id)).toEqual([one.image.id])
    expect((await one.server.ask('HEAD', one.path)).headers.get('content-location')).toContain(one.image.id)
  })
})
