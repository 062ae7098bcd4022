// Receiver: a slice from outside is stored only when its bytes match its digest.

import { describe, expect, test } from 'bun:test'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { SliceFrame } from '../../../../protocol/slices/frames.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, digestsOf, filesBelow, openStore, readBack, SMALL_CUTTER } from '../../../support/images/slice-model.ts'
import { createRecordedDisk } from '../../../support/machine/recorded-disk.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytes) as Uint8Array)
const text = Buffer.from('a line that repeats itself\n'.repeat(200))
const raw: SliceFrame = { digest: sha256(text), length: text.length, codec: 0, stored: text }
const packed: SliceFrame = { digest: sha256(text), length: text.length, codec: 1, stored: Bun.zstdCompressSync(text) }

/** A frame of zeros under an arbitrary digest: small on the wire, large in memory. */
function bomb(length: number, announced: number): SliceFrame {
  const stored = Bun.zstdCompressSync(Buffer.alloc(length))
  return { digest: sha256(Buffer.alloc(16)), length: announced, codec: 1, stored }
}

describe('put', () => {
  test('stores a slice uncompressed and compressed', async () => {
    for (const frame of [raw, packed]) {
      await using folder = await createTemporaryFolder()
      await using store = await openStore({ folder: folder.path })
      await using receiver = store.receive()
      expect(receiver.pin([frame.digest])).toEqual([0])
      await receiver.put(frame)
      await receiver.sync()
      expect(receiver.pin([frame.digest])).toEqual([])
      const { manifest } = await encodeManifest([{ length: frame.length, digest: frame.digest }])
      expect((await readBack(store, manifest)).equals(text)).toBe(true)
      const { storedBytes } = store.stats()
      const [pack = ''] = await filesBelow(folder.file('mount', 'packs'), '.pack')
      const packBytes = Bun.file(pack).size
      await receiver.put(frame)
      await receiver.sync()
      expect(store.stats()).toMatchObject({ slices: 1, storedBytes })
      expect(Bun.file(pack).size).toBe(packBytes)
    }
  })

  test('joins slices that arrive together into writes that end with the first MiB', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createRecordedDisk(folder.file('mount'))
    await using store = await openStore({ folder: folder.path, disk, packSealBytes: 64 * MIB })
    await using receiver = store.receive()
    const put = (letter: string, length: number): Promise<void> => {
      const stored = Buffer.alloc(length, letter)
      return receiver.put({ digest: sha256(stored), length, codec: 0, stored })
    }
    await put('a', 10)
    await Promise.all([put('b', MIB - 1), put('c', 1), put('d', 2), put('e', 3), put('f', MIB), put('g', 5)])
    const writes = disk.steps.flatMap((step) => /^write (\d+) at \d+ of packs/.exec(step)?.[1] ?? []).map(Number)
    // Each record has a header of 64 bytes; the pack has one of 16.
    expect(writes).toEqual([16, 64 + 10, 2 * 64 + MIB, 3 * 64 + 2 + 3 + MIB, 64 + 5])
  })

  test('refuses bytes that are not those of the digest', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    await using receiver = store.receive()
    const other = Buffer.from(text)
    other[0] = 0
    const cut = packed.stored.subarray(0, packed.stored.byteLength - 3)
    const twice = Buffer.concat([Buffer.from(packed.stored), Buffer.from(packed.stored)])
    const wrong: SliceFrame[] = [
      { ...raw, stored: other },
      { ...raw, digest: sha256(other) },
      { ...raw, length: raw.length - 1 },
      { ...raw, length: 0, stored: new Uint8Array(0), digest: sha256(new Uint8Array(0)) },
      { ...raw, codec: 7 },
      { ...raw, codec: 1 },
      { ...packed, codec: 0 },
      { ...packed, digest: sha256(other) },
      { ...packed, stored: cut },
      { ...packed, stored: twice },
      { ...packed, length: packed.length + 1 },
      { ...packed, stored: Buffer.concat([Buffer.from(packed.stored), Buffer.alloc(packed.length)]) },
    ]
    for (const frame of wrong) await expect(receiver.put(frame)).rejects.toMatchObject({ name: 'SliceUnreadable', reason: 'corrupt' })
    await receiver.sync()
    expect(store.stats().slices).toBe(0)
  })

  test('refuses a frame that would decompress to more than it declares, before memory is allocated', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    await using receiver = store.receive()
    const bombs = [bomb(128 * 1024 * 1024, 1024), bomb(128 * 1024 * 1024, 128 * 1024 * 1024)]
    const before = process.memoryUsage.rss()
    for (const frame of bombs) await expect(receiver.put(frame)).rejects.toMatchObject({ reason: 'corrupt' })
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024)
    expect(store.stats().slices).toBe(0)
  })
})

describe('sync between stores', () => {
  test('moves only what is missing', async () => {
    await using here = await createTemporaryFolder()
    await using there = await createTemporaryFolder()
    const model = createSliceModel()
    await using target = await openStore({ folder: here.path, roots: [model] })
    await using source = await openStore({ folder: there.path, roots: [model] })
    const shared = createRandom(1).bytes(100 * SMALL_CUTTER.block)
    await model.add(target, 'old', shared)
    const image = await model.add(source, 'new', Buffer.concat([shared, createRandom(2).bytes(30 * SMALL_CUTTER.block)]))
    const digests = digestsOf(image.manifest).map((hex) => Buffer.from(hex, 'hex'))
    expect(target.missing(digests).length).toBeLessThan(digests.length / 2)
    await using receiver = target.receive()
    const missing = receiver.pin(digests)
    expect(missing).toEqual(target.missing(digests))
    for await (const frame of source.readStored(missing.map((i) => digests[i] ?? Buffer.alloc(32)))) await receiver.put(frame)
    await receiver.sync()
    expect((await readBack(target, image.manifest)).equals(image.bytes)).toBe(true)
  })
})

describe('sync', () => {
  test('makes durable what was put', async () => {
    await using folder = await createTemporaryFolder()
    await createDisk().makeFolder(folder.file('mount'))
    const disk = await createFaultyDisk(folder.file('mount'))
    {
      const store = await openStore({ folder: folder.path, disk })
      const receiver = store.receive()
      await receiver.put(raw)
      await receiver.sync()
      await disk.losePower({ ...createRandom(1), chance: () => false })
      // The process is gone: what closing it would still write fails.
      await Promise.resolve(store[Symbol.asyncDispose]()).catch(() => {})
      disk.revive()
    }
    await using store = await openStore({ folder: folder.path, disk })
    await using receiver = store.receive()
    expect(receiver.pin([raw.digest])).toEqual([])
  })

  test('fails when the disk does', async () => {
    await using folder = await createTemporaryFolder()
    await createDisk().makeFolder(folder.file('mount'))
    const disk = await createFaultyDisk(folder.file('mount'))
    await using store = await openStore({ folder: folder.path, disk })
    await using receiver = store.receive()
    await receiver.put(raw)
    disk.plan({ at: 1, fault: 'EIO', lasting: true })
    await expect(receiver.sync()).rejects.toBeInstanceOf(StoreWriteFailed)
    disk.clearFault()
  })
})
