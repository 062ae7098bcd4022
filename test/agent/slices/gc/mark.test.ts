// Mark and sweep in passes: every digest belongs to exactly one pass, also those at the borders of the ranges.

import { describe, expect, test } from 'bun:test'
import type { SliceRoots } from '../../../../agent/contract/slices.ts'
import { count, mark, passRange, sweep } from '../../../../agent/slices/gc/mark.ts'
import type { PackUse } from '../../../../agent/slices/gc/plan.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

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
