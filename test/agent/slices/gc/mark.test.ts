// Mark and sweep in passes: every digest belongs to exactly one pass, also those at the borders of the ranges.

import { describe, expect, test } from 'bun:test'
import { dirname } from 'node:path'
import type { SliceRoots } from '../../../../agent/contract/slices.ts'
import { count, findLost, mark, passRange, sweep } from '../../../../agent/slices/gc/mark.ts'
import type { PackUse } from '../../../../agent/slices/gc/plan.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackHeader, PACK_HEADER_BYTES, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import type { PackEntry } from '../../../../agent/slices/packs/slice-row.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { createLiveSet } from '../../../../agent/slices/write/live-set.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const pause = (): Promise<void> => Promise.resolve()

/** Digests whose first two bytes are at and next to both ends of the ranges, with the smallest and the largest bytes after those. */
function digestsAtBorders(passes: number): Uint8Array[] {
  const prefixes = new Set<number>()
  for (let pass = 0; pass < passes; pass++) {
    const { from, to } = passRange(pass, passes)
    for (const prefix of [from, from + 1, to - 1]) prefixes.add(prefix)
  }
  return [...prefixes].flatMap((prefix) =>
    [1, 255].map((rest) => {
      const digest = new Uint8Array(32).fill(rest)
      digest.set([prefix >> 8, prefix & 255])
      return digest
    }),
  )
}

const hex = (digest: Uint8Array): string => Buffer.from(digest).toString('hex')

describe.each([1, 2, 3, 7])('%i passes', (passes) => {
  const digests = digestsAtBorders(passes)

  test('cover every digest once', () => {
    const ranges = Array.from({ length: passes }, (_, pass) => passRange(pass, passes))
    expect([ranges[0]?.from, ranges.at(-1)?.to]).toEqual([0, 65_536])
    for (const [i, { from }] of ranges.entries()) if (i > 0) expect(from).toBe(ranges[i - 1]?.to ?? -1)
  })

  test('mark every slice that a root names in exactly one pass', async () => {
    const roots: SliceRoots = { list: () => [{ name: 'image', entries: () => digests.map((digest) => ({ length: 1, digest })) }] }
    const seen: string[] = []
    for (let pass = 0; pass < passes; pass++) {
      const marked = await mark({ roots: [roots], pause }, passRange(pass, passes), digests.length, { dryRun: false })
      seen.push(...digests.filter((digest) => marked.has(digest)).map(hex))
    }
    expect(seen.toSorted()).toEqual(digests.map(hex).toSorted())
  })

  test.each(['in memory', 'on disk'])('sweep every row %s in exactly one pass', async (place) => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('aa'.repeat(16))
    const rows = digests.map((digest, i) => ({ digest, offset: 16 + i * 164, length: 100, storedLength: 100 }))
    index.add(id, rows)
    if (place === 'on disk') {
      index.sealPack(id, 1_000_000)
      await index.flush()
    }
    const isNamed = (digest: Uint8Array): boolean => digest[31] === 255
    const [live, dead]: [string[], string[]] = [[], []]
    const uses = new Map<number, PackUse>()
    for (let pass = 0; pass < passes; pass++) {
      for await (const swept of sweep({ index, pause }, passRange(pass, passes), isNamed, { dryRun: false })) {
        live.push(...swept.live.map(({ digest }) => hex(digest)))
        dead.push(...swept.dead.map(({ digest }) => hex(digest)))
        count(uses, swept.live, 'liveBytes')
        count(uses, swept.dead, 'deadBytes')
      }
    }
    expect(live.toSorted()).toEqual(digests.filter(isNamed).map(hex).toSorted())
    expect(dead.toSorted()).toEqual(
      digests
        .filter((digest) => !isNamed(digest))
        .map(hex)
        .toSorted(),
    )
    expect(uses.get(id)).toEqual({ liveBytes: 164 * live.length, deadBytes: 164 * dead.length })
    expect(index.sliceCount).toBe(live.length)
  })
})

describe('a long pass', () => {
  /** Numbered digests that all begin with these two bytes. */
  const digestsBelow = (prefix: number, count: number): Uint8Array[] =>
    Array.from({ length: count }, (_, n) => {
      const digest = Buffer.alloc(32)
      digest.writeUInt16BE(prefix)
      digest.writeUInt32BE(n, 8)
      return new Uint8Array(digest)
    })

  test('marks 2,048 entries between two pauses, and ends at an abort', async () => {
    for (const [entries, pauses] of [
      [2047, 0],
      [2048, 1],
      [4096, 2],
    ] as const) {
      const roots: SliceRoots = { list: () => [{ name: 'image', entries: () => digestsBelow(0, entries).map((digest) => ({ length: 1, digest })) }] }
      let paused = 0
      const count = async (): Promise<void> => void paused++
      await mark({ roots: [roots], pause: count }, passRange(0, 1), entries, { dryRun: false })
      expect(paused).toBe(pauses)
      const signal = AbortSignal.abort(new Error('stopped'))
      const marking = mark({ roots: [roots], pause: count }, passRange(0, 1), entries, { dryRun: false, signal })
      if (pauses === 0) await marking
      else await expect(marking).rejects.toThrow('stopped')
    }
  })

  test('does not mark what a root names that is left out', async () => {
    const [first, second] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const roots: SliceRoots = {
      list: () => [
        { name: 'one', entries: () => [{ length: 1, digest: first }] },
        { name: 'two', entries: () => [{ length: 1, digest: second }] },
      ],
    }
    const marked = await mark({ roots: [roots], pause }, passRange(0, 1), 2, { dryRun: true, without: new Set(['one']) })
    expect([marked.has(first), marked.has(second)]).toEqual([false, true])
  })

  test('begins at the first digest of its range, however many rows come before it', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('aa'.repeat(16))
    // The second of three passes begins at 0x5555; one step of the walk has 4,096 rows.
    const [before, within] = [digestsBelow(0x5554, 4200), digestsBelow(0x5555, 3)]
    index.add(
      id,
      [...before, ...within].map((digest, i) => ({ digest, offset: 16 + i * 164, length: 100, storedLength: 100 })),
    )
    index.sealPack(id, 1_000_000)
    await index.flush()
    const live: string[] = []
    for await (const swept of sweep({ index, pause }, passRange(1, 3), () => true, { dryRun: false })) live.push(...swept.live.map(({ digest }) => hex(digest)))
    expect(live).toEqual(within.map(hex))
  })
})

