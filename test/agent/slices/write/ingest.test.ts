// Ingest: for any pieces and checkpoints, the entries describe the bytes, and the upload can be resumed from every checkpoint.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import type { Checkpoint, IngestStart } from '../../../../agent/contract/slices.ts'
import { BLOCK_PRIMITIVES } from '../../../../agent/slices/write/block-primitives.ts'
import { createCutter } from '../../../../protocol/slices/cutter.ts'
import type { OpenSliceStore } from '../../../../agent/slices/store.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import {
  contentOf,
  createSliceModel,
  digestsOf,
  joinZeroRuns,
  openStore,
  readBack,
  SMALL_CUTTER,
  stretchesArbitrary,
  writeAll,
} from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const NOTHING: IngestStart = { offset: 0, tail: new Uint8Array(0) }

/** The entries that an ingest must return, made by the cutter alone. */
function expectedEntries(bytes: Buffer): ManifestEntry[] {
  const { ends, zeros } = createCutter(SMALL_CUTTER, BLOCK_PRIMITIVES).cut(bytes, true)
  let start = 0
  return joinZeroRuns(
    ends.map((end, i) => {
      const slice = bytes.subarray(start, end)
      start = end
      return { length: slice.length, digest: zeros[i] === true ? null : new Uint8Array(Bun.SHA256.hash(slice) as Uint8Array) }
    }),
  )
}

const plain = (entries: readonly ManifestEntry[]): [number, string | null][] =>
  entries.map(({ length, digest }) => [length, digest && Buffer.from(digest).toString('hex')])

/** Writes pieces of the given lengths, repeated, with a checkpoint after every `checkpointEvery` pieces. */
async function ingestInPieces(store: OpenSliceStore, bytes: Buffer, lengths: readonly number[], checkpointEvery: number): Promise<Checkpoint[]> {
  await using ingest = store.ingest(NOTHING)
  const checkpoints: Promise<Checkpoint>[] = []
  let piece = 0
  for (let at = 0; at < bytes.length; piece++) {
    const length = lengths[piece % lengths.length] ?? 1000
    await ingest.write(bytes.subarray(at, at + length))
    at += length
    if (piece % checkpointEvery === checkpointEvery - 1) checkpoints.push(ingest.checkpoint())
  }
  checkpoints.push(ingest.finish())
  return await Promise.all(checkpoints)
}

describe('ingest', () => {
  test('returns the entries of the cutter for any pieces and checkpoints, and can be resumed from every checkpoint', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    await fc.assert(
      fc.asyncProperty(
        stretchesArbitrary({ stretchesMax: 6, lengthMax: 60_000 }),
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        async (stretches, lengths, every, choice) => {
          const bytes = contentOf(stretches)
          const checkpoints = await ingestInPieces(store, bytes, lengths, every)
          const entries = checkpoints.flatMap((checkpoint) => checkpoint.entries)
          expect(plain(joinZeroRuns(entries))).toEqual(plain(expectedEntries(bytes)))
          expect(checkpoints.at(-1)?.tail.byteLength).toBe(0)
          const { manifest } = await encodeManifest(entries)
          expect((await readBack(store, manifest)).equals(bytes)).toBe(true)

          const chosen = choice % checkpoints.length
          const before = checkpoints.slice(0, chosen + 1).flatMap((checkpoint) => checkpoint.entries)
          const offset = before.reduce((sum, { length }) => sum + length, 0)
          const tail = checkpoints[chosen]?.tail ?? new Uint8Array(0)
          expect(Buffer.from(tail).equals(bytes.subarray(offset, offset + tail.byteLength))).toBe(true)
          if (chosen < checkpoints.length - 1) {
            await using rest = store.ingest({ offset, tail: new Uint8Array(tail) })
            await writeAll(rest, bytes.subarray(offset + tail.byteLength), 7777)
            const { entries: after, release } = await rest.finish()
            release()
            expect(plain(joinZeroRuns([...before, ...after]))).toEqual(plain(expectedEntries(bytes)))
          }
          for (const { release } of checkpoints) release()
        },
      ),
      propertyOptions(12),
    )
  })

  test('stores content longer than its segments, with zeros in between', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path, packSealBytes: 4 * 1024 * 1024 })
    const random = createRandom(7)
    const bytes = Buffer.concat([random.bytes(3_000_000), Buffer.alloc(5_000_000), random.bytes(2_500_123), Buffer.alloc(700_001), random.bytes(10)])
    const checkpoints = await ingestInPieces(store, bytes, [65_536, 1, 100_000, 512 * 1024], 11)
    const entries = checkpoints.flatMap((checkpoint) => checkpoint.entries)
    expect(plain(joinZeroRuns(entries))).toEqual(plain(expectedEntries(bytes)))
    const { manifest } = await encodeManifest(entries)
    expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
  })

  test('stores every slice once, inside an image and across images', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const part = createRandom(3).bytes(200_000 - (200_000 % SMALL_CUTTER.block))
    const once = await model.add(store, 'once', part)
    const before = store.stats()
    await model.add(store, 'again', part)
    expect(store.stats()).toEqual(before)
    const twice = await model.add(store, 'twice', Buffer.concat([part, part]))
    expect(new Set(digestsOf(twice.manifest)).size - new Set(digestsOf(once.manifest)).size).toBeLessThan(10)
    expect(store.stats().slices).toBe(model.live().size)
  })

  test('stores overlapping content of concurrent ingests once', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const shared = createRandom(4).bytes(150 * SMALL_CUTTER.block)
    const images = [0, 1, 2, 3].map((i) => Buffer.concat([shared, createRandom(100 + i).bytes(60 * SMALL_CUTTER.block), shared]))
    await Promise.all(images.map((bytes, i) => model.add(store, `image ${i}`, bytes)))
    for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    expect(store.stats().slices).toBe(model.live().size)
  })

  test('counts the bytes it stored', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    await using ingest = store.ingest(NOTHING)
    await ingest.write(createRandom(5).bytes(100_000))
    const { storedBytes, release } = await ingest.finish()
    release()
    expect(storedBytes).toBeGreaterThanOrEqual(100_000)
    expect(storedBytes).toBeLessThan(110_000)
    await using repeat = store.ingest(NOTHING)
    await repeat.write(createRandom(5).bytes(100_000))
    expect((await repeat.finish()).storedBytes).toBe(0)
  })

  test('accepts an image without bytes', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    await using ingest = store.ingest(NOTHING)
    expect(await ingest.finish()).toMatchObject({ entries: [], storedBytes: 0 })
  })

  test('accepts no bytes after finish or disposal', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    const ingest = store.ingest(NOTHING)
    ;(await ingest.finish()).release()
    await expect(ingest.write(Buffer.alloc(10))).rejects.toThrow('after finish')
    const closed = store.ingest(NOTHING)
    await closed[Symbol.asyncDispose]()
    await expect(closed.write(Buffer.alloc(10))).rejects.toThrow()
  })

  test('refuses to begin inside a block', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    expect(() => store.ingest({ offset: 100, tail: new Uint8Array(0) })).toThrow('multiple')
  })
})
