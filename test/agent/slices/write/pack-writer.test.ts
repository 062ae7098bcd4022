// PackWriter by itself: where records go, when a pack is sealed, what a failing disk leaves, and how an unsealed pack is continued.

import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { PACK_HEADER_BYTES, packPath, recordLength } from '../../../../agent/slices/packs/pack-format.ts'
import { readPack } from '../../../../agent/slices/packs/pack-scan.ts'
import type { PackContents } from '../../../../agent/slices/packs/pack-scan.ts'
import { PACK_SEAL_RECORDS } from '../../../../agent/slices/packs/parameters.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createRandom } from '../../../support/properties.ts'

interface Scene extends AsyncDisposable {
  readonly disk: FaultyDisk
  readonly index: IndexDatabase
  /** Folder of the packs. */
  readonly packs: string
  /** Opens a writer on the same packs and the same index. */
  openWriter(sealBytes?: number, disk?: Disk): PackWriter
  /** Reads a pack from disk, by its number. */
  contents(pack: number): Promise<PackContents>
}

async function openScene(): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const packs = folder.file('mount', 'packs')
  await createDisk().makeFolder(packs)
  const disk = await createFaultyDisk(folder.file('mount'))
  const index = IndexDatabase.open(folder.file('index.db'))
  let names = 0
  return {
    disk,
    index,
    packs,
    openWriter: (sealBytes = 1024 * 1024, other: Disk = disk) =>
      new PackWriter({
        disk: other,
        folder: packs,
        index,
        crashPoint: () => {},
        log: createMemoryLog(),
        newName: () => (++names).toString(16).padStart(32, '0'),
        sealBytes,
      }),
    async contents(pack) {
      await using file = await createDisk().openRead(join(packs, packPath(index.pack(pack)?.name ?? '')))
      return await readPack(file)
    },
    async [Symbol.asyncDispose]() {
      disk.clearFault()
      await index[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** One record with its row, as a receiver appends it. */
function record(seed: number, length = 1000): { readonly parts: readonly Uint8Array[]; readonly row: PackRow } {
  const stored = createRandom(seed).bytes(length)
  const digest = new Uint8Array(Bun.SHA256.hash(stored) as Uint8Array)
  const header = Buffer.alloc(RECORD_HEADER_BYTES)
  writeRecordHeader(header, 0, { digest, codec: 0, length, storedLength: length, checksum: checksumOf(stored) })
  return { parts: [header, stored], row: { digest, offset: 0, length, storedLength: length } }
}

const hex = (rows: readonly PackRow[]): string[] => rows.map(({ digest }) => Buffer.from(digest).toString('hex'))

describe('append', () => {
  test('writes records one after the other into one pack, and indexes them at once', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const records = [record(1), record(2, 300), record(3)]
    const placed = await Promise.all(records.map(({ parts, row }) => writer.append(parts, [row])))
    expect(new Set(placed.map(({ pack }) => pack))).toEqual(new Set([writer.openPackId ?? 0]))
    let offset = PACK_HEADER_BYTES
    for (const [i, { row }] of records.entries()) {
      expect(placed[i]?.rows).toEqual([{ ...row, offset }])
      expect(placed[i]?.frameBytes).toBe(i === 0 ? PACK_HEADER_BYTES : 0)
      expect(scene.index.find(row.digest)).toMatchObject({ pack: placed[0]?.pack ?? 0, offset, length: row.length })
      offset += recordLength(row)
    }
    expect(writer.openPackBytes).toBe(offset)
    await writer.sync()
    const { rows, sealed, bad, tornBytes } = await scene.contents(placed[0]?.pack ?? 0)
    expect({ rows: hex(rows), sealed, bad, tornBytes }).toEqual({ rows: hex(records.map(({ row }) => row)), sealed: false, bad: [], tornBytes: 0 })
  })

  test('keeps the first record of a slice in the index, and leaves indexing to the caller when asked', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const { parts, row } = record(1)
    const first = await writer.append(parts, [row])
    await writer.append(parts, [row])
    expect(scene.index.find(row.digest)?.offset).toBe(first.rows[0]?.offset ?? 0)
    const moved = record(2)
    await writer.append(moved.parts, [moved.row], { index: false })
    expect(scene.index.find(moved.row.digest)).toBeUndefined()
  })
})

describe('sealing', () => {
  test('happens at the length of a full pack; the next append starts another pack', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter(PACK_HEADER_BYTES + 2 * (RECORD_HEADER_BYTES + 1000))
    const [first, second, third] = [record(1), record(2), record(3)]
    const { pack } = await writer.append(first.parts, [first.row])
    const full = await writer.append(second.parts, [second.row])
    expect(full.pack).toBe(pack)
    expect(full.frameBytes).toBeGreaterThan(0)
    expect(writer.openPackId).toBeUndefined()
    expect(scene.index.pack(pack)).toMatchObject({ sealed: true })
    const { sealed, rows } = await scene.contents(pack)
    expect({ sealed, rows: hex(rows) }).toEqual({ sealed: true, rows: hex([first.row, second.row]) })
    expect((await writer.append(third.parts, [third.row])).pack).not.toBe(pack)
  })

  test('happens at the record count of a full pack, whatever its length', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter(1024 * 1024 * 1024)
    const { parts, row } = record(1, 1)
    const bytes = Buffer.concat(parts)
    const rows = Array.from({ length: PACK_SEAL_RECORDS }, (_, i) => ({ ...row, offset: i * recordLength(row) }))
    const all = Buffer.concat(Array.from({ length: PACK_SEAL_RECORDS - 1 }, () => bytes))
    const { pack } = await writer.append([all], rows.slice(0, -1))
    expect(writer.openPackId).toBe(pack)
    await writer.append(parts, [row])
    expect(writer.openPackId).toBeUndefined()
    expect(scene.index.pack(pack)?.sealed).toBe(true)
  })
})

