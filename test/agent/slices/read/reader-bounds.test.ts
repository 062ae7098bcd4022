// Bounds of a reader: what it keeps in its cache, how far it reads ahead, and how much it searches in the packs at once.

import { describe, expect, test } from 'bun:test'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createReader } from '../../../../agent/slices/read/reader.ts'
import type { ReaderDeps } from '../../../../agent/slices/read/reader.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { MemoryManifest } from '../../../../protocol/slices/manifest.ts'
import { createSliceModel, digestsOf, openStore, readBack } from '../../../support/images/slice-model.ts'
import { changeRows } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createRandom } from '../../../support/properties.ts'
import { until } from '../../../support/until.ts'

const MIB = 1024 * 1024
const CUTTER = { block: 4096, minimum: 16 * 1024, average: 64 * 1024, maximum: 256 * 1024 }

/** A disk that counts the reads of packs, and lets them wait while `isHeld`. */
function createReadCounter() {
  const disk = createDisk()
  const waiting: (() => void)[] = []
  const counter = { reads: 0, isHeld: false, waiting }
  const counting: Disk = {
    ...disk,
    async openRead(path) {
      const file = await disk.openRead(path)
      return {
        ...file,
        async read(into, position) {
          counter.reads++
          if (counter.isHeld) await new Promise<void>((resolve) => void waiting.push(resolve))
          return await file.read(into, position)
        },
      }
    },
  }
  return Object.assign(counter, { disk: counting })
}

