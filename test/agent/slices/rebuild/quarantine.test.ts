// The quarantine by itself: its files, what it counts, what it forgets, and entries that somebody changed.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { openQuarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const HEX = Bun.SHA256.hash('slice', 'hex')
const digest = Buffer.from(HEX, 'hex')
const PACK = 'ab'.repeat(16)
const FILE = `${HEX}-${PACK}-16.slice.json`
const NOW = '2026-03-01T12:00:00.000Z'
const clock = { ...systemClock, nowMs: () => Date.parse(NOW) }

interface Scene extends AsyncDisposable {
  readonly folder: string
  readonly index: IndexDatabase
  /** Number of the pack in the index. */
  readonly pack: number
  open(disk?: Disk): Promise<Quarantine>
}

async function openScene(): Promise<Scene> {
  const temporary = await createTemporaryFolder()
  const index = IndexDatabase.open(temporary.file('index.db'))
  const { id } = index.addPack(PACK)
  index.add(id, [{ digest, offset: 16, length: 100, storedLength: 50 }])
  const folder = temporary.file('quarantine')
  return {
    folder,
    index,
    pack: id,
    open: (disk = createDisk()) => openQuarantine({ disk, clock, log: createMemoryLog(), folder, index }),
    async [Symbol.asyncDispose]() {
      await index[Symbol.asyncDispose]()
      await temporary[Symbol.asyncDispose]()
    },
  }
}

const at = (pack: number): { pack: number; offset: number; length: number; storedLength: number } => ({ pack, offset: 16, length: 100, storedLength: 50 })
const ENTRY = { digest: `sha256:${HEX}`, pack: PACK, offset: 16, reason: 'its checksum does not match', foundAt: NOW, healedAt: null }

describe('a damaged record', () => {
  test('leaves the index and has a file that the next start reads', async () => {
    await using scene = await openScene()
    const quarantine = await scene.open()
    expect([quarantine.count, quarantine.has(digest, PACK, 16)]).toEqual([0, false])
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    expect(scene.index.find(digest)).toBeUndefined()
    expect(readdirSync(scene.folder)).toEqual([FILE])
    expect(readFileSync(`${scene.folder}/${FILE}`, 'utf8')).toBe(`${JSON.stringify(ENTRY)}\n`)
    for (const one of [quarantine, await scene.open()]) {
      expect([one.count, one.list(), one.all()]).toEqual([1, [ENTRY], [ENTRY]])
      expect(one.has(digest, PACK, 16)).toBe(true)
      expect(one.has(digest, PACK, 17)).toBe(false)
      expect(one.has(digest, 'cd'.repeat(16), 16)).toBe(false)
      expect(one.has(Buffer.alloc(32), PACK, 16)).toBe(false)
    }
  })

  test('keeps its first reason, and a row at another location stays', async () => {
    await using scene = await openScene()
    const quarantine = await scene.open()
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    scene.index.add(scene.pack, [{ digest, offset: 5000, length: 100, storedLength: 50 }])
    await quarantine.add(digest, at(scene.pack), 'it does not decompress')
    expect(quarantine.all()).toEqual([ENTRY])
    expect(scene.index.find(digest)).toMatchObject({ offset: 5000 })
    await quarantine.add(digest, { ...at(999), offset: 7 }, 'gone')
    expect(quarantine.all()[1]).toMatchObject({ pack: 'unknown', offset: 7 })
  })

  test('has its file in a folder that is there before', async () => {
    await using scene = await openScene()
    const steps: string[] = []
    const disk = createDisk()
    const slow: Disk = {
      ...disk,
      async makeFolder(path) {
        await new Promise((resolve) => void setImmediate(resolve))
        await disk.makeFolder(path)
        steps.push('folder')
      },
      async writeFileAtomic(path, bytes) {
        steps.push('file')
        await disk.writeFileAtomic(path, bytes)
      },
    }
    await (await scene.open(slow)).add(digest, at(scene.pack), ENTRY.reason)
    expect([steps, readdirSync(scene.folder)]).toEqual([['folder', 'file'], [FILE]])
  })

  test('counts although its file cannot be written', async () => {
    await using scene = await openScene()
    const disk = { ...createDisk(), writeFileAtomic: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) }
    const quarantine = await scene.open(disk)
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    expect(quarantine.list()).toEqual([ENTRY])
  })
})

