// gc and scrub in steps: they pause, report progress, stop at a signal, and stop before they remove anything when a root is damaged.

import { describe, expect, test } from 'bun:test'
import { ProblemError } from '../../../../protocol/problems.ts'
import type { SliceRoot, SliceRoots } from '../../../../agent/contract/slices.ts'
import { mark, sweep } from '../../../../agent/slices/gc/mark.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { checkRoots } from '../../../../agent/slices/scrub/check-roots.ts'
import type { CheckRootsDeps } from '../../../../agent/slices/scrub/check-roots.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const ALL = { from: 0, to: 65_536 }
const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)

/** A root that names slices with these numbers; -1 is a run of zeros. */
function rootOf(name: string, numbers: readonly number[], fault?: { reason: string; action: string }): SliceRoot {
  const entries = numbers.map((n) => ({ length: 1, digest: n < 0 ? null : digest(n) }))
  return { name, entries: () => entries, ...(fault ? { fault: () => fault } : {}) }
}

const rootsOf = (...roots: SliceRoot[]): SliceRoots => ({ list: () => roots })
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n)

/** Counts pauses, and aborts at one of them. */
function pausing(abortAt = Number.POSITIVE_INFINITY): { pause: () => Promise<void>; count: () => number; signal: AbortSignal } {
  const controller = new AbortController()
  let count = 0
  return {
    pause: async () => {
      if (++count === abortAt) controller.abort(new Error('enough'))
    },
    count: () => count,
    signal: controller.signal,
  }
}

describe('marking', () => {
  test.each([
    [2047, 0],
    [2048, 1],
    [4096, 2],
  ])('of %i entries pauses %i times, also among roots', async (entries, pauses) => {
    const { pause, count } = pausing()
    const half = Math.floor(entries / 2)
    const roots = [rootsOf(rootOf('a', numbers(half))), rootsOf(rootOf('b', numbers(entries - half, half)))]
    expect((await mark({ roots, pause }, ALL, entries, { dryRun: false })).size).toBe(entries)
    expect(count()).toBe(pauses)
  })

  test('stops at a signal, at the next pause', async () => {
    const { pause, count, signal } = pausing(1)
    await expect(mark({ roots: [rootsOf(rootOf('a', numbers(10_000)))], pause }, ALL, 10, { dryRun: false, signal })).rejects.toThrow('enough')
    expect(count()).toBe(1)
  })

  test('ignores zeros, and roots that a dry run leaves out', async () => {
    const { pause } = pausing()
    const roots = [rootsOf(rootOf('a', [1, -1, 2]), rootOf('b', [3]))]
    const marked = await mark({ roots, pause }, ALL, 3, { dryRun: true, without: new Set(['a']) })
    expect([1, 2, 3].map((n) => marked.has(digest(n)))).toEqual([false, false, true])
  })

  test('refuses to go on when a root cannot give all its entries', async () => {
    const { pause } = pausing()
    const fault = { reason: 'the manifest of x is damaged', action: 'Delete it.' }
    const roots = [rootsOf(rootOf('a', [1])), rootsOf(rootOf('b', [2], fault))]
    const error: unknown = await mark({ roots, pause }, ALL, 1, { dryRun: false }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ProblemError)
    if (!(error instanceof ProblemError)) return
    expect([error.problem.type, error.problem.detail, error.problem.action]).toEqual([
      'urn:slipway:problem:data-corrupt',
      'Nothing was removed, because the manifest of x is damaged.',
      'Delete it.',
    ])
  })
})

