// Roots that are compared with the index: what is missing is searched in the packs first, and a damaged manifest names nothing as missing.

import { expect, test } from 'bun:test'
import type { SliceRoot, SliceRoots } from '../../../../agent/contract/slices.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { checkRoots } from '../../../../agent/slices/scrub/check-roots.ts'
import type { CheckRootsDeps } from '../../../../agent/slices/scrub/check-roots.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return digest
}
const textOf = (n: number): string => `sha256:${n.toString(16).padStart(8, '0')}${'0'.repeat(56)}`

const root = (name: string, slices: readonly (number | null)[], fault?: ReturnType<NonNullable<SliceRoot['fault']>>): SliceRoot => ({
  name,
  entries: () => slices.map((n) => ({ length: 4096, digest: n === null ? null : digestOf(n) })),
  ...(fault && { fault: () => fault }),
})

/** An index with these slices; `found` is what a search of the packs adds. */
async function openScene(
  stored: readonly number[],
  roots: readonly SliceRoot[],
  more: { readonly found?: readonly number[]; readonly quarantined?: readonly number[] } = {},
) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const { id } = index.addPack('a'.repeat(32))
  const add = (slices: readonly number[]): void =>
    index.add(
      id,
      slices.map((n) => ({ digest: digestOf(n), offset: 16 + n * 200, length: 100, storedLength: 100 })),
    )
  add(stored)
  const searched: number[][] = []
  const happened: string[] = []
  const list: SliceRoots['list'] = () => roots
  const quarantine: Pick<Quarantine, 'all'> = {
    all: () =>
      (more.quarantined ?? []).map((n) => ({
        digest: textOf(n),
        pack: 'a'.repeat(32),
        offset: 16,
        length: 100,
        storedLength: 100,
        reason: '',
        atMs: 0,
      })) as never,
  }
  const deps: CheckRootsDeps = {
    index,
    quarantine: quarantine as Quarantine,
    roots: [{ list }],
    search: {
      async find(digests) {
        happened.push('search')
        searched.push(digests.map((digest) => Buffer.from(digest).readUInt32BE()))
        await Promise.resolve()
        add(more.found ?? [])
      },
      judge: () => Promise.reject(new Error('not asked')),
    },
    pause: async () => void happened.push('pause'),
  }
  const own = stack.move()
  const check = (signal?: AbortSignal) => checkRoots(deps, signal, async () => void happened.push('searched'))
  return { check, searched, happened, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

test('nothing is missing of roots whose slices the index has, and nothing is searched', async () => {
  await using scene = await openScene([1, 2], [root('image a', [1, null, 2]), root('image b', [])])
  expect(await scene.check()).toEqual({ missing: [], damagedRoots: [], rootFaults: [], quarantined: new Set() })
  expect([scene.searched, scene.happened]).toEqual([[], []])
})

test('each missing slice is named with its root, and those in quarantine are known', async () => {
  await using scene = await openScene([1], [root('image a', [1, 2, 3]), root('image b', [1]), root('image c', [3])], { quarantined: [3, 4] })
  expect(await scene.check()).toEqual({
    missing: [
      { digest: textOf(2), root: 'image a' },
      { digest: textOf(3), root: 'image a' },
      { digest: textOf(3), root: 'image c' },
    ],
    damagedRoots: ['image a', 'image c'],
    rootFaults: [],
    quarantined: new Set([textOf(3)]),
  })
  expect([scene.searched, scene.happened]).toEqual([[[2, 3, 3]], ['search', 'searched']])
})

test('what the packs have is not missing', async () => {
  await using scene = await openScene([1], [root('image a', [1, 2]), root('image b', [3])], { found: [2] })
  expect(await scene.check()).toMatchObject({ missing: [{ digest: textOf(3), root: 'image b' }], damagedRoots: ['image b'] })
  expect(scene.happened).toEqual(['search', 'searched'])
})

test('a root with a fault is damaged, and its entries count for nothing', async () => {
  const fault = { reason: 'the manifest of image a is damaged', action: 'Sync it again.' }
  await using scene = await openScene([1], [root('image b', [5]), root('image a', [1, 2], fault)])
  expect(await scene.check()).toEqual({
    missing: [{ digest: textOf(5), root: 'image b' }],
    damagedRoots: ['image b', 'image a'],
    rootFaults: ['The manifest of image a is damaged. Sync it again.'],
    quarantined: new Set(),
  })
})

test('a thousand missing slices are named; all damaged roots are', async () => {
  const slices = Array.from({ length: 1001 }, (_, i) => i + 10)
  await using scene = await openScene([], [root('image a', slices), root('image b', [5000])])
  const { missing, damagedRoots } = await scene.check()
  expect([missing.length, damagedRoots]).toEqual([1000, ['image a', 'image b']])
})

test('2,048 entries are compared between two pauses, and an abort ends the comparison there', async () => {
  for (const [entries, pauses] of [
    [2047, 0],
    [2048, 1],
    [4096, 2],
  ] as const) {
    await using scene = await openScene(
      [1],
      [
        root(
          'image a',
          Array.from({ length: entries }, () => 1),
        ),
      ],
    )
    await scene.check()
    expect(scene.happened).toHaveLength(pauses)
    const aborted = scene.check(AbortSignal.abort(new Error('stopped')))
    if (pauses === 0) await aborted
    else await expect(aborted).rejects.toThrow('stopped')
  }
})