describe('settling', () => {
  test('marks what was repaired, reopens what is missing again, and forgets what is in no pack', async () => {
    await using scene = await openScene()
    const quarantine = await scene.open()
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    await quarantine.settle((text) => text === `sha256:${HEX}`)
    expect(quarantine.list()).toEqual([ENTRY])
    await quarantine.settle(() => false)
    expect([quarantine.count, quarantine.list(), quarantine.all()]).toEqual([0, [], [{ ...ENTRY, healedAt: NOW }]])
    // The record is still damaged.
    expect(quarantine.has(digest, PACK, 16)).toBe(true)
    expect((await scene.open()).all()).toEqual([{ ...ENTRY, healedAt: NOW }])
    await quarantine.settle(() => true)
    expect(quarantine.list()).toEqual([ENTRY])
    scene.index.removePack(scene.pack)
    await quarantine.settle(() => true)
    expect(quarantine.count).toBe(1)
    await quarantine.settle(() => false)
    expect([quarantine.all(), quarantine.has(digest, PACK, 16), readdirSync(scene.folder)]).toEqual([[], false, []])
  })

  test('counts as repaired when its slice is in the index, although it was missing when the caller looked', async () => {
    await using scene = await openScene()
    const quarantine = await scene.open()
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    scene.index.add(scene.pack, [{ digest, offset: 5000, length: 100, storedLength: 50 }])
    await quarantine.settle(() => true)
    expect([quarantine.count, quarantine.all()]).toEqual([0, [{ ...ENTRY, healedAt: NOW }]])
  })

  test('writes only what changes', async () => {
    await using scene = await openScene()
    let writes = 0
    const disk = createDisk()
    const counting: Disk = { ...disk, writeFileAtomic: (path, bytes) => (writes++, disk.writeFileAtomic(path, bytes)) }
    const quarantine = await scene.open(counting)
    await quarantine.add(digest, at(scene.pack), ENTRY.reason)
    await quarantine.settle(() => true)
    expect(writes).toBe(1)
    await quarantine.settle(() => false)
    await quarantine.settle(() => false)
    expect(writes).toBe(2)
  })
})

describe('an entry that is not one is ignored', () => {
  test.each<[string, unknown]>([
    ['null', null],
    ['a text', 'x'],
    ['no digest', { ...ENTRY, digest: undefined }],
    ['a short digest', { ...ENTRY, digest: 'sha256:00' }],
    ['a digest and more', { ...ENTRY, digest: `${ENTRY.digest}/..` }],
    ['no pack', { ...ENTRY, pack: 5 }],
    ['an offset that is text', { ...ENTRY, offset: '16' }],
  ])('%s', async (_what, value) => {
    await using scene = await openScene()
    await createDisk().makeFolder(scene.folder)
    await Bun.write(`${scene.folder}/${FILE}`, JSON.stringify(value))
    expect((await scene.open()).all()).toEqual([])
  })

  test('a file of more than 64 KiB, one that is no JSON, and one with another name', async () => {
    await using scene = await openScene()
    await createDisk().makeFolder(scene.folder)
    await Bun.write(`${scene.folder}/${FILE}`, JSON.stringify({ ...ENTRY, reason: 'x'.repeat(64 * 1024) }))
    await Bun.write(`${scene.folder}/a${FILE}`, '{')
    await Bun.write(`${scene.folder}/${FILE}.tmp`, JSON.stringify(ENTRY))
    expect((await scene.open()).all()).toEqual([])
    await Bun.write(`${scene.folder}/${FILE}`, JSON.stringify(ENTRY).padEnd(64 * 1024 + 1))
    expect((await scene.open()).all()).toEqual([])
    await Bun.write(`${scene.folder}/${FILE}`, JSON.stringify({ ...ENTRY, healedAt: 5 }).padEnd(64 * 1024))
    expect((await scene.open()).all()).toEqual([ENTRY])
  })
})
