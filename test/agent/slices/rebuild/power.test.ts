// Packs on a disk that loses unsynced writes: what a footer proves, and what a start counts as stored, survive a loss of power.

import { describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackHeader, PACK_HEADER_BYTES, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { readSealed } from '../../../../agent/slices/packs/pack-scan.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { openQuarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { recoverIndex } from '../../../../agent/slices/rebuild/recover.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, filesBelow, openStore, readOutcome, SMALL_CUTTER, writeAll } from '../../../support/images/slice-model.ts'

const NOTHING = 0

test('a valid trailer proves that every record in its table is intact, wherever the power is cut', async () => {
  const random = createRandom(1)
  let sealedPacks = 0
  for (let run = 0; run < 150; run++) {
    await using folder = await createTemporaryFolder()
    const disk = await createFaultyDisk(folder.path)
    const path = folder.file('a.pack')
    const stored = random.bytes(3000)
    const digest = Buffer.from(Bun.SHA256.hash(stored) as Uint8Array)
    const header = Buffer.alloc(RECORD_HEADER_BYTES)
    writeRecordHeader(header, 0, { digest, codec: 0, length: stored.length, storedLength: stored.length, checksum: checksumOf(stored) })
    const row: PackRow = { digest, offset: PACK_HEADER_BYTES, length: stored.length, storedLength: stored.length }
    const file = await disk.openWrite(path, 'create')
    await file.write([encodePackHeader()], 0)
    await file.sync()
    await disk.syncFolder(folder.path)
    await file.write([header, stored], row.offset)
    // The power is cut at one of the operations of the footer, or after the last one.
    disk.plan({ at: 1 + random.below(4), fault: 'power' })
    const end = PACK_HEADER_BYTES + RECORD_HEADER_BYTES + stored.length
    await writePackFooter(file, [row], end).catch(() => {})
    await file.close().catch(() => {})
    await disk.losePower(random)

    await using left = await createDisk().openRead(path)
    const sealed = await readSealed(left, await left.length())
    if (!sealed) continue
    sealedPacks++
    expect(sealed.rows).toEqual([row])
    const record = Buffer.alloc(RECORD_HEADER_BYTES + stored.length)
    await left.read(record, row.offset)
    expect([run, readRecordHeader(record, 0)?.checksum]).toEqual([run, checksumOf(stored)])
    expect(record.subarray(RECORD_HEADER_BYTES).equals(stored)).toBe(true)
  }
  expect(sealedPacks).toBeGreaterThan(20)
})

describe('a start after a process died', () => {
  const bytes = createRandom(3).bytes(40 * SMALL_CUTTER.block)

  /** A store on a faulty disk, whose process dies at operation `at` of storing an image. */
  async function makeScene(at: number) {
    const folder = await createTemporaryFolder()
    await mkdir(folder.file('mount'))
    const model = createSliceModel()
    const options = { folder: folder.path, roots: [model], packSealBytes: 1_000_000 }
    await (await openStore(options))[Symbol.asyncDispose]()
    const disk: FaultyDisk = await createFaultyDisk(folder.file('mount'))
    {
      await using store = await openStore({ ...options, disk })
      disk.plan({ at, fault: 'kill' })
      const ingest = store.ingest({ offset: 0, tail: new Uint8Array(0) })
      await writeAll(ingest, bytes)
        .then(() => ingest.finish())
        .catch(() => {})
      await ingest[Symbol.asyncDispose]().catch(() => {})
    }
    const hasDied = disk.isDead
    disk.revive()
    return { folder, model, disk, hasDied, options: { ...options, disk } }
  }

  test('counts as stored only what survives a loss of power', async () => {
    let [deaths, found] = [0, 0]
    for (let at = 1; ; at++) {
      const { folder, model, disk, hasDied, options } = await makeScene(at)
      await using _folder = folder
      if (!hasDied) break
      deaths++
      {
        await using store = await openStore(options)
        found = Math.max(found, store.recovered.slicesFound)
        // Every slice that the start found is known here, so nothing of them is written and synced again.
        await model.add(store, 'image', bytes)
        await disk.losePower(createRandom(at), NOTHING)
      }
      disk.revive()
      expect(await filesBelow(folder.file('mount'), '.pack')).not.toEqual([])
      for (const rebuild of [false, true]) {
        await using store = await openStore({ ...options, rebuild })
        for (const image of model.images.values()) expect([at, rebuild, await readOutcome(store, image)]).toEqual([at, rebuild, 'whole'])
        expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ missing: [], damagedRoots: [] })
      }
    }
    expect(deaths).toBeGreaterThan(5)
    expect(found).toBeGreaterThan(5)
  })

  test('makes the names of folders durable that the process had just created', async () => {
    await using folder = await createTemporaryFolder()
    const packs = folder.file('mount', 'packs')
    await mkdir(packs, { recursive: true })
    const disk = await createFaultyDisk(folder.file('mount'))
    const name = 'aa'.repeat(16)
    // The process dies before the folder of its first pack is durable.
    disk.plan({ at: 3, fault: 'kill' })
    await expect(disk.makeFolder(join(packs, 'aa'))).rejects.toThrow('EIO')
    disk.revive()
    expect(await disk.list(packs)).toEqual(['aa'])

    const log = createMemoryLog()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const quarantine = await openQuarantine({ disk, clock: systemClock, log, folder: folder.file('mount', 'quarantine'), index })
    await recoverIndex({ disk, log, folder: packs, index, quarantine, sealBytes: 1_000_000 })
    // The first pack of the next process is in the same folder.
    await using writer = new PackWriter({ disk, log, folder: packs, index, crashPoint: () => {}, newName: () => name, sealBytes: 1_000_000 })
    await writer.append([Buffer.alloc(100)], [{ digest: new Uint8Array(32).fill(1), offset: 0, length: 36, storedLength: 36 }])
    await writer.sync()
    await disk.losePower(createRandom(1), NOTHING)
    expect(await filesBelow(packs, '.pack')).toEqual([join(packs, packPath(name))])
  })
})
