// Damaged slices that reads find: every image that uses one is marked, in one pass over all manifests for all that were found meanwhile.

import { expect, test } from 'bun:test'
import { createDamagedSlices } from '../../../../agent/images/damage/damaged-slices.ts'
import { createManifestFiles } from '../../../../agent/images/manifests/manifest-files.ts'
import { createWorkQueue } from '../../../../agent/images/pending/work-queue.ts'
import { createImageTable } from '../../../../agent/images/records/image-table.ts'
import { blankImage, newLife } from '../../../../agent/images/records/image-file.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(2, n)
  return digest
}

/** Images with these slices each, and what was marked. */
async function openScene(images: Readonly<Record<string, readonly number[]>>, statuses: Readonly<Record<string, Image['status']>> = {}) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const disk = createDisk()
  const pause = async (): Promise<void> => {}
  const manifests = createManifestFiles({ disk, name: 'manifest', folder: folder.path, pause, onDamaged: async (_id, error) => error })
  const table = createImageTable()
  for (const [id, slices] of Object.entries(images)) {
    const { manifest, digest } = await encodeManifest(slices.map((n) => ({ length: 4096, digest: digestOf(n) })))
    await disk.makeFolder(folder.file(id))
    await manifests.write(id, manifest)
    table.put({ image: blankImage({ id, name: id, status: statuses[id] ?? 'available', manifestDigest: digest }, 0), life: newLife({}) })
  }
  const log = createMemoryLog()
  const marked: string[] = []
  const queue = stack.use(createWorkQueue({ clock: createManualClock(), concurrency: 1, onFailure: (_key, error) => void marked.push(String(error)) }))
  const damage = {
    markDamaged: async (roots: readonly string[], reason: string) => void marked.push(`${roots.join(', ')}: ${reason.split('. ')[0]}`),
  }
  const report = createDamagedSlices({ log, table, manifests, damage, queue, pause })
  const own = stack.move()
  return { report, queue, marked, log, folder, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

test('every image that uses the slice is marked, and no other', async () => {
  await using scene = await openScene({ a: [1, 2], b: [3], c: [2], d: [2] }, { d: 'deleting' })
  scene.report(digestOf(2), 'its checksum does not match')
  await scene.queue.idle()
  expect(scene.marked.toSorted()).toEqual([
    'image a: one of its slices is damaged: its checksum does not match',
    'image c: one of its slices is damaged: its checksum does not match',
  ])
  scene.report(digestOf(4), 'its checksum does not match')
  await scene.queue.idle()
  expect(scene.marked).toHaveLength(2)
})

test('a slice whose digest only begins alike marks nothing', async () => {
  await using scene = await openScene({ a: [1] })
  scene.report(digestOf(1).with(31, 9), 'its checksum does not match')
  await scene.queue.idle()
  expect(scene.marked).toEqual([])
})

test('a manifest that cannot be read does not keep the others from being searched', async () => {
  await using scene = await openScene({ a: [1], b: [1] })
  await Bun.write(scene.folder.file('a', 'manifest'), 'damaged')
  scene.report(digestOf(1), 'it does not decompress')
  await scene.queue.idle()
  expect(scene.marked).toEqual(['image b: one of its slices is damaged: it does not decompress'])
  expect(scene.log.lines.map(({ message }) => message)).toEqual(['a manifest could not be searched for damaged slices'])
})

test('10,000 slices wait for a pass; what comes then is left to the next scrub', async () => {
  await using scene = await openScene({ a: [10_001], b: [10_002] })
  // The first one starts a pass.
  for (let n = 1; n <= 10_002; n++) scene.report(digestOf(n), 'its checksum does not match')
  await scene.queue.idle()
  expect(scene.marked).toEqual(['image a: one of its slices is damaged: its checksum does not match'])
})

test('a slice that is found during a pass is looked for in the next one', async () => {
  await using scene = await openScene({ a: [1], b: [2] })
  scene.report(digestOf(1), 'first')
  await Promise.resolve()
  scene.report(digestOf(2), 'second')
  await scene.queue.idle()
  expect(scene.marked.toSorted()).toEqual(['image a: one of its slices is damaged: first', 'image b: one of its slices is damaged: second'])
})