describe('slices that the index has lost', () => {
  const lost = new Uint8Array(32).fill(7)
  const other = new Uint8Array(32).fill(8)
  const row = (digest: Uint8Array, offset: number): PackRow => ({ digest, offset, length: 100, storedLength: 100 })

  async function setUp(packs: readonly ('sealed' | 'open' | 'without a file')[]) {
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(await createTemporaryFolder())
    const index = stack.use(IndexDatabase.open(folder.file('index.db')))
    const disk = createDisk()
    const entries: PackEntry[] = []
    for (const [i, kind] of packs.entries()) {
      const entry = index.addPack(String(i).padStart(32, '0'))
      entries.push(entry)
      if (kind !== 'without a file') {
        const path = folder.file(packPath(entry.name))
        await disk.makeFolder(dirname(path))
        await using file = await disk.openWrite(path, 'create')
        const bytes = new Uint8Array(100).fill(i)
        const rows = [row(lost, PACK_HEADER_BYTES), row(other, PACK_HEADER_BYTES + RECORD_HEADER_BYTES + 100)]
        const header = (digest: Uint8Array): Uint8Array => {
          const text = Buffer.alloc(RECORD_HEADER_BYTES)
          writeRecordHeader(text, 0, { digest, codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytes) })
          return text
        }
        await file.write([encodePackHeader(), header(lost), bytes, header(other), bytes], 0)
        await writePackFooter(file, rows, PACK_HEADER_BYTES + 2 * (RECORD_HEADER_BYTES + 100))
      }
      if (kind !== 'open') index.sealPack(entry.id, 1_000_000)
    }
    const marked = createLiveSet(10)
    marked.add(lost)
    const unread = new Set<number>()
    const files = stack.use(new PackFiles(disk, folder.file('')))
    const quarantined = new Set<string>()
    const quarantine: Quarantine = {
      count: 0,
      has: (_digest, pack) => quarantined.has(pack),
      list: () => [],
      all: () => [],
      add: async () => {},
      settle: async () => {},
    }
    const find = (signal?: AbortSignal, wait = pause): Promise<void> =>
      findLost({ log: createMemoryLog(), index, files, quarantine, roots: [], pause: wait }, marked, unread, signal)
    const own = stack.move()
    return { index, entries, unread, quarantined, find, [Symbol.asyncDispose]: () => own.disposeAsync() }
  }

  test('are added from the first sealed pack that has them; what nothing names is not', async () => {
    await using scene = await setUp(['sealed', 'sealed'])
    await scene.find()
    expect(scene.index.find(lost)).toMatchObject({ pack: scene.entries[0]?.id, offset: 16 })
    expect(scene.index.find(other)).toBeUndefined()
    expect(scene.unread.size).toBe(0)
    expect(scene.index.isDistrusted).toBe(true)
  })

  test('are not looked for in an open pack, whose rows are in memory', async () => {
    await using scene = await setUp(['open'])
    await scene.find()
    expect(scene.index.find(lost)).toBeUndefined()
    expect(scene.index.isDistrusted).toBe(false)
  })

  test('may be in a pack that cannot be read, which is reported', async () => {
    await using scene = await setUp(['without a file', 'sealed'])
    await scene.find()
    expect([...scene.unread]).toEqual([scene.entries[0]?.id ?? 0])
    expect(scene.index.find(lost)).toMatchObject({ pack: scene.entries[1]?.id })
  })

  test('are not taken from a place that is quarantined', async () => {
    await using scene = await setUp(['sealed', 'sealed'])
    scene.quarantined.add(scene.entries[0]?.name ?? '')
    await scene.find()
    expect(scene.index.find(lost)).toMatchObject({ pack: scene.entries[1]?.id })
  })

  test('are looked for in one pack at a time, with a pause after each', async () => {
    await using scene = await setUp(['sealed', 'sealed'])
    const waiting: (() => void)[] = []
    let isOver = false
    const found = scene.find(undefined, () => new Promise<void>((resolve) => waiting.push(resolve))).then(() => (isOver = true))
    for (let pack = 0; pack < 2; pack++) {
      await until('the pause', () => waiting.length === 1)
      await Bun.sleep(5)
      expect([waiting.length, isOver]).toEqual([1, false])
      waiting.shift()?.()
    }
    await found
  })

  test('are looked for until an abort', async () => {
    await using scene = await setUp(['sealed'])
    await expect(scene.find(AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
    expect(scene.index.find(lost)).toBeUndefined()
  })
})