describe('sync', () => {
  test('of what was appended during another sync waits for an fsync of its own', async () => {
    await using scene = await openScene()
    const waiting: (() => void)[] = []
    // Every fsync of a pack waits until it is let through.
    const disk: Disk = {
      ...scene.disk,
      async openWrite(path, mode) {
        const file = await scene.disk.openWrite(path, mode)
        const sync = async (): Promise<void> => {
          await new Promise<void>((resolve) => waiting.push(resolve))
          await file.sync()
        }
        return { ...file, sync, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() }
      },
    }
    await using writer = scene.openWriter(undefined, disk)
    const [first, second] = [record(1), record(2)]
    const appending = writer.append(first.parts, [first.row])
    await until('the header of the pack is synced', () => waiting.length === 1)
    waiting.shift()?.()
    const { pack } = await appending
    const syncing = writer.sync()
    await until('the first sync', () => waiting.length === 1)
    await writer.append(second.parts, [second.row])
    const ended: string[] = []
    const both = [
      syncing.then(() => void ended.push('first')),
      writer.sync().then(() => void ended.push('second')),
      writer.sync().then(() => void ended.push('third')),
    ]
    await Bun.sleep(5)
    expect(ended).toEqual([])
    waiting.shift()?.()
    await until('the second sync', () => waiting.length === 1)
    await Bun.sleep(5)
    expect(ended).toEqual(['first'])
    waiting.shift()?.()
    await Promise.all(both)
    // The two that waited shared one fsync.
    expect(waiting).toHaveLength(0)
    await scene.disk.losePower({ ...createRandom(1), chance: () => false })
    scene.disk.revive()
    expect(hex((await scene.contents(pack)).rows)).toEqual(hex([first.row, second.row]))
  })
})

type Held = 'sync' | 'close' | 'remove' | 'truncate'

interface Gate {
  readonly disk: Disk
  /** Lets the operations that wait continue. */
  readonly waiting: (() => void)[]
  hold: boolean
}

