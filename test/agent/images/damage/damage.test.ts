// Damage tracking: one damaged file affects only its image, and the image recovers once the file is intact.

import { describe, expect, test } from 'bun:test'
import { open, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { decodeImageFile, encodeImageFile, newLife } from '../../../../agent/images/records/image-file.ts'
import { MANIFEST_MEMORY_BYTES_MAX } from '../../../../agent/images/manifests/manifest-files.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { newId } from '../../../../protocol/ids.ts'
import { MANIFEST_ENTRY_BYTES } from '../../../../protocol/slices/manifest.ts'
import { problemCode, ProblemError } from '../../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { propertyOptions } from '../../../support/properties.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { until } from '../../../support/until.ts'

async function flip(path: string, at: number): Promise<void> {
  const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
  bytes[at] = (bytes[at] ?? 0) ^ 0x20
  await writeFile(path, bytes)
}

async function problemOf(running: Promise<unknown>): Promise<ProblemError> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const image: Image = {
  id: 'img_00000000000000000000000000',
  name: 'ünïcode "quoted" \u{1f4bf}',
  description: '',
  kind: 'disk',
  format: 'raw',
  formatDetails: null,
  status: 'available',
  statusReason: null,
  digest: null,
  manifestDigest: null,
  length: 1,
  virtualSize: 1,
  storedSize: 1,
  uniqueSize: null,
  os: null,
  cloudInit: null,
  requirements: { cpus: 1, memory: null, disk: null },
  mediaGroup: null,
  hidden: false,
  owner: null,
  labels: {},
  sourceInstance: null,
  source: { kind: 'upload', uploadId: 'upl_1', storeId: null, url: null, filename: 'x', device: null },
  protected: false,
  bindings: ['a'],
  grants: [],
  createdAt: '2026-01-01T00:00:00.000Z',
  availableAt: null,
  deletedAt: null,
  expiresAt: null,
}

describe('image.json', () => {
  test('has the documented format and decodes to the encoded image', async () => {
    const stored = { image, life: newLife({ damage: 'slices', damagedAtMs: 5 }) }
    const bytes = await encodeImageFile(stored)
    const text = new TextDecoder().decode(bytes)
    expect(text).toMatch(/^\{"format":1,"digest":"sha256:[0-9a-f]{64}","image":\{.*\}\}\n$/)
    const { hidden: _hidden, ...written } = image
    expect(JSON.parse(text).image).toMatchObject(written)
    const value = text.slice(text.indexOf('"image":') + 8, -2)
    expect(JSON.parse(text).digest).toBe(`sha256:${new Bun.CryptoHasher('sha256').update(value).digest('hex')}`)
    expect(await decodeImageFile(bytes)).toEqual({ kind: 'whole', stored })
  })

  test('is reported as damaged if any bit differs, or a byte is missing or added', async () => {
    const bytes = await encodeImageFile({ image, life: newLife() })
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
      expect((await decodeImageFile(damaged)).kind).toBe('damaged')
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.uint8Array({ maxLength: 3 }), async (at, piece) => {
        const damaged = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + 1)])
        fc.pre(!damaged.equals(bytes))
        expect((await decodeImageFile(new Uint8Array(damaged))).kind).toBe('damaged')
      }),
      propertyOptions(200),
    )
  })
})

