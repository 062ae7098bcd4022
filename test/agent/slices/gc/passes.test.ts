// The passes of a gc: the roots are listed once, or once for each 4,194,304 slices of a larger store, and every slice is examined in one of the passes.

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

/** Runs a dry gc of a store with 64 slices of 100 bytes, whose index says that it has this many. */
async function collect(sliceCount: number, options: Partial<GcOptions> = {}): Promise<{ lists: number; report: GcReport }> {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const disk = createDisk()
  await using files = new PackFiles(disk, folder.path)
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
  const deps = {
    disk,
    log: createMemoryLog(),
    index: counted,
    files,
    roots: [roots],
    folder: folder.path,
    pins: createPins(),
    sealBytes: 64 * MIB,
    writer: { openPackId: undefined },
    quarantine: { has: () => false },
    crashPoint: () => {},
    pause: async () => {},
    retryLeftOut: async () => {},
    rebuildIndex: async () => {},
  } as unknown as GcDeps
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