describe('sweeping', () => {
  async function indexOf(folder: { file(name: string): string }, count: number): Promise<IndexDatabase> {
    const index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('a'.repeat(32))
    index.add(
      id,
      numbers(count).map((n) => ({ digest: digest(n), offset: 16 + n * 164, length: 100, storedLength: 100 })),
    )
    index.sealPack(id, 1_000_000)
    await index.flush()
    return index
  }

  test('removes what nothing names from the index, but not in a dry run', async () => {
    await using folder = await createTemporaryFolder()
    await using index = await indexOf(folder, 10)
    const { pause } = pausing()
    const isNamed = (one: Uint8Array): boolean => Buffer.compare(one, digest(3)) === 0
    for (const dryRun of [true, false]) {
      let [live, dead] = [0, 0]
      for await (const swept of sweep({ index, pause }, ALL, isNamed, { dryRun })) [live, dead] = [live + swept.live.length, dead + swept.dead.length]
      expect([live, dead, index.sliceCount]).toEqual([1, 9, dryRun ? 10 : 1])
    }
    expect(index.find(digest(3))).toMatchObject({ offset: 16 + 3 * 164 })
  })

  test('counts a row once that is written to disk meanwhile', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('a'.repeat(32))
    index.add(
      id,
      numbers(10).map((n) => ({ digest: digest(n), offset: 16 + n * 164, length: 100, storedLength: 100 })),
    )
    index.sealPack(id, 1_000_000)
    let rows = 0
    const seen: number[] = []
    for await (const { live, dead } of sweep({ index, pause: () => index.flush() }, ALL, () => true, { dryRun: false })) {
      rows += live.length + dead.length
      seen.push(index.waiting().length)
    }
    expect([rows, seen[0], seen.at(-1)]).toEqual([10, 10, 0])
  })

  test('writes the removals that wait when a flush is due, and not before', async () => {
    await using folder = await createTemporaryFolder()
    await using index = await indexOf(folder, 10)
    let isDue = false
    let flushes = 0
    const watched = new Proxy(index, {
      get(target, key) {
        if (key === 'isFlushDue') return isDue
        if (key === 'flush')
          return async () => {
            flushes++
            await target.flush()
          }
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const { pause } = pausing()
    const run = async (): Promise<number> => {
      for await (const _ of sweep({ index: watched, pause }, ALL, () => false, { dryRun: false }));
      return index.waiting().length
    }
    await run()
    expect(flushes).toBe(0)
    isDue = true
    await run()
    expect([flushes, index.sliceCount]).toEqual([1, 0])
  })

  test('pauses for each 4096 rows and stops at a signal', async () => {
    await using folder = await createTemporaryFolder()
    await using index = await indexOf(folder, 9000)
    const { pause, count, signal } = pausing(2)
    let rows = 0
    const all = async (): Promise<void> => {
      for await (const { live } of sweep({ index, pause }, ALL, () => true, { dryRun: true, signal })) rows += live.length
    }
    await expect(all()).rejects.toThrow('enough')
    expect([rows, count()]).toEqual([8192, 2])
  })
})

describe('comparing roots with the index', () => {
  async function depsOf(
    index: IndexDatabase,
    roots: readonly SliceRoots[],
    pause: () => Promise<void>,
    found: Uint8Array[] = [],
  ): Promise<CheckRootsDeps & { searched: string[] }> {
    const searched: string[] = []
    const quarantined = { digest: `sha256:${Buffer.from(digest(7)).toString('hex')}`, pack: 'x', offset: 1, reason: '', foundAt: '', healedAt: null }
    return {
      index,
      roots,
      pause,
      searched,
      quarantine: { count: 1, has: () => false, list: () => [], all: () => [quarantined], add: async () => {}, settle: async () => {} },
      search: {
        async find(digests) {
          for (const one of digests) searched.push(Buffer.from(one).toString('hex'))
          const { id } = index.addPack('b'.repeat(32))
          index.add(
            id,
            found.map((one) => ({ digest: one, offset: 16, length: 1, storedLength: 1 })),
          )
        },
        judge: async () => 'lost',
      },
    }
  }
  const name = (n: number): string => `sha256:${Buffer.from(digest(n)).toString('hex')}`

  test('finds what is missing, which roots that damages, and which slice of them is in quarantine', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('a'.repeat(32))
    index.add(id, [{ digest: digest(1), offset: 16, length: 1, storedLength: 1 }])
    const fault = { reason: 'the manifest of d is damaged', action: 'Delete it.' }
    const roots = [rootsOf(rootOf('a', [1, -1]), rootOf('b', [1, 7, 8]), rootOf('d', [1, 99], fault)), rootsOf(rootOf('c', [8]))]
    const deps = await depsOf(index, roots, async () => {})
    const steps: string[] = []
    const found = await checkRoots(deps, undefined, async () => void steps.push(`searched ${deps.searched.length}`))
    expect(found).toEqual({
      missing: [
        { digest: name(7), root: 'b' },
        { digest: name(8), root: 'b' },
        { digest: name(8), root: 'c' },
      ],
      damagedRoots: ['b', 'd', 'c'],
      rootFaults: ['The manifest of d is damaged. Delete it.'],
      quarantined: new Set([name(7)]),
    })
    expect(steps).toEqual(['searched 3'])
  })

  test('compares again when a search has found some of it', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const deps = await depsOf(index, [rootsOf(rootOf('a', [1, 2]))], async () => {}, [digest(2)])
    expect(await checkRoots(deps, undefined, async () => {})).toMatchObject({ missing: [{ digest: name(1), root: 'a' }], damagedRoots: ['a'] })
  })

  test('searches nothing when nothing is missing, lists 1000 at most, pauses, and stops at a signal', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    let searches = 0
    const none = await depsOf(index, [rootsOf(rootOf('a', [-1]))], async () => {})
    expect(await checkRoots(none, undefined, async () => void searches++)).toMatchObject({ missing: [], damagedRoots: [] })
    expect(searches).toBe(0)
    const { pause, count } = pausing()
    const many = await depsOf(index, [rootsOf(rootOf('a', numbers(2048)))], pause)
    expect((await checkRoots(many, undefined, async () => {})).missing).toHaveLength(1000)
    expect(count()).toBe(1)
    const stopping = pausing(1)
    const more = await depsOf(index, [rootsOf(rootOf('a', numbers(10_000)))], stopping.pause)
    await expect(checkRoots(more, stopping.signal, async () => {})).rejects.toThrow('enough')
    expect(stopping.count()).toBe(1)
  })
})

test('the index asks for a flush from 65,536 waiting rows on, and remembers 65,536 absent slices', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id } = index.addPack('a'.repeat(32))
  const key = Buffer.alloc(32)
  const numbered = (n: number): Buffer => {
    key.writeUInt32BE(n)
    return Buffer.from(key)
  }
  index.add(
    id,
    numbers(65_535).map((n) => ({ digest: numbered(n), offset: 16, length: 1, storedLength: 1 })),
  )
  expect([index.isFlushDue, index.isOverfull]).toEqual([false, false])
  index.add(id, [{ digest: numbered(65_535), offset: 16, length: 1, storedLength: 1 }])
  expect([index.isFlushDue, index.isOverfull]).toEqual([true, false])
  for (let n = 0; n < 65_536; n++) index.noteAbsent(numbered(100_000 + n))
  expect([index.isKnownAbsent(numbered(100_000)), index.isKnownAbsent(numbered(165_535))]).toEqual([true, true])
  index.noteAbsent(numbered(200_000))
  expect([index.isKnownAbsent(numbered(100_000)), index.isKnownAbsent(numbered(200_000))]).toEqual([false, true])
  index.add(id, [{ digest: numbered(200_000), offset: 16, length: 1, storedLength: 1 }])
  expect(index.isKnownAbsent(numbered(200_000))).toBe(false)
})
