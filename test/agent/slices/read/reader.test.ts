// Reader: any range returns the bytes of the image or an error, never a wrong byte.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { SliceUnreadable } from '../../../../agent/contract/slices.ts'
import { encodeManifest, manifestEntries } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { RECORD_HEADER_BYTES } from '../../../../agent/slices/packs/record.ts'
import { propertyOptions } from '../../../support/properties.ts'
import {
  contentOf,
  createSliceModel,
  damage,
  digestsOf,
  filesBelow,
  openStore,
  readBack,
  readOutcome,
  stretchesArbitrary,
  noiseBlocks,
} from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

describe('read', () => {
  test('returns any range', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    await fc.assert(
      fc.asyncProperty(
        stretchesArbitrary({ stretchesMax: 8, lengthMax: 60_000 }),
        fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 8 }),
        async (stretches, ranges) => {
          const bytes = contentOf(stretches)
          const { manifest } = await model.add(store, 'image', bytes)
          for (const [a, b] of ranges) {
            const [start = 0, end = 0] = [a % (bytes.length + 1), b % (bytes.length + 1)].toSorted((x, y) => x - y)
            expect((await readBack(store, manifest, start, end)).equals(bytes.subarray(start, end))).toBe(true)
          }
        },
      ),
      propertyOptions(12),
    )
  })

  test('returns long images in pieces of at most 1 MiB, and zeros without reading', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 4 * 1024 * 1024 })
    const bytes = Buffer.concat([noiseBlocks(1, 20_000), Buffer.alloc(20_000_000), noiseBlocks(2, 5_000)])
    const { manifest } = await model.add(store, 'image', bytes)
    const hash = new Bun.SHA256()
    for await (const piece of store.read(manifest, 0, bytes.length)) {
      expect(piece.byteLength).toBeLessThanOrEqual(1024 * 1024)
      hash.update(piece)
    }
    expect(hash.digest('hex')).toBe(Bun.SHA256.hash(bytes, 'hex'))
  })

  test('throws for a damaged record, quarantines it, and returns everything before it', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    const reported: string[] = []
    await using store = await openStore({ folder: folder.path, roots: [model], onCorrupt: (digest) => void reported.push(Buffer.from(digest).toString('hex')) })
    const image = await model.add(store, 'image', noiseBlocks(1, 60))
    const other = await model.add(store, 'other', noiseBlocks(2, 20))
    const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
    await damage(pack, 16 + RECORD_HEADER_BYTES + 100)

    expect(await readOutcome(store, image)).toBe('unreadable')
    expect(reported).toEqual(digestsOf(image.manifest).slice(0, 1))
    expect(store.quarantined()).toMatchObject([{ digest: `sha256:${reported[0]}`, offset: 16 }])
    const error = await readBack(store, image.manifest).catch((failure: unknown) => failure)
    expect(error).toBeInstanceOf(SliceUnreadable)
    expect(error).toMatchObject({ reason: 'missing' })
    const rest = image.manifest.offsetAt(1)
    expect((await readBack(store, image.manifest, rest)).equals(image.bytes.subarray(rest))).toBe(true)
    expect(await readOutcome(store, other)).toBe('whole')
  })

  test('works again after the same bytes are stored again', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    const options = { folder: folder.path, roots: [model] }
    const image = await (async () => {
      await using store = await openStore(options)
      const made = await model.add(store, 'image', noiseBlocks(1, 60))
      const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
      await damage(pack, 16 + RECORD_HEADER_BYTES + 100)
      expect(await readOutcome(store, made)).toBe('unreadable')
      await model.add(store, 'again', noiseBlocks(1, 60))
      expect(await readOutcome(store, made)).toBe('whole')
      await store.scrub({ bytesPerSecond: Infinity })
      expect(store.quarantined()).toEqual([])
      return made
    })()
    for (const rebuild of [false, true]) {
      await using store = await openStore({ ...options, rebuild })
      expect(await readOutcome(store, image)).toBe('whole')
      expect(store.quarantined()).toEqual([])
    }
  })

  test('throws for a slice that no pack has', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const image = await model.add(store, 'image', noiseBlocks(1, 60))
    model.remove('image')
    await store.gc({ dryRun: false })
    await expect(readBack(store, image.manifest)).rejects.toMatchObject({ reason: 'missing' })
  })

  test('throws for a manifest whose entries have other lengths than their slices, and reads nothing twice for it', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const image = await model.add(store, 'image', noiseBlocks(1, 600))
    const entries = [...manifestEntries(image.manifest)]
    for (const forge of [
      (entry: ManifestEntry) => ({ ...entry, length: 1 }),
      (entry: ManifestEntry, i: number) => ({ ...entry, length: entry.length - (i === 5 ? 512 : 0) }),
      (entry: ManifestEntry, i: number) => ({ ...entry, length: entry.length + (i === 5 ? 512 : 0) }),
    ]) {
      const { manifest } = await encodeManifest(entries.map(forge))
      for (const [start, end] of [
        [0, manifest.imageLength],
        [0, Math.min(manifest.imageLength, 100)],
        [manifest.offsetAt(5), manifest.offsetAt(6)],
      ] as const) {
        const isTouched = manifest.lengthAt(0) === 1 || (start <= manifest.offsetAt(5) && end > manifest.offsetAt(5))
        const read = readBack(store, manifest, start, end).then(
          () => 'read',
          (error: unknown) => error,
        )
        if (isTouched) expect(await read).toMatchObject({ name: 'SliceUnreadable', reason: 'corrupt' })
      }
    }
    expect(store.quarantined()).toEqual([])
    expect(await readOutcome(store, image)).toBe('whole')
    // The same slice by two entries, one of them right.
    const [first = { length: 1, digest: null }] = entries
    const { manifest } = await encodeManifest([first, { ...first, length: 512 }])
    await expect(readBack(store, manifest)).rejects.toMatchObject({ reason: 'corrupt' })
  })

  test('stops at an aborted signal', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const { manifest, bytes } = await model.add(store, 'image', noiseBlocks(1, 8000))
    const controller = new AbortController()
    const read = async (): Promise<number> => {
      let length = 0
      for await (const piece of store.read(manifest, 0, bytes.length, controller.signal)) {
        length += piece.byteLength
        controller.abort(new Error('no more'))
      }
      return length
    }
    await expect(read()).rejects.toThrow('no more')
  })

  test('continues while gc moves the slices it is about to read', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 64 * 1024 })
    const kept = Buffer.concat(Array.from({ length: 20 }, (_, i) => noiseBlocks(i, 30)))
    const padded = Buffer.concat(Array.from({ length: 20 }, (_, i) => Buffer.concat([noiseBlocks(i, 30), noiseBlocks(100 + i, 60)])))
    await model.add(store, 'padded', padded)
    const image = await model.add(store, 'kept', kept)
    model.remove('padded')
    const pieces: Uint8Array[] = []
    let collected: Promise<unknown> | undefined
    for await (const piece of store.read(image.manifest, 0, kept.length)) {
      pieces.push(Buffer.from(piece))
      collected ??= store.gc({ dryRun: false })
      await collected
    }
    expect(Buffer.concat(pieces).equals(kept)).toBe(true)
    expect(await readOutcome(store, image)).toBe('whole')
  })
})

describe('readStored', () => {
  test('returns frames in the order requested, and throws for a missing slice', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const { manifest } = await model.add(
      store,
      'image',
      contentOf([
        { kind: 'noise', length: 40_960, seed: 1 },
        { kind: 'text', length: 40_960, seed: 2 },
      ]),
    )
    const digests = digestsOf(manifest).toReversed()
    const asked = digests.map((hex) => Buffer.from(hex, 'hex'))
    const given: string[] = []
    for await (const frame of store.readStored(asked)) {
      given.push(Buffer.from(frame.digest).toString('hex'))
      const bytes = frame.codec === 1 ? Bun.zstdDecompressSync(new Uint8Array(frame.stored)) : Buffer.from(frame.stored)
      expect(Bun.SHA256.hash(bytes, 'hex')).toBe(given.at(-1) ?? '')
      expect(bytes.length).toBe(frame.length)
    }
    expect(given).toEqual(digests)
    const absent = async (): Promise<void> => {
      for await (const _ of store.readStored([Buffer.alloc(32, 7)]));
    }
    await expect(absent()).rejects.toMatchObject({ reason: 'missing' })
  })
})
