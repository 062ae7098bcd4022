// The passes of a gc, and which packs it merges: the roots are listed once, or once for each 4,194,304 slices of a larger store, and every slice is examined in one of the passes.

import { expect, test } from 'bun:test'
import type { GcReport, SliceRoots } from '../../../../agent/contract/slices.ts'
import { collectGarbage } from '../../../../agent/slices/gc/gc.ts'
import type { GcDeps, GcOptions } from '../../../../agent/slices/gc/gc.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { createPins } from '../../../../agent/slices/write/pins.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const MIB = 1024 * 1024
/** Slices from the first digest to the last, of which every second one is live. */
const digests = Array.from({ length: 64 }, (_, n) => new Uint8Array(32).fill(n * 4 + 3))
const live = digests.filter((_, n) => n % 2 === 0)

function depsOf(index: IndexDatabase, folder: string, roots: SliceRoots): GcDeps {
  const disk = createDisk()
  return {
    disk,
    log: createMemoryLog(),
    index,
    files: new PackFiles(disk, folder),
    roots: [roots],
    folder,
    pins: createPins(),
    sealBytes: 64 * MIB,
    writer: { openPackId: undefined },
    quarantine: { has: () => false },
    crashPoint: () => {},
    pause: async () => {},
    retryLeftOut: async () => {},
    rebuildIndex: async () => {},
  } as unknown as GcDeps
}

/** Runs a dry gc of a store with sealed packs of this length in bytes, each with one live slice of 4 MiB. */
async function collectPacks(count: number, length: number): Promise<GcReport> {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const bytes = 4 * MIB
  const rows = Array.from({ length: count }, (_, n) => ({ digest: new Uint8Array(32).fill(n + 1), offset: 16, length: bytes, storedLength: bytes }))
  for (const [n, row] of rows.entries()) {
    const { id } = index.addPack(n.toString(16).padStart(32, '0'))
    index.add(id, [row])
    index.sealPack(id, length)
  }
  await index.flush()
  const roots: SliceRoots = { list: () => [{ name: 'image', entries: () => rows }] }
  return await collectGarbage(depsOf(index, folder.path, roots), { dryRun: true })
}

/** Runs a dry gc of a store with 64 slices of 100 bytes, whose index says that it has this many. */
async function collect(sliceCount: number, options: Partial<GcOptions> = {}): Promise<{ lists: number; report: GcReport }> {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id } = index.addPack('a'.repeat(32))
  index.add(
    id,
    digests.map((digest, n) => ({ digest, offset: 16 + n * 164, length: 100, storedLength: 100 })),
  )
  index.sealPack(id, 1_000_000)
  await index.flush()
  let lists = 0
  const roots: SliceRoots = {
    list() {
      lists++
      return [{ name: 'image', entries: () => live.map((digest) => ({ length: 100, digest })) }]
    },
  }
  const counted = new Proxy(index, {
    get(target, key) {
      if (key === 'sliceCount') return sliceCount
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const deps = depsOf(counted, folder.path, roots)
  const report = await collectGarbage(deps, { dryRun: true, ...options })
  return { lists, report }
}

// Records have a header of 64 bytes: 32 dead ones have 32 × 164 bytes.
test.each([
  [0, 1],
  [64, 1],
  [4 * MIB, 1],
  [4 * MIB + 1, 2],
  [12 * MIB, 3],
])('of %i slices are %i', async (slices, passes) => {
  const { lists, report } = await collect(slices)
  expect([lists, report.slicesLive, report.slicesDead, report.deadBytes]).toEqual([passes, 32, 32, 5248])
})

test('of several passes, each reports what all have examined so far', async () => {
  const shown: [number, number | null][] = []
  await collect(12 * MIB, { onProgress: (done, total) => void shown.push([done, total]) })
  expect(shown.at(-1)).toEqual([64, 12 * MIB])
  expect(shown.map(([done]) => done)).toEqual(shown.map(([done]) => done).toSorted((a, b) => a - b))
})

test('only a dry run may leave out roots', async () => {
  await expect(collect(64, { dryRun: false, without: new Set(['image']) })).rejects.toThrow('only a dry run may ignore roots')
  expect((await collect(64, { without: new Set(['image']) })).report).toMatchObject({ slicesLive: 0, slicesDead: 64 })
})

// Packs are sealed at 64 MiB here, and small below an eighth of that. More than half of each is live.
test.each([
  [9, 8 * MIB - 1, 9],
  [9, 8 * MIB, 0],
  [8, 8 * MIB - 1, 0],
])('of %i packs of %i bytes are merged: %i', async (count, length, packsRewritten) => {
  expect(await collectPacks(count, length)).toMatchObject({ packsRewritten, packsRemoved: 0, slicesLive: count, slicesDead: 0 })
})
