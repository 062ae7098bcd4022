// The catalogue on a real slice store: publish, list, change, delete, restore, prune and restart.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { newId } from '../../../protocol/ids.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createFaultyDisk } from '../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

function sha256Of(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`
}

/** About the operations of one publication with its ingest. */
const PUBLISH_OPERATIONS = 30

describe('the manifest of an image', () => {
  test('is sent in windows that are its entries, and damage is an error of the image before its reader learns of it', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createDisk()
    const slow: Disk = {
      ...disk,
      async writeFileAtomic(path, bytes) {
        await Bun.sleep(20)
        await disk.writeFileAtomic(path, bytes)
      },
    }
    await using store = await openImageStore(folder, { disk: slow })
    const image = await store.add(seededBytes(700_000, 7))
    const path = folder.file('mount', 'images', image.id, 'manifest')
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer())
    const read = async (): Promise<Buffer> => Buffer.concat(await Array.fromAsync(store.catalogue.manifestWindows(image)))
    expect((await read()).equals(bytes.subarray(32, -32))).toBe(true)
    await Bun.write(
      path,
      bytes.map((byte, at) => (at === 41 ? byte ^ 1 : byte)),
    )
    await expect(read()).rejects.toBeInstanceOf(ManifestInvalid)
    expect(store.catalogue.need(image.id)).toMatchObject({ status: 'error', statusReason: expect.stringContaining('Its manifest is damaged') })
  })
})

describe('publish', () => {
  test('makes a raw image available and computes its digest in the background', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const bytes = seededBytes(700_000, 7)
    const begun = await store.publish(bytes, { name: 'debian', owner: 'ann' })
    expect(begun.status).toBe('creating')
    await store.catalogue.settled()
    const image = store.catalogue.need('debian')
    expect(image).toMatchObject({ status: 'available', statusReason: null, format: 'raw', kind: 'disk', length: 700_000, virtualSize: 700_000, owner: 'ann' })
    expect(image.digest).toBe(sha256Of(bytes))
    expect(image.storedSize).toBeGreaterThan(0)
    expect(await store.read(image.id)).toEqual(Buffer.from(bytes))
    expect(store.events.map((event) => event.type)).toEqual(['image.created', 'image.available'])
  })

  test('is idempotent by id', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const id = newId('img', Date.now())
    await store.publish(seededBytes(5000, 1), { name: 'first' }, id)
    const again = await store.publish(seededBytes(9000, 2), { name: 'second' }, id)
    expect(again).toMatchObject({ id, name: 'first', length: 5000 })
  })

  test('that fails on disk leaves no files, or an image that is shown', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('mount'))
    const disk = await createFaultyDisk(folder.file('mount'))
    await using store = await openImageStore(folder, { disk })
    const outcomes = { published: 0, refused: 0 }
    // Every operation of a publication fails in turn, after it was done.
    for (let at = 1; at <= PUBLISH_OPERATIONS; at++) {
      const id = newId('img', Date.now())
      disk.plan({ at, fault: 'late' })
      const published = await store.publish(seededBytes(5000, at), {}, id).catch(() => undefined)
      disk.plan(undefined)
      outcomes[published ? 'published' : 'refused']++
      const files = (await disk.list(folder.file('mount', 'images', id))).filter((name) => !name.endsWith('.tmp'))
      if (store.catalogue.find(id)) expect(files.toSorted(), `operation ${at}`).toEqual(['image.json', 'manifest'])
      else expect(files, `operation ${at}`).toEqual([])
    }
    expect(outcomes.published).toBeGreaterThan(0)
    expect(outcomes.refused).toBeGreaterThan(0)
  })

  test('verifies an expected digest before the image is available', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const bytes = seededBytes(3_000_000, 3)
    expect(await store.add(bytes, { digest: sha256Of(bytes) })).toMatchObject({ status: 'available', digest: sha256Of(bytes) })
    const wrong = await store.add(bytes, { digest: sha256Of(new Uint8Array(1)) })
    expect(wrong).toMatchObject({ status: 'error', digest: sha256Of(bytes), availableAt: null })
    expect(wrong.statusReason).toStartWith('Digest mismatch: ')
  })

  test('refuses an empty image and an image in another format than declared', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    expect((await store.add(new Uint8Array(0))).statusReason).toStartWith('The upload was empty')
    const wrong = await store.add(seededBytes(10_000, 4), { format: 'qcow2' })
    expect(wrong).toMatchObject({ status: 'error', format: 'raw' })
    expect(wrong.statusReason).toStartWith('Format mismatch: declared as qcow2, but its bytes are raw.')
  })
})

describe('list', () => {
  test('returns pages newest first and keeps the order while images are added', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    await using store = await openImageStore(folder, { clock })
    const ids: string[] = []
    for (let i = 0; i < 7; i++) {
      // Two images per timestamp, so that their order depends on the id.
      if (i % 2 === 0) clock.advance(1000)
      ids.push((await store.add(seededBytes(100, i + 1), { name: `image ${i}`, owner: i < 3 ? 'ann' : 'bob' })).id)
    }
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = store.catalogue.list({}, { limit: 2, cursor })
      seen.push(...page.items.map((image) => image.id))
      cursor = page.next ?? undefined
      clock.advance(1000)
      await store.add(seededBytes(100, 50 + seen.length))
    } while (cursor !== undefined)
    expect(seen.toSorted()).toEqual(ids.toSorted())
    expect(store.catalogue.list({ owner: 'ann' }, { limit: 100 }).items).toHaveLength(3)
    expect(await codeOf(() => store.catalogue.list({}, { limit: 2, cursor: 'nonsense' }))).toBe('invalid-input')
  })
})

describe('names', () => {
  test('find an image if they are unambiguous', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const first = await store.add(seededBytes(100, 1), { name: 'twin' })
    expect(store.catalogue.need('twin').id).toBe(first.id)
    const second = await store.add(seededBytes(100, 2), { name: 'twin' })
    expect(await codeOf(() => store.catalogue.need('twin'))).toBe('conflict')
    expect(store.catalogue.resolve('twin')).toBeUndefined()
    await store.catalogue.delete(second.id, 'test')
    expect(store.catalogue.need('twin').id).toBe(first.id)
    expect(await codeOf(() => store.catalogue.need('nobody'))).toBe('not-found')
  })
})

describe('delete', () => {
  test('moves an image to the recycle bin, and restore returns it unchanged', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    await using store = await openImageStore(folder, { clock, retention: { deletion: 'delayed', retentionMs: 60_000 } })
    const image = await store.add(seededBytes(1000, 1), { name: 'kept' })
    const deleted = await store.catalogue.delete(image.id, 'test')
    expect(deleted).toMatchObject({ status: 'deleted', expiresAt: new Date(clock.nowMs() + 60_000).toISOString() })
    expect(store.catalogue.list({}, { limit: 10 }).items).toEqual([])
    expect(store.catalogue.list({ status: 'deleted' }, { limit: 10 }).items).toHaveLength(1)
    expect(await store.catalogue.delete(image.id, 'test')).toEqual(deleted)
    expect(await store.catalogue.restore(image.id, 'test')).toEqual({ ...image, uniqueSize: null })
    expect(await codeOf(() => store.catalogue.restore(image.id, 'test'))).toBe('wrong-status')
  })

  test('bypasses the recycle bin if it is permanent, unless the store keeps deleted images forever', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using store = await openImageStore(folder, { retention: { deletion: 'delayed', retentionMs: 60_000 } })
      const [here, binned] = [await store.add(seededBytes(1000, 1)), await store.add(seededBytes(1000, 2))]
      await store.catalogue.delete(binned.id, 'test')
      for (const { id } of [here, binned]) {
        expect(await store.catalogue.delete(id, 'test', { permanent: true })).toBeUndefined()
        expect(store.catalogue.find(id)).toBeUndefined()
      }
      const { id } = await store.add(seededBytes(1000, 3))
      await store.catalogue.patch(id, { protected: true }, 'test')
      expect(await codeOf(() => store.catalogue.delete(id, 'test', { permanent: true }))).toBe('image-protected')
      await store.catalogue.patch(id, { protected: false }, 'test')
    }
    await using store = await openImageStore(folder, { retention: { deletion: 'never', retentionMs: 60_000 } })
    const [image] = store.catalogue.list({}, { limit: 10 }).items
    expect(await codeOf(() => store.catalogue.delete(image?.id ?? '', 'test', { permanent: true }))).toBe('feature-disabled')
  })

  test('refuses an image that is bound or protected', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.add(seededBytes(1000, 1))
    await store.catalogue.bind(id, 'vm-1', 'test')
    expect(await codeOf(() => store.catalogue.delete(id, 'test'))).toBe('image-bound')
    await store.catalogue.unbind(id, 'vm-1', 'test')
    await store.catalogue.patch(id, { protected: true }, 'test')
    expect(await codeOf(() => store.catalogue.delete(id, 'test'))).toBe('image-protected')
    await store.catalogue.patch(id, { protected: false }, 'test')
    expect((await store.catalogue.delete(id, 'test'))?.status).toBe('deleted')
  })

  test('removes images immediately, or never, depending on the policy', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using store = await openImageStore(folder, { retention: { deletion: 'immediate', retentionMs: 0 } })
      const { id } = await store.add(seededBytes(1000, 1))
      expect(await store.catalogue.delete(id, 'test')).toBeUndefined()
      expect(store.catalogue.find(id)).toBeUndefined()
      expect(await store.disk.list(folder.file('mount', 'images'))).toEqual([])
    }
    const clock = createManualClock()
    await using store = await openImageStore(folder, { clock, retention: { deletion: 'never', retentionMs: 1 } })
    const { id } = await store.add(seededBytes(1000, 1))
    expect((await store.catalogue.delete(id, 'test'))?.expiresAt).toBeNull()
    clock.advance(1e12)
    expect((await store.catalogue.prune({ dryRun: false })).purged).toEqual([])
  })
})

describe('prune', () => {
  test('removes images whose retention has ended; gc then removes only their slices', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    await using store = await openImageStore(folder, { clock, retention: { deletion: 'delayed', retentionMs: 60_000 } })
    const shared = seededBytes(2_000_000, 1)
    const kept = await store.add(shared, { name: 'kept' })
    const gone = await store.add(Buffer.concat([shared, seededBytes(1_000_000, 2)]), { name: 'gone' })
    await store.catalogue.delete(gone.id, 'test')
    expect((await store.slices.gc({ dryRun: true })).slicesDead).toBe(0)
    clock.advance(59_999)
    expect((await store.catalogue.prune({ dryRun: false })).purged).toEqual([])
    clock.advance(1)
    expect((await store.catalogue.prune({ dryRun: true })).purged).toEqual([{ id: gone.id, name: 'gone', reason: 'expired' }])
    expect(store.catalogue.find(gone.id)?.status).toBe('deleted')
    // A dry run of gc without the image predicts the result of the real gc after the removal.
    const foreseen = await store.slices.gc({ dryRun: true, without: new Set([`image ${gone.id}`]) })
    expect((await store.catalogue.prune({ dryRun: false })).purged).toHaveLength(1)
    expect(store.catalogue.find(gone.id)).toBeUndefined()
    const freed = await store.slices.gc({ dryRun: false })
    expect(freed.slicesDead).toBeGreaterThan(0)
    expect({ ...foreseen, dryRun: false }).toEqual(freed)
    await expect(store.slices.gc({ dryRun: false, without: new Set() })).rejects.toThrow('only a dry run')
    expect(await store.read(kept.id)).toEqual(Buffer.from(shared))
  })
})

describe('unique size', () => {
  test('counts the bytes that only one image uses', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const shared = seededBytes(2_000_000, 1)
    const one = await store.add(shared)
    expect((await store.catalogue.show(one.id)).uniqueSize).toBe(one.storedSize)
    const two = await store.add(Buffer.concat([shared, seededBytes(1_000_000, 2)]))
    const first = await store.catalogue.show(one.id)
    const second = await store.catalogue.show(two.id)
    expect(first.uniqueSize).toBeLessThan(300_000)
    expect(second.uniqueSize).toBeGreaterThan(900_000)
    expect(second.uniqueSize).toBeLessThan(1_400_000)
    expect(store.catalogue.list({}, { limit: 10 }).items.map((image) => image.uniqueSize)).toContain(second.uniqueSize)
  })
})

describe('restart', () => {
  test('loads every image unchanged', async () => {
    await using folder = await createTemporaryFolder()
    let before
    {
      await using store = await openImageStore(folder)
      const image = await store.add(seededBytes(100_000, 1), { name: 'one', description: 'with "quotes", ünïcode and \u{1f4bf}' })
      await store.catalogue.patch(image.id, { requirements: { cpus: 2, memory: 1e9, disk: null }, os: 'debian' }, 'test')
      await store.catalogue.bind(image.id, 'vm/1', 'test')
      await store.catalogue.grant(image.id, { subject: 'group:ops', rights: ['read', 'manage'] }, 'test')
      await store.catalogue.delete((await store.add(seededBytes(5, 2), { name: 'two' })).id, 'test')
      before = [...store.catalogue.list({}, { limit: 10 }).items, ...store.catalogue.list({ status: 'deleted' }, { limit: 10 }).items]
    }
    await using store = await openImageStore(folder)
    expect([...store.catalogue.list({}, { limit: 10 }).items, ...store.catalogue.list({ status: 'deleted' }, { limit: 10 }).items]).toEqual(before)
  })

  test('resumes an interrupted inspection and digest', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = seededBytes(400_000, 9)
    let id
    {
      await using store = await openImageStore(folder)
      id = (await store.publish(bytes, { name: 'cut', digest: sha256Of(bytes) })).id
    }
    await using store = await openImageStore(folder)
    await store.catalogue.settled()
    expect(store.catalogue.need(id)).toMatchObject({ status: 'available', digest: sha256Of(bytes) })
  })
})
