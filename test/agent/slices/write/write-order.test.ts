// What the pack writer and recovery do to the disk, step by step: nothing counts as stored before it was synced, and nothing is written twice.

import { describe, expect, test } from 'bun:test'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { openQuarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { recoverIndex, recoverLeftOut } from '../../../../agent/slices/rebuild/recover.ts'
import type { RecoverDeps } from '../../../../agent/slices/rebuild/recover.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createRecordedDisk } from '../../../support/machine/recorded-disk.ts'
import type { RecordedDisk } from '../../../support/machine/recorded-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createRandom } from '../../../support/properties.ts'

/** Length of each record here, header and all. */
const RECORD = 164
const PACK = `00/${'0'.repeat(31)}1.pack`
const OTHER = `00/${'0'.repeat(31)}2.pack`

interface Scene extends AsyncDisposable {
  readonly disk: RecordedDisk
  readonly packs: string
  readonly deps: RecoverDeps
  openWriter(sealBytes?: number): PackWriter
}

async function openScene(): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const packs = folder.file('packs')
  const disk = createRecordedDisk(packs)
  await disk.makeFolder(packs)
  disk.steps.length = 0
  const index = IndexDatabase.open(folder.file('index.db'))
  const log = createMemoryLog()
  const quarantine = await openQuarantine({ disk, clock: systemClock, log, folder: folder.file('quarantine'), index })
  let names = 0
  return {
    disk,
    packs,
    deps: { disk, log, folder: packs, index, quarantine, sealBytes: 1_000_000 },
    openWriter: (sealBytes = 1_000_000) =>
      new PackWriter({
        disk,
        folder: packs,
        index,
        crashPoint: (point) => disk.steps.push(point),
        log,
        newName: () => String(++names).padStart(32, '0'),
        sealBytes,
      }),
    async [Symbol.asyncDispose]() {
      await index[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function record(seed: number): { readonly parts: readonly Uint8Array[]; readonly row: PackRow } {
  const stored = createRandom(seed).bytes(100)
  const digest = new Uint8Array(Bun.SHA256.hash(stored) as Uint8Array)
  const header = Buffer.alloc(64)
  writeRecordHeader(header, 0, { digest, codec: 0, length: 100, storedLength: 100, checksum: checksumOf(stored) })
  return { parts: [header, stored], row: { digest, offset: 0, length: 100, storedLength: 100 } }
}

const append = (writer: PackWriter, seed: number): Promise<unknown> => writer.append(record(seed).parts, [record(seed).row])

/** Returns the steps since the last call. */
const take = ({ disk }: Scene): string[] => disk.steps.splice(0)

const CREATED = ['folder 00', `open create ${PACK}`, `write 16 at 0 of ${PACK}`, `sync ${PACK}`, 'sync folder 00', 'packs:created']

describe('the writer', () => {
  test('makes the name and the header of a pack durable before the first record, and records with a sync', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    await append(writer, 1)
    expect(take(scene)).toEqual([...CREATED, `write ${RECORD} at 16 of ${PACK}`, 'packs:appended'])
    await writer.sync()
    expect(take(scene)).toEqual([`sync ${PACK}`, 'packs:synced'])
    // Nothing is new.
    await writer.sync()
    expect(take(scene)).toEqual([])
    await append(writer, 2)
    await writer.sync()
    expect(take(scene)).toEqual([`write ${RECORD} at 180 of ${PACK}`, 'packs:appended', `sync ${PACK}`, 'packs:synced'])
  })

  test('shares one fsync among those that wait for it', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    await append(writer, 1)
    const first = writer.sync()
    await append(writer, 2)
    await Promise.all([first, writer.sync(), writer.sync(), writer.sync()])
    expect(take(scene).filter((step) => step.startsWith('sync 00'))).toEqual([`sync ${PACK}`, `sync ${PACK}`, `sync ${PACK}`])
  })

  test('seals a full pack: records first, then the footer, both synced, then the next pack', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter(16 + 2 * RECORD)
    await append(writer, 1)
    take(scene)
    await append(writer, 2)
    expect(take(scene)).toEqual([
      `write ${RECORD} at 180 of ${PACK}`,
      'packs:appended',
      `sync ${PACK}`,
      `write 128 at 344 of ${PACK}`,
      `sync ${PACK}`,
      'packs:sealed',
      `close ${PACK}`,
    ])
    await append(writer, 3)
    expect(take(scene).slice(0, 2)).toEqual(['folder 00', `open create ${OTHER}`])
  })

  test('retires a pack once all of it is durable', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    await writer.retire()
    expect(take(scene)).toEqual([])
    await append(writer, 1)
    take(scene)
    await writer.retire()
    expect(take(scene)).toEqual([`sync ${PACK}`, `close ${PACK}`])
    expect([writer.openPackId, writer.openPackBytes]).toEqual([undefined, 0])
    await append(writer, 2)
    await writer.sync()
    take(scene)
    await writer.retire()
    expect(take(scene)).toEqual([`close ${OTHER}`])
    // The packs are cut to their durable lengths and sealed.
    expect(await writer.sealAbandoned()).toBe(2 * 80)
    expect(take(scene)).toEqual(
      [PACK, OTHER].flatMap((pack) => [
        `open existing ${pack}`,
        `truncate ${pack} to 180`,
        `sync ${pack}`,
        `write 80 at 180 of ${pack}`,
        `sync ${pack}`,
        `close ${pack}`,
      ]),
    )
    expect(await writer.sealAbandoned()).toBe(0)
  })

  test('syncs and closes its pack when it ends', async () => {
    await using scene = await openScene()
    {
      await using writer = scene.openWriter()
      await append(writer, 1)
      take(scene)
    }
    expect(take(scene)).toEqual([`sync ${PACK}`, 'packs:synced', `close ${PACK}`])
  })

  test('continues a pack where it ended', async () => {
    await using scene = await openScene()
    await using writer = scene.openWriter()
    await append(writer, 1)
    await writer.retire()
    const { id, name } = [...scene.deps.index.packs()][0] ?? { id: 0, name: '' }
    await using next = scene.openWriter()
    take(scene)
    await next.resume({ id, name, length: 180, rows: [{ ...record(1).row, offset: 16 }] })
    // All of it is durable.
    await next.sync()
    expect(take(scene)).toEqual([`open existing ${PACK}`])
    await append(next, 2)
    expect(take(scene)).toEqual([`write ${RECORD} at 180 of ${PACK}`, 'packs:appended'])
  })
})