describe('start', () => {
  test('names an image with damaged metadata after its id, keeps the damaged file, and serves the content after restore', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = Buffer.from(seededBytes(300_000, 1))
    let ids: string[]
    {
      await using store = await openImageStore(folder)
      ids = [(await store.add(bytes, { name: 'hurt' })).id, (await store.add(seededBytes(300_000, 2), { name: 'well' })).id]
    }
    const [hurt = '', well = ''] = ids
    await flip(folder.file('mount', 'images', hurt, 'image.json'), 200)
    {
      await using store = await openImageStore(folder)
      expect(store.catalogue.need(well).status).toBe('available')
      expect(store.catalogue.need(hurt)).toMatchObject({
        name: hurt,
        status: 'error',
        statusReason: expect.stringContaining('restore the image and set its name again'),
      })
      expect(await readdir(folder.file('mount', 'quarantine'))).toContainEqual(expect.stringMatching(new RegExp(`^${hurt}.image.json.`)))
      expect((await store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    }
    await using store = await openImageStore(folder)
    expect(store.catalogue.need(hurt).status).toBe('error')
    await store.catalogue.restore(hurt, 'test')
    await store.catalogue.settled()
    expect(await store.catalogue.patch(hurt, { name: 'healed' }, 'test')).toMatchObject({ status: 'available', format: 'raw', length: bytes.length })
    expect((await store.read(hurt)).equals(bytes)).toBe(true)
  })

  test('completes a publish that was interrupted before image.json was written', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = seededBytes(300_000, 1)
    let id
    {
      await using store = await openImageStore(folder)
      id = (await store.add(bytes, { name: 'cut' })).id
    }
    await rm(folder.file('mount', 'images', id, 'image.json'))
    await using store = await openImageStore(folder)
    expect(store.catalogue.find(id)).toBeUndefined()
    expect(store.catalogue.need(id)).toMatchObject({ status: 'error', statusReason: expect.stringContaining('image.json is missing') })
    expect((await store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    await store.publish(bytes, { name: 'again' }, id)
    await store.catalogue.settled()
    expect(store.catalogue.find(id)).toMatchObject({ name: 'again', status: 'available' })
  })

  test('lists an image without a manifest as an error, and as available once the manifest is restored', async () => {
    await using folder = await createTemporaryFolder()
    let id
    {
      await using store = await openImageStore(folder)
      id = (await store.add(seededBytes(300_000, 1))).id
    }
    const path = folder.file('mount', 'images', id, 'manifest')
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
    await rm(path)
    {
      await using store = await openImageStore(folder)
      expect(store.catalogue.need(id)).toMatchObject({ status: 'error', statusReason: expect.stringContaining('manifest is damaged') })
    }
    await writeFile(path, bytes)
    await using store = await openImageStore(folder)
    expect(store.catalogue.need(id)).toMatchObject({ status: 'available', statusReason: null })
  })

  test('does not change an image with unreadable files, and loads it once they are readable', async () => {
    await using folder = await createTemporaryFolder()
    let before
    {
      await using store = await openImageStore(folder)
      before = await store.add(seededBytes(300_000, 1), { name: 'far away' })
    }
    const { id } = before
    const disk = createDisk()
    let isBroken = true
    const readFile: Disk['readFile'] = async (path, lengthMax) => {
      if (isBroken && path.endsWith('image.json')) throw Object.assign(new Error('EIO'), { code: 'EIO' })
      return disk.readFile(path, lengthMax)
    }
    const clock = createManualClock()
    await using store = await openImageStore(folder, { disk: { ...disk, readFile }, clock })
    expect(store.catalogue.need(id)).toMatchObject({ status: 'fileUnavailable', statusReason: expect.stringContaining('EIO') })
    await expect(store.catalogue.patch(id, { name: 'x' }, 'test')).rejects.toThrow('cannot be read now')
    await expect(store.catalogue.delete(id, 'test')).rejects.toThrow('cannot be read now')
    expect((await store.slices.gc({ dryRun: true })).slicesDead).toBe(0)
    clock.advance(30_000)
    await store.catalogue.settled()
    expect(store.catalogue.need(id).status).toBe('fileUnavailable')
    isBroken = false
    clock.advance(30_000)
    await store.catalogue.settled()
    expect(store.catalogue.need(id)).toEqual(before)
  })

  test('ignores unknown files in the images folder', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using store = await openImageStore(folder)
      await store.add(seededBytes(1000, 1))
      await store.disk.makeFolder(folder.file('mount', 'images', 'lost+found'))
      await writeFile(folder.file('mount', 'images', 'note.txt'), 'hello')
    }
    await using store = await openImageStore(folder)
    expect(store.catalogue.list({}, { limit: 10 }).items).toHaveLength(1)
  })
})

