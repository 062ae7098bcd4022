// gc: what is named stays, everything else is removed, and the report matches the disk. In parallel with other work nothing live is lost.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { join } from 'node:path'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { SliceRoots } from '../../../../agent/contract/slices.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import {
  contentOf,
  createSliceModel,
  digestsOf,
  filesBelow,
  folderBytes,
  openStore,
  readBack,
  stretchesArbitrary,
  writeAll,
  noiseBlocks,
} from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

describe('gc', () => {
  test('leaves exactly the live slices, and counts the bytes freed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(stretchesArbitrary({ stretchesMax: 6, lengthMax: 60_000 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
        fc.boolean(),
        async (contents, removed, reopened) => {
          await using folder = await createTemporaryFolder()
          const packs = folder.file('mount', 'packs')
          const model = createSliceModel()
          const options = { folder: folder.path, roots: [model], packSealBytes: 16 * 1024 }
          await using stack = new AsyncDisposableStack()
          let store = stack.use(await openStore(options))
          for (const [i, stretches] of contents.entries()) await model.add(store, `image ${i}`, contentOf(stretches))
          for (const i of contents.keys()) if (removed[i]) model.remove(`image ${i}`)
          if (reopened) {
            await store[Symbol.asyncDispose]()
            store = stack.use(await openStore(options))
          }

          const before = await folderBytes(packs)
          const statsBefore = store.stats()
          const dry = await store.gc({ dryRun: true })
          expect(await folderBytes(packs)).toBe(before)
          expect(store.stats()).toEqual(statsBefore)
          const real = await store.gc({ dryRun: false })
          const after = await folderBytes(packs)

          expect(real.freedBytes).toBe(before - after)
          // The prediction does not include the footers of packs that fill up meanwhile.
          expect(Math.abs(real.freedBytes - dry.freedBytes)).toBeLessThanOrEqual(real.packsRewritten * 2048)
          expect({ ...dry, dryRun: false, freedBytes: real.freedBytes }).toEqual(real)
          expect(real.slicesLive).toBe(model.live().size)
          expect(store.stats().slices).toBe(model.live().size)
          for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
          expect(await store.gc({ dryRun: false })).toMatchObject({ slicesDead: 0 })

          await store[Symbol.asyncDispose]()
          store = stack.use(await openStore({ ...options, rebuild: true }))
          expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [] })
          for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
        },
      ),
      propertyOptions(8),
    )
  }, 60_000)

  test('empties a store whose images are all gone', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    for (let i = 0; i < 4; i++) await model.add(store, `image ${i}`, noiseBlocks(i, 100))
    model.images.clear()
    await store.gc({ dryRun: false })
    expect(store.stats()).toMatchObject({ slices: 0, storedBytes: 0, packs: 0, packBytes: 0 })
    expect(await folderBytes(folder.file('mount', 'packs'))).toBe(0)
  })

  test('rewrites a pack that is less than half live, and leaves one that is more than half live', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 100_000 })
    await model.add(store, 'small', noiseBlocks(1, 60))
    await model.add(store, 'large', noiseBlocks(2, 150))
    model.remove('large')
    expect(await store.gc({ dryRun: false })).toMatchObject({ packsRemoved: 0, packsRewritten: 1 })
    await model.add(store, 'other', noiseBlocks(3, 60))
    await model.add(store, 'fill', noiseBlocks(4, 60))
    await model.add(store, 'more', noiseBlocks(5, 60))
    model.remove('small')
    expect(await store.gc({ dryRun: false })).toMatchObject({ packsRemoved: 0, packsRewritten: 0, freedBytes: 0 })
    for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
  })

  // The names say what the open pack has when a sealed pack with 30,720 live bytes is rewritten. No footer is written in any of these cases.
  test.each([
    ['no pack is open', [], [], 1, 0],
    ['live slices', [20], [], 1, 0],
    ['mostly dead slices', [20], [40], 2, 0],
    ['dead slices only', [], [40], 1, 1],
  ])('predicts in a dry run exactly what it frees: %s', async (_what, kept, dropped, packsRewritten, packsRemoved) => {
    await using folder = await createTemporaryFolder()
    const packs = folder.file('mount', 'packs')
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 100_000 })
    await model.add(store, 'small', noiseBlocks(1, 60))
    await model.add(store, 'large', noiseBlocks(2, 150))
    model.remove('large')
    for (const blocks of kept) await model.add(store, `kept ${blocks}`, noiseBlocks(3, blocks))
    for (const blocks of dropped) {
      await model.add(store, `dropped ${blocks}`, noiseBlocks(4, blocks))
      model.remove(`dropped ${blocks}`)
    }
    const before = await folderBytes(packs)
    const dry = await store.gc({ dryRun: true })
    const real = await store.gc({ dryRun: false })
    expect(real).toMatchObject({ packsRewritten, packsRemoved, freedBytes: before - (await folderBytes(packs)) })
    expect(dry).toEqual({ ...real, dryRun: true })
  })

  test('removes nothing when a root cannot be read', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    const broken: SliceRoots = {
      list: () => [
        {
          name: 'broken',
          entries: () => {
            throw new Error('cannot be read')
          },
        },
      ],
    }
    const roots: SliceRoots[] = [model]
    await using store = await openStore({ folder: folder.path, roots })
    const { manifest, bytes } = await model.add(store, 'image', noiseBlocks(1, 300))
    roots.push(broken)
    model.remove('image')
    const before = store.stats()
    await expect(store.gc({ dryRun: false })).rejects.toThrow('cannot be read')
    expect(store.stats()).toEqual(before)
    expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
  })

  test('stops at an aborted signal, and another run completes the work', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 16 * 1024 })
    for (let i = 0; i < 6; i++) await model.add(store, `image ${i}`, noiseBlocks(i, 100))
    for (let i = 0; i < 6; i += 2) model.remove(`image ${i}`)
    for (let steps = 1; ; steps++) {
      const controller = new AbortController()
      let left = steps
      const done = await store
        .gc({ dryRun: false, signal: controller.signal, onProgress: () => void (--left === 0 && controller.abort(new Error('enough'))) })
        .then(() => true)
        .catch(() => false)
      for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
      if (done) break
    }
    expect(store.stats().slices).toBe(model.live().size)
  })

  test('keeps slices that are pinned and not named yet', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const bytes = noiseBlocks(1, 200)
    await using ingest = store.ingest({ offset: 0, tail: new Uint8Array(0) })
    await writeAll(ingest, bytes)
    const { entries, release } = await ingest.finish()
    const { manifest } = await encodeManifest(entries)
    expect(await store.gc({ dryRun: false })).toMatchObject({ slicesDead: 0 })
    expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    release()
    expect(await store.gc({ dryRun: false })).toMatchObject({ slicesLive: 0 })
    expect(store.stats().slices).toBe(0)
  })

  test('keeps slices that a receiver pinned until it is closed', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    const { manifest, bytes } = await model.add(store, 'image', noiseBlocks(1, 200))
    const receiver = store.receive()
    expect(receiver.pin(digestsOf(manifest).map((hex) => Buffer.from(hex, 'hex')))).toEqual([])
    model.remove('image')
    expect(await store.gc({ dryRun: false })).toMatchObject({ slicesDead: 0 })
    expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    await receiver[Symbol.asyncDispose]()
    expect(await store.gc({ dryRun: false })).toMatchObject({ slicesLive: 0 })
  })

  test('removes what a closed ingest had stored, also of checkpoints that were never released', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openStore({ folder: folder.path })
    const ingest = store.ingest({ offset: 0, tail: new Uint8Array(0) })
    await writeAll(ingest, noiseBlocks(1, 200))
    await ingest.checkpoint()
    await writeAll(ingest, noiseBlocks(2, 200))
    await ingest[Symbol.asyncDispose]()
    expect(await store.gc({ dryRun: false })).toMatchObject({ slicesLive: 0 })
    expect(store.stats().slices).toBe(0)
  })

  test('loses nothing live in parallel with ingests, reads and receivers', async () => {
    await using folder = await createTemporaryFolder()
    await using other = await createTemporaryFolder()
    const model = createSliceModel()
    const source = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 32 * 1024 })
    await using origin = await openStore({ folder: other.path, roots: [source] })
    const random = createRandom(11)
    const working = new AbortController()

    const collect = async (): Promise<void> => {
      while (!working.signal.aborted) await store.gc({ dryRun: false })
    }
    const upload = async (lane: number): Promise<void> => {
      for (let i = 0; i < 12; i++) {
        const shared = noiseBlocks(random.below(4), 80)
        const image = await model.add(store, `${lane}/${i}`, Buffer.concat([shared, noiseBlocks(1000 + lane * 100 + i, 40)]))
        expect((await readBack(store, image.manifest)).equals(image.bytes)).toBe(true)
        if (random.chance(0.6)) model.remove(random.pick([...model.images.keys()]))
      }
    }
    const receive = async (): Promise<void> => {
      for (let i = 0; i < 8; i++) {
        const image = await source.add(origin, `synced ${i}`, Buffer.concat([noiseBlocks(random.below(4), 80), noiseBlocks(5000 + i, 40)]))
        const digests = digestsOf(image.manifest).map((hex) => Buffer.from(hex, 'hex'))
        await using receiver = store.receive()
        const missing = receiver.pin(digests).map((n) => digests[n] ?? Buffer.alloc(32))
        for await (const frame of origin.readStored(missing)) await receiver.put(frame)
        await receiver.sync()
        model.images.set(image.name, image)
      }
    }
    const collecting = collect()
    await Promise.all([upload(0), upload(1), receive()])
    working.abort()
    await collecting

    for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
    await store.gc({ dryRun: false })
    expect(store.stats().slices).toBe(model.live().size)
  }, 30_000)

  test('runs in parallel with another gc and a scrub', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 16 * 1024 })
    const before = await folderBytes(folder.file('mount', 'packs'))
    for (let i = 0; i < 12; i++) await model.add(store, `image ${i}`, Buffer.concat([noiseBlocks(0, 20), noiseBlocks(1 + i, 40)]))
    for (let i = 0; i < 12; i += 2) model.remove(`image ${i}`)
    const [first, second, report] = await Promise.all([
      store.gc({ dryRun: false }),
      store.gc({ dryRun: false }),
      store.scrub({ bytesPerSecond: Infinity }),
      model.add(store, 'meanwhile', noiseBlocks(50, 80)),
    ])
    expect(report).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
    expect(first.packsRemoved + first.packsRewritten + second.packsRemoved + second.packsRewritten).toBeGreaterThan(0)
    for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    await store.gc({ dryRun: false })
    expect(store.stats().slices).toBe(model.live().size)
    expect(await folderBytes(folder.file('mount', 'packs'))).toBe(before + store.stats().packBytes)
    expect(store.quarantined()).toEqual([])
  })

  test('merges many small packs', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    for (let i = 0; i < 12; i++) {
      await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 2 * 1024 })
      await model.add(store, `image ${i}`, noiseBlocks(i, 4))
    }
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 64 * 1024 })
    const before = store.stats().packs
    await store.gc({ dryRun: false })
    expect(before).toBeGreaterThan(8)
    expect(store.stats().packs).toBeLessThan(3)
    expect(await filesBelow(join(folder.path, 'mount', 'packs'), '.pack')).toHaveLength(store.stats().packs)
    for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
  })
})