/** A store with one image of so many random bytes in one pack, which is sealed at this length. */
async function openScene(bytes: number, packSealBytes = 64 * MIB) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const counter = createReadCounter()
  const model = createSliceModel()
  const options = { folder: folder.path, roots: [model], disk: counter.disk, cutter: CUTTER, packSealBytes }
  let store = await openStore(options)
  stack.defer(() => store[Symbol.asyncDispose]())
  const image = await model.add(store, 'image', createRandom(1).bytes(bytes))
  const readsOf = async (start: number, end: number): Promise<number> => {
    const before = counter.reads
    expect((await readBack(store, image.manifest, start, end)).equals(image.bytes.subarray(start, end))).toBe(true)
    return counter.reads - before
  }
  /** Closes and opens the store, so that the rows of a sealed pack are on disk. */
  const reopen = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    store = await openStore(options)
  }
  const own = stack.move()
  return {
    counter,
    get store() {
      return store
    },
    state: folder.file('state'),
    image,
    readsOf,
    reopen,
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

describe('the cache', () => {
  test('has the slices of ranges of up to 512 KiB, and gives them to ranges of any length', async () => {
    await using scene = await openScene(MIB)
    const half = 512 * 1024
    expect([(await scene.readsOf(0, half + 1)) > 0, (await scene.readsOf(0, half + 1)) > 0]).toEqual([true, true])
    expect([(await scene.readsOf(0, half)) > 0, await scene.readsOf(0, half), await scene.readsOf(10, half - 10)]).toEqual([true, 0, 0])
    const rest = await scene.readsOf(half + 300_000, half + 300_001)
    expect([rest, await scene.readsOf(half + 300_000, half + 300_001)]).toEqual([1, 0])
    // The end of the image is cached as well, so that only what is between is read.
    await scene.readsOf(half, MIB)
    expect(await scene.readsOf(0, MIB)).toBe(0)
  })
})

describe('reading ahead', () => {
  test('takes four windows of one reader, and fewer of each of several, but one at least', async () => {
    await using scene = await openScene(20 * MIB)
    const { counter, store, image } = scene
    const readers: AsyncIterator<Uint8Array>[] = []
    const opened: Promise<unknown>[] = []
    const open = async (windows: number): Promise<void> => {
      const before = counter.waiting.length
      const reader = store.read(image.manifest, 0, image.bytes.length)[Symbol.asyncIterator]()
      readers.push(reader)
      opened.push(reader.next())
      await until('the windows are being read', () => counter.waiting.length === before + windows)
      await Bun.sleep(3)
      expect(counter.waiting.length).toBe(before + windows)
    }
    counter.isHeld = true
    for (const windows of [4, 2, 1, 1, 1]) await open(windows)
    counter.isHeld = false
    for (const go of counter.waiting.splice(0)) go()
    await Promise.all(opened)
    for (const reader of readers) await reader.return?.()
    // Readers that have left are not counted.
    counter.isHeld = true
    await open(4)
    counter.isHeld = false
    for (const go of counter.waiting.splice(0)) go()
    await readers.at(-1)?.return?.()
  })

  test('of stored slices is of 2 MiB at a time, and ends at a signal', async () => {
    await using scene = await openScene(5 * MIB)
    const { counter, store, image } = scene
    const digests = digestsOf(image.manifest).map((hex) => Buffer.from(hex, 'hex'))
    const controller = new AbortController()
    const frames = store.readStored(digests, controller.signal)[Symbol.asyncIterator]()
    const before = counter.reads
    for (let bytes = 0; bytes < 2 * MIB;) {
      const next = await frames.next()
      bytes += next.done ? Infinity : next.value.stored.byteLength
    }
    expect(counter.reads - before).toBe(1)
    await frames.next()
    expect(counter.reads - before).toBe(2)
    controller.abort(new Error('enough'))
    const rest = async (): Promise<void> => {
      while (!(await frames.next()).done);
    }
    await expect(rest()).rejects.toThrow('enough')
    expect(counter.reads - before).toBe(2)
  })

  test('of stored slices ends with the slice that completes 2 MiB', async () => {
    await using scene = await openScene(MIB)
    await using receiver = scene.store.receive()
    const digests: Buffer[] = []
    for (let seed = 2; seed < 5; seed++) {
      const stored = createRandom(seed).bytes(MIB)
      const digest = Buffer.from(Bun.SHA256.hash(stored) as Uint8Array)
      digests.push(digest)
      await receiver.put({ digest, length: MIB, codec: 0, stored })
    }
    const frames = scene.store.readStored(digests)[Symbol.asyncIterator]()
    const before = scene.counter.reads
    const reads: number[] = []
    while (!(await frames.next()).done) reads.push(scene.counter.reads - before)
    expect(reads).toEqual([1, 1, 2])
  })

  test('an empty range needs no slice', async () => {
    await using scene = await openScene(MIB)
    expect([await scene.readsOf(0, 0), await scene.readsOf(MIB, MIB)]).toEqual([0, 0])
    const past = scene.store.read(scene.image.manifest, 10, 9)[Symbol.asyncIterator]()
    expect(await past.next()).toEqual({ done: true, value: undefined })
  })
})

describe('slices of other lengths than their entries say', () => {
  test('end the read at the first of them: entries that are too short bound nothing', async () => {
    await using scene = await openScene(MIB)
    const digests = digestsOf(scene.image.manifest).map((hex) => Buffer.from(hex, 'hex'))
    expect(digests.length).toBeGreaterThan(5)
    const { manifest } = await encodeManifest(digests.map((digest) => ({ length: 1, digest })))
    const before = scene.counter.reads
    const first = scene.image.manifest.lengthAt(0)
    await expect(readBack(scene.store, manifest)).rejects.toThrow(`a slice has ${first} bytes where the manifest says 1`)
    expect(scene.counter.reads - before).toBe(1)
  })

  test('are read when only the index is wrong', async () => {
    await using scene = await openScene(MIB, MIB)
    const { manifest, bytes } = scene.image
    await scene.reopen()
    expect(changeRows(scene.state, ({ length }) => ({ length: length + 1 }))).toBe(manifest.count)
    expect((await readBack(scene.store, manifest)).equals(bytes)).toBe(true)
  })
})

describe('slices that the index lacks', () => {
  /** Reads a range of which the index has nothing. Returns the most slices that are searched at once. */
  async function mostSearched(manifest: MemoryManifest, start: number, end: number): Promise<number> {
    const searched: number[] = []
    const deps: Pick<ReaderDeps, 'search' | 'pause'> & { readonly index: Pick<ReaderDeps['index'], 'find' | 'pack'> } = {
      index: { find: () => undefined, pack: () => undefined },
      search: { find: async (digests) => void searched.push(digests.length), judge: async () => 'lost' },
      pause: async () => {},
    }
    const reader = createReader(deps as ReaderDeps)
    await expect(reader.read(manifest, start, end).next()).rejects.toMatchObject({ reason: 'missing' })
    return Math.max(...searched)
  }

  test('are searched together: those of the range, and 65,536 entries at most', async () => {
    const entries = Array.from({ length: 70_000 }, (_, n) => {
      const digest = new Uint8Array(32)
      new DataView(digest.buffer).setUint32(0, n + 1)
      return { length: 1, digest }
    })
    const { manifest } = await encodeManifest(entries)
    expect(await mostSearched(manifest, 0, 1)).toBe(1)
    expect(await mostSearched(manifest, 0, 3000)).toBe(3000)
    expect(await mostSearched(manifest, 100, 3000)).toBe(2900)
    expect(await mostSearched(manifest, 0, 70_000)).toBe(65_536)
    expect(await mostSearched(manifest, 4000, 69_999)).toBe(65_536)
  })
})