/** A disk whose operations of one kind wait while `hold` is set. */
function withHeld(disk: Disk, held: Held): Gate {
  const waiting: (() => void)[] = []
  const pass = async (operation: Held): Promise<void> => {
    if (gate.hold && operation === held) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const openWrite: Disk['openWrite'] = async (path, mode) => {
    const file = await disk.openWrite(path, mode)
    return {
      ...file,
      sync: () => pass('sync').then(() => file.sync()),
      close: () => pass('close').then(() => file.close()),
      truncate: (length) => pass('truncate').then(() => file.truncate(length)),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    }
  }
  const gate: Gate = { waiting, hold: false, disk: { ...disk, openWrite, remove: (path) => pass('remove').then(() => disk.remove(path)) } }
  return gate
}

/** Starts something, checks that it does not end before the held operation does, lets that through, and returns the result. */
async function expectWaits<Result>(gate: Gate, run: () => Promise<Result>): Promise<Result> {
  gate.hold = true
  let isOver = false
  const running = run().finally(() => (isOver = true))
  await until('the held operation', () => gate.waiting.length > 0)
  await Bun.sleep(5)
  expect(isOver).toBe(false)
  gate.hold = false
  for (const release of gate.waiting.splice(0)) release()
  return await running
}

describe('what is answered waits for the disk', () => {
  test('retiring a pack for its fsync', async () => {
    await using scene = await openScene()
    const gate = withHeld(scene.disk, 'sync')
    await using writer = scene.openWriter(undefined, gate.disk)
    const { parts, row } = record(1)
    const { pack } = await writer.append(parts, [row])
    await expectWaits(gate, () => writer.retire())
    await scene.disk.losePower({ ...createRandom(1), chance: () => false })
    scene.disk.revive()
    expect(hex((await scene.contents(pack)).rows)).toEqual(hex([row]))
  })

  test('retiring a pack for its file to close', async () => {
    await using scene = await openScene()
    const gate = withHeld(scene.disk, 'close')
    await using writer = scene.openWriter(undefined, gate.disk)
    const { parts, row } = record(1)
    await writer.append(parts, [row])
    await expectWaits(gate, () => writer.retire())
  })

  test('making a pack for the fsync of its header', async () => {
    await using scene = await openScene()
    const gate = withHeld(scene.disk, 'sync')
    await using writer = scene.openWriter(undefined, gate.disk)
    const { parts, row } = record(1)
    await expectWaits(gate, () => writer.append(parts, [row]))
  })

  test.each(['remove', 'close'] as const)('a pack that could not be made for its file to go (%s)', async (held) => {
    await using scene = await openScene()
    const gate = withHeld(scene.disk, held)
    await using writer = scene.openWriter(undefined, gate.disk)
    const { parts, row } = record(1)
    scene.disk.plan({ at: 5, fault: 'EIO' })
    expect(await expectWaits(gate, () => writer.append(parts, [row]).catch((error: unknown) => error))).toBeInstanceOf(StoreWriteFailed)
    expect([...new Bun.Glob('**/*.pack').scanSync(scene.packs)]).toEqual([])
  })

  test.each(['truncate', 'close', 'remove'] as const)('a pack that failed for what undoes it (%s)', async (held) => {
    await using scene = await openScene()
    const gate = withHeld(scene.disk, held)
    await using writer = scene.openWriter(undefined, gate.disk)
    const { parts, row } = record(1)
    await writer.append(parts, [row])
    scene.disk.plan({ at: 1, fault: 'EIO' })
    expect(await expectWaits(gate, () => writer.append(parts, [row]).catch((error: unknown) => error))).toBeInstanceOf(StoreWriteFailed)
    expect([...new Bun.Glob('**/*.pack').scanSync(scene.packs)]).toEqual([])
  })
})

describe('a failing disk', () => {
  test('fails the append and the generation, forgets what was not synced, and keeps what was', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const [kept, lost, refused] = [record(1), record(2), record(3)]
    const { generation } = writer
    const { pack } = await writer.append(kept.parts, [kept.row])
    await writer.sync()
    await writer.append(lost.parts, [lost.row])
    scene.disk.plan({ at: 1, fault: 'ENOSPC', lasting: true })
    const failure = await writer.append(refused.parts, [refused.row]).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StoreWriteFailed)
    expect(failure).toMatchObject({ cause: { code: 'ENOSPC' } })
    expect(() => writer.check(generation)).toThrow(StoreWriteFailed)
    expect([kept, lost, refused].map(({ row }) => scene.index.find(row.digest) !== undefined)).toEqual([true, false, false])
    scene.disk.clearFault()
    expect((await writer.append(refused.parts, [refused.row])).pack).not.toBe(pack)
    await writer.sync()
    writer.check(writer.generation)
  })

  test('fails the sync of everything that was not durable', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const { parts, row } = record(1)
    await writer.append(parts, [row])
    scene.disk.plan({ at: 1, fault: 'EIO', lasting: true })
    await expect(writer.sync()).rejects.toBeInstanceOf(StoreWriteFailed)
    expect(scene.index.find(row.digest)).toBeUndefined()
    expect([...scene.index.packs()]).toEqual([])
  })

  // The operations that make a pack: the folder, the file, its header, its fsync, the fsync of the folder.
  test.each([3, 4, 5])('leaves no file of a pack that could not be made (operation %i)', async (at) => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const { parts, row } = record(1)
    scene.disk.plan({ at, fault: 'EIO' })
    await expect(writer.append(parts, [row])).rejects.toBeInstanceOf(StoreWriteFailed)
    expect(scene.disk.hasFailed).toBe(true)
    const packs = [...new Bun.Glob('**/*.pack').scanSync(scene.packs)]
    expect(packs).toEqual([])
    expect([...scene.index.packs()]).toEqual([])
  })

  test('leaves an abandoned pack that is sealed at its durable length once the disk works', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const [kept, lost] = [record(1), record(2)]
    const { pack } = await writer.append(kept.parts, [kept.row])
    await writer.sync()
    scene.disk.plan({ at: 1, fault: 'EIO', lasting: true })
    await writer.append(lost.parts, [lost.row]).catch(() => {})
    expect(await writer.sealAbandoned()).toBe(0)
    expect(scene.index.pack(pack)?.sealed).toBe(false)
    scene.disk.clearFault()
    const footerBytes = await writer.sealAbandoned()
    expect(scene.index.pack(pack)).toMatchObject({ sealed: true, length: PACK_HEADER_BYTES + recordLength(kept.row) + footerBytes })
    const { sealed, rows } = await scene.contents(pack)
    expect({ sealed, rows: hex(rows) }).toEqual({ sealed: true, rows: hex([kept.row]) })
    expect(await writer.sealAbandoned()).toBe(0)
  })
})