describe('recovery', () => {
  /** Writes a pack with two records and ends without sealing it. */
  async function leavePack(scene: Scene): Promise<void> {
    await using writer = scene.openWriter()
    await append(writer, 1)
    await append(writer, 2)
  }

  test('syncs an unsealed pack before it reads it, and the folders of what it read', async () => {
    await using scene = await openScene()
    await leavePack(scene)
    take(scene)
    expect(await recoverIndex(scene.deps)).toMatchObject({ packsRead: 1, slicesFound: 2, bytesFound: 200, tornBytes: 0, faults: [], unsealed: { length: 344 } })
    expect(take(scene)).toEqual([`open existing ${PACK}`, `sync ${PACK}`, `close ${PACK}`, 'sync folder .', 'sync folder 00'])
  })

  test('cuts a torn tail and syncs the cut', async () => {
    await using scene = await openScene()
    await leavePack(scene)
    await truncate(join(scene.packs, PACK), 343)
    take(scene)
    expect(await recoverIndex(scene.deps)).toMatchObject({ slicesFound: 1, bytesFound: 100, tornBytes: 163, unsealed: { length: 180 } })
    expect(take(scene)).toEqual([
      `open existing ${PACK}`,
      `sync ${PACK}`,
      `truncate ${PACK} to 180`,
      `sync ${PACK}`,
      `close ${PACK}`,
      'sync folder .',
      'sync folder 00',
    ])
  })

  test.each([16, 17])('removes a pack of %i bytes, which has no record', async (length) => {
    await using scene = await openScene()
    await leavePack(scene)
    await truncate(join(scene.packs, PACK), length)
    take(scene)
    expect(await recoverIndex(scene.deps)).toMatchObject({ slicesFound: 0, tornBytes: length - 16, unsealed: undefined })
    expect(take(scene)).toEqual([`open existing ${PACK}`, `sync ${PACK}`, `remove ${PACK}`, `close ${PACK}`, 'sync folder .', 'sync folder 00'])
    expect([...scene.deps.index.packs()]).toEqual([])
  })

  test('seals a pack that is full at the moment it is read', async () => {
    await using scene = await openScene()
    await leavePack(scene)
    take(scene)
    expect(await recoverIndex({ ...scene.deps, sealBytes: 345 })).toMatchObject({ unsealed: { length: 344 } })
    expect(await recoverIndex({ ...scene.deps, sealBytes: 344 })).toMatchObject({ unsealed: undefined, abandoned: [] })
    expect(take(scene).slice(-6)).toEqual([
      `open existing ${PACK}`,
      `truncate ${PACK} to 344`,
      `sync ${PACK}`,
      `write 128 at 344 of ${PACK}`,
      `sync ${PACK}`,
      `close ${PACK}`,
    ])
    // It is known now.
    expect(await recoverIndex(scene.deps)).toMatchObject({ packsRead: 0 })
    expect(take(scene)).toEqual(['sync folder .'])
  })

  test('reads a pack again that it had left out, and syncs its folder', async () => {
    await using scene = await openScene()
    await leavePack(scene)
    take(scene)
    expect(await recoverLeftOut(scene.deps, new Set([`${'0'.repeat(31)}1`]))).toMatchObject({ abandoned: [] })
    expect(take(scene)).toEqual([
      `open existing ${PACK}`,
      `sync ${PACK}`,
      `close ${PACK}`,
      'sync folder 00',
      `open existing ${PACK}`,
      `truncate ${PACK} to 344`,
      `sync ${PACK}`,
      `write 128 at 344 of ${PACK}`,
      `sync ${PACK}`,
      `close ${PACK}`,
    ])
  })
})