describe('manifest', () => {
  test('that is damaged in the middle is detected on read and affects only its image', async () => {
    await using folder = await createTemporaryFolder()
    let ids: string[]
    {
      await using store = await openImageStore(folder)
      ids = [(await store.add(seededBytes(2_000_000, 1))).id, (await store.add(seededBytes(300_000, 2))).id]
    }
    const [hurt = '', well = ''] = ids
    await flip(folder.file('mount', 'images', hurt, 'manifest'), 32 + 3 * 40 + 9)
    await using store = await openImageStore(folder)
    expect(store.catalogue.need(hurt).status).toBe('available')
    const failure = await manifestOf(store.catalogue, hurt).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(ProblemError)
    expect(store.catalogue.need(hurt)).toMatchObject({ status: 'error', statusReason: expect.stringContaining('Its manifest is damaged') })
    expect(store.catalogue.need(well).status).toBe('available')
  })

  const broken = [
    ['that is missing', (path: string) => rm(path)],
    ['that is empty', (path: string) => writeFile(path, '')],
    ['with one byte changed', (path: string) => flip(path, 32 + 3 * 40 + 9)],
  ] as const

  test.each(broken)('%s prevents gc from removing anything until the image is deleted', async (_what, damage) => {
    await using folder = await createTemporaryFolder()
    let id
    {
      await using store = await openImageStore(folder)
      id = (await store.add(seededBytes(2_000_000, 1), { name: 'hurt' })).id
    }
    let slices
    {
      await using store = await openImageStore(folder)
      await damage(folder.file('mount', 'images', id, 'manifest'))
      slices = store.slices.stats().slices
      for (let i = 0; i < 2; i++) {
        const error = await problemOf(store.slices.gc({ dryRun: false }))
        expect(error.message).toStartWith(`Nothing was removed, because the manifest of image hurt (${id}) is damaged: `)
        expect(error.problem.action).toContain(`restore images/${id}/manifest from a backup`)
        expect(store.catalogue.need(id).status).toBe('error')
        expect(store.catalogue.need(id).statusReason).toStartWith('Its manifest is damaged: ')
        expect(store.slices.stats().slices).toBe(slices)
      }
    }
    // gc must refuse again after a restart.
    await using store = await openImageStore(folder)
    await problemOf(store.slices.gc({ dryRun: false }))
    expect(store.slices.stats().slices).toBe(slices)
    await store.catalogue.delete(id, 'test')
    expect((await store.slices.gc({ dryRun: false })).slicesDead).toBeGreaterThan(0)
  })

  test.each(broken)('%s is found by scrub, which still checks everything else', async (_what, damage) => {
    await using folder = await createTemporaryFolder()
    let ids: string[]
    {
      await using store = await openImageStore(folder)
      ids = [(await store.add(seededBytes(2_000_000, 1), { name: 'hurt' })).id, (await store.add(seededBytes(300_000, 2))).id]
    }
    const [hurt = '', well = ''] = ids
    await using store = await openImageStore(folder)
    const path = folder.file('mount', 'images', hurt, 'manifest')
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
    await damage(path)
    expect(store.catalogue.need(hurt).status).toBe('available')
    const report = await store.slices.scrub({ bytesPerSecond: Infinity })
    expect(report.faults).toEqual([expect.stringContaining(`The manifest of image hurt (${hurt}) is damaged: `)])
    expect(report).toMatchObject({ missing: [], damagedRoots: [`image ${hurt}`] })
    expect(store.catalogue.need(hurt).status).toBe('error')
    expect(store.catalogue.need(well).status).toBe('available')
    expect(store.events.filter(({ type }) => type === 'image.damaged')).toHaveLength(1)
    expect(store.catalogue.counts().damaged).toBe(1)

    // The file is restored from a backup, and the next scrub finds it intact.
    await writeFile(path, bytes)
    expect((await store.slices.scrub({ bytesPerSecond: Infinity })).faults).toEqual([])
    expect(store.catalogue.need(hurt)).toMatchObject({ status: 'available', statusReason: null })
    expect(store.events.filter(({ type }) => type === 'image.recovered')).toHaveLength(1)
    expect(store.catalogue.counts().damaged).toBe(0)
    expect((await store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
  })

  test('that is damaged while a reader has it open makes the image an error immediately', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const id = newId('img', Date.now())
    // Too long to be loaded into memory, so that its blocks are read on demand.
    const entries = Math.ceil(MANIFEST_MEMORY_BYTES_MAX / MANIFEST_ENTRY_BYTES) + 10
    await using ingest = store.slices.ingest({ offset: 0, tail: new Uint8Array(0) })
    await ingest.write(seededBytes(32_768, 1))
    const end = await ingest.finish()
    const [slice] = end.entries
    if (!slice) throw new Error('nothing was stored')
    const blocks = async function* () {
      yield Array.from({ length: entries }, () => slice)
    }
    const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
    await store.catalogue.publish({ id, draft: { name: 'long', description: '' }, source }, { blocks, length: entries * slice.length })
    await until('the image is available', () => store.catalogue.need(id).status === 'available')
    using content = await store.catalogue.open(id)
    const path = folder.file('mount', 'images', id, 'manifest')
    const at = 32 + Math.floor(entries / 2) * 40 + 9
    // Written in place, so that the open file of the reader sees the change.
    const file = await open(path, 'r+')
    await file.write(Uint8Array.of(0xff), 0, 1, at)
    await file.close()
    // Reads all blocks, because cached blocks would hide the damage.
    const error = await problemOf(Array.fromAsync(content.manifest.blocks(), ({ first }) => first))
    expect(problemCode(error.problem)).toBe('data-corrupt')
    expect(store.catalogue.need(id)).toMatchObject({ status: 'error', statusReason: expect.stringContaining('Its manifest is damaged') })
  })

  test('that is damaged in the recycle bin makes the restored image an error', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.add(seededBytes(300_000, 1))
    await store.catalogue.delete(id, 'test')
    const path = folder.file('mount', 'images', id, 'manifest')
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
    await flip(path, 32 + 9)
    expect(await store.catalogue.restore(id, 'test')).toMatchObject({ status: 'error', statusReason: expect.stringContaining('Its manifest is damaged') })
    await writeFile(path, bytes)
    await store.slices.scrub({ bytesPerSecond: Infinity })
    expect(store.catalogue.need(id)).toMatchObject({ status: 'available', statusReason: null })
  })

  test('that is intact again does not make a refused image available', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id, statusReason } = await store.add(seededBytes(300_000, 1), { format: 'qcow2' })
    await store.catalogue.delete(id, 'test')
    const path = folder.file('mount', 'images', id, 'manifest')
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
    await rm(path)
    await store.slices.scrub({ bytesPerSecond: Infinity })
    await store.catalogue.markDamaged([`image ${id}`], 'a disk died.')
    await writeFile(path, bytes)
    await store.slices.scrub({ bytesPerSecond: Infinity })
    expect(await store.catalogue.restore(id, 'test')).toMatchObject({ status: 'error', statusReason })
  })
})