describe('an unsealed pack', () => {
  test('is continued where it ended', async () => {
    await using scene = await openScene()
    const [before, after] = [record(1), record(2)]
    let pack = 0
    {
      await using writer = scene.openWriter()
      ;({ pack } = await writer.append(before.parts, [before.row]))
    }
    const { rows, end } = await scene.contents(pack)
    await using writer = scene.openWriter()
    await writer.resume({ id: pack, name: scene.index.pack(pack)?.name ?? '', length: end, rows })
    expect(writer.openPackId).toBe(pack)
    expect(await writer.append(after.parts, [after.row])).toMatchObject({ pack, rows: [{ offset: end }], frameBytes: 0 })
    await writer.sync()
    expect(hex((await scene.contents(pack)).rows)).toEqual(hex([before.row, after.row]))
  })

  test('is abandoned when it cannot be opened, and sealed later', async () => {
    await using scene = await openScene()
    const { parts, row } = record(1)
    let pack = 0
    {
      await using writer = scene.openWriter()
      ;({ pack } = await writer.append(parts, [row]))
    }
    const { rows, end } = await scene.contents(pack)
    await using writer = scene.openWriter()
    scene.disk.plan({ at: 1, fault: 'EIO', lasting: true })
    await writer.resume({ id: pack, name: scene.index.pack(pack)?.name ?? '', length: end, rows })
    expect(writer.openPackId).toBeUndefined()
    scene.disk.clearFault()
    await writer.sealAbandoned()
    expect((await scene.contents(pack)).sealed).toBe(true)
  })

  test('is retired without being sealed: gc may remove it', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    const { parts, row } = record(1)
    const { pack } = await writer.append(parts, [row])
    await writer.retire()
    expect(writer.openPackId).toBeUndefined()
    expect((await scene.contents(pack)).sealed).toBe(false)
    scene.index.removePack(pack)
    expect(await writer.sealAbandoned()).toBe(0)
  })
})
