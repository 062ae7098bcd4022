// Findings at their bounds: the age of a file, how many files are counted, which names the layout knows, and turns of other work.

import { expect, test } from 'bun:test'
import type { Disk, FileStat } from '../../../agent/contract/disk.ts'
import { findFiles } from '../../../agent/reconcile/find-files.ts'
import { RECONCILE_AGE_MS } from '../../../agent/reconcile/finding.ts'
import { until } from '../../support/until.ts'

const NOW = Date.parse('2026-11-21T00:00:00Z')
const DAY = 86_400_000
const MOUNT = '/mount'

/** A folder by its names; a number is a file of 5 bytes that changed then. */
interface Tree {
  readonly [name: string]: number | Tree
}

/** A disk with this tree at the mount path. */
function diskOf(tree: Tree): Disk {
  const at = (path: string): number | Tree | undefined => {
    let found: number | Tree | undefined = tree
    for (const name of path.slice(MOUNT.length).split('/').filter(Boolean)) found = typeof found === 'object' ? found[name] : undefined
    return found
  }
  return {
    list: async (path: string) => Object.keys(at(path) as Tree),
    async stat(path: string): Promise<FileStat | undefined> {
      const found = at(path)
      if (found === undefined) return undefined
      return typeof found === 'number' ? { kind: 'file', length: 5, modifiedMs: found } : { kind: 'folder', length: 4096, modifiedMs: NOW - DAY }
    },
  } as unknown as Disk
}

const IS_KNOWN = { isKnownTop: (name: string) => ['packs', 'usage', 'sync', 'images'].includes(name), hasImage: () => true, hasUpload: () => false }

async function find(tree: Tree): Promise<unknown[]> {
  const clock = { nowMs: () => NOW, monotonicMs: () => 0, sleep: async () => {} }
  const found = []
  for await (const { finding } of findFiles({ disk: diskOf(tree), clock, mount: MOUNT, ...IS_KNOWN })) found.push([finding.kind, finding.target, finding.bytes])
  return found
}

test('a file is a finding once it has not changed for a day, to the millisecond', async () => {
  expect(RECONCILE_AGE_MS).toBe(DAY)
  expect(await find({ old: NOW - DAY, young: NOW - DAY + 1 })).toEqual([['unknownFile', 'old', 5]])
})

test('the bytes of a folder are counted for 10,000 files, at any depth', async () => {
  const files = (count: number): Tree => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, NOW]))
  expect(await find({ stray: files(10_000) })).toEqual([['unknownFile', 'stray', 50_000]])
  expect(await find({ stray: files(10_001) })).toEqual([['unknownFile', 'stray', null]])
  // The folder itself counts as one.
  expect(await find({ stray: { below: files(9999) } })).toEqual([['unknownFile', 'stray', 49_995]])
  expect(await find({ stray: { below: files(10_000) } })).toEqual([['unknownFile', 'stray', null]])
})

test.each<[string, Tree, readonly string[]]>([
  ['what file systems keep in the root', { 'lost+found': {}, '.snapshot': {}, '.snapshots': {}, '.zfs': {}, '.nfs1': 0 }, []],
  ['the same names elsewhere', { packs: { 'lost+found': 0, '.nfs1': 0 } }, ['packs/.nfs1', 'packs/lost+found']],
  ['folders of packs', { packs: { '0f': {}, f: {}, '0F': {}, '0ff': {} } }, ['packs/0F', 'packs/0ff', 'packs/f']],
  [
    'packs',
    { packs: { ab: { [`${'0a'.repeat(16)}.pack`]: 0, [`${'0a'.repeat(16)}0.pack`]: 0, [`${'0a'.repeat(15)}0.pack`]: 0, [`${'0a'.repeat(16)}.packs`]: 0 } } },
    [`packs/ab/${'0a'.repeat(15)}0.pack`, `packs/ab/${'0a'.repeat(16)}.packs`, `packs/ab/${'0a'.repeat(16)}0.pack`],
  ],
  [
    'months of usage',
    { usage: { '2026-11.log': 0, '2026-1.log': 0, '026-11.log': 0, '2026-111.log': 0 } },
    ['usage/026-11.log', 'usage/2026-1.log', 'usage/2026-111.log'],
  ],
  ['leases', { sync: { [`img_${'0'.repeat(26)}`]: { any: 0 }, img_0: 0 } }, ['sync/img_0']],
  ['a file in the place of a folder', { packs: 0 }, []],
  ['names that every object has', { constructor: 0, toString: 0 }, ['constructor', 'toString']],
])('of %s, only unknown names are findings', async (_what, tree, expected) => {
  expect((await find(tree)).map((one) => (one as string[])[1] ?? '')).toEqual([...expected])
})

test('a folder with the name of a temporary file is unknown: it is moved and not deleted', async () => {
  expect(await find({ 'a.tmp': { b: 0 }, 'c.tmp': 0 })).toEqual([
    ['unknownFile', 'a.tmp', 5],
    ['temporaryFile', 'c.tmp', 5],
  ])
})

test('other work has its turn after 8 ms, in the search and while bytes are counted', async () => {
  const turns: (() => void)[] = []
  let nowMs = 0
  const clock = { nowMs: () => NOW, monotonicMs: () => (nowMs += 8), sleep: (): Promise<void> => new Promise((resolve) => void turns.push(resolve)) }
  const search = findFiles({ disk: diskOf({ stray: { a: 0, b: 0 } }), clock, mount: MOUNT, ...IS_KNOWN })
  let isFound = false
  const first = search.next().then(({ value }) => {
    isFound = true
    return value
  })
  // One for the folder, and one for each file in it.
  for (const turn of [1, 2, 3]) {
    await until('the search waits for its turn', () => turns.length === turn)
    await Bun.sleep(1)
    expect([turns.length, isFound]).toEqual([turn, false])
    turns.at(-1)?.()
  }
  expect((await first)?.finding.bytes).toBe(10)
})