describe('slices', () => {
  test('that are damaged degrade every image that uses them, until a later scrub finds them intact', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const shared = seededBytes(2_000_000, 1)
    const one = await store.add(shared)
    const two = await store.add(Buffer.concat([shared, seededBytes(100_000, 2)]))
    const other = await store.add(seededBytes(100_000, 3))
    const manifest = await manifestOf(store.catalogue, one.id)
    const seenAtMs = Date.now()
    store.catalogue.sliceDamaged(manifest.digestAt(3), 'its checksum does not match')
    await store.catalogue.settled()
    expect([one, two, other].map(({ id }) => store.catalogue.need(id).status)).toEqual(['degraded', 'degraded', 'available'])
    expect(store.catalogue.need(two.id).statusReason).toContain('its checksum does not match')
    // A scrub that started before the damage was found does not clear it.
    await store.catalogue.applyScrub({ damagedRoots: [], startedAtMs: seenAtMs - 1 })
    expect(store.catalogue.need(one.id).status).toBe('degraded')
    await store.catalogue.applyScrub({ damagedRoots: [`image ${two.id}`, 'upload upl_x'], startedAtMs: Date.now() + 1 })
    expect([one, two].map(({ id }) => store.catalogue.need(id).status)).toEqual(['available', 'degraded'])
  })

  test('that a new image shares and that are damaged make it an error, until a scrub finds them intact', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = seededBytes(200_000, 1)
    {
      await using first = await openImageStore(folder)
      await first.add(bytes)
    }
    // Slices that were just stored would be read from memory.
    await using store = await openImageStore(folder)
    const packs = folder.file('mount', 'packs')
    for (const name of (await readdir(packs, { recursive: true })).filter((path) => path.endsWith('.pack'))) {
      const pack = Buffer.from(await Bun.file(join(packs, name)).arrayBuffer())
      await flip(join(packs, name), pack.indexOf(bytes.subarray(0, 64)))
    }
    const { id } = await store.publish(bytes)
    await store.catalogue.settled()
    expect(store.catalogue.need(id)).toMatchObject({
      status: 'error',
      statusReason: expect.stringMatching(/cannot be read back: .* run scrub: it is inspected again/),
    })
    expect(store.catalogue.counts().damaged).toBe(1)
    // Another upload of the same bytes replaces the damaged slice.
    await store.add(bytes)
    await store.catalogue.applyScrub({ damagedRoots: [], startedAtMs: Date.now() + 1 })
    await store.catalogue.settled()
    expect(store.catalogue.need(id)).toMatchObject({ status: 'available', statusReason: null, format: 'raw' })
    expect(await store.read(id)).toEqual(Buffer.from(bytes))
  })

  test('that are damaged while the image is in the recycle bin degrade the restored image', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.add(seededBytes(200_000, 1))
    await store.catalogue.delete(id, 'test')
    await store.catalogue.markDamaged([`image ${id}`], 'a disk died.')
    expect(store.catalogue.need(id).status).toBe('deleted')
    expect(await store.catalogue.restore(id, 'test')).toMatchObject({ status: 'degraded', statusReason: 'A disk died.' })
  })
})
