// The slices that the owner of an unfinished upload may reference. Journals are blocks in memory here, so that a test sees what is read of them.

import { describe, expect, test } from 'bun:test'
import { createDisk } from '../../../../agent/system/disk.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import type { PackedEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import { createOwnSlices, ownerOf, ownerOfActor } from '../../../../agent/uploads/record/own-slices.ts'
import type { Upload } from '../../../../agent/uploads/record/upload.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from './upload-file-of.ts'

/** Returns the digest with this number. */
function digestOf(number: number): Uint8Array {
  const digest = new Uint8Array(32)
  const view = new DataView(digest.buffer)
  view.setUint32(0, number)
  view.setUint32(8, Math.imul(number, 0x9e37_79b1))
  return digest
}

/** Packs entries of 4,096 bytes for the digests from one number to another. */
function block(from: number, count: number): PackedEntries {
  return packEntries(Array.from({ length: count }, (_, i) => ({ length: 4096, digest: digestOf(from + i) })))
}

/** Uploads with their journals, and which journals were read. */
async function createScene() {
  const folder = await createTemporaryFolder()
  const journalDeps = { disk: createDisk(), random: (length: number) => new Uint8Array(length) }
  const uploads = new Map<string, { readonly upload: Upload; readonly blocks: PackedEntries[] }>()
  const read: string[] = []
  const pauses: number[] = []
  const table = createOwnSlices({
    clock: { sleep: async (ms) => void pauses.push(ms) },
    live: () => [...uploads.values()].map(({ upload }) => upload),
    async *entries(id) {
      read.push(id)
      yield* [...(uploads.get(id)?.blocks ?? [])]
    },
  })
  return {
    table,
    read,
    pauses,
    uploads,
    add(id: string, changes: Parameters<typeof uploadFile>[0] = {}): Upload {
      const upload = { file: uploadFile({ id, ...changes }), journal: Journal.empty(journalDeps, folder.file(id)) }
      uploads.set(id, { upload, blocks: [] })
      return upload
    },
    /** Appends entries to the journal of an upload, without telling the table. */
    async append(upload: Upload, entries: PackedEntries): Promise<void> {
      await upload.journal.append({ entries, tail: new Uint8Array(0), timeMs: 5 })
      await upload.journal.close()
      uploads.get(upload.file.id)?.blocks.push(entries)
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

test('the owner is the token, or the link, which other people hold; an upload without either is its own', () => {
  const file = { id: 'upl_1', creatorTokenId: 'tok_1', linkId: null }
  expect(ownerOf(file)).toBe('token tok_1')
  expect(ownerOf({ ...file, linkId: 'lnk_1' })).toBe('link lnk_1')
  expect(ownerOf({ ...file, creatorTokenId: null })).toBe('upload upl_1')
  const ann = { name: 'ann', role: 'uploader', tokenId: 'tok_1' } as const
  expect(ownerOfActor(ann)).toBe('token tok_1')
  expect(ownerOfActor({ ...ann, link: { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'uploader' }, kind: 'upload', endMs: 1 } })).toBe('link lnk_1')
  expect(ownerOfActor({ name: 'ann', role: 'viewer' })).toBe('nobody ann')
})

describe('own slices', () => {
  test('are those of all unfinished uploads of one owner, and of no other', async () => {
    await using scene = await createScene()
    await scene.append(scene.add('upl_1'), block(1, 2))
    await scene.append(scene.add('upl_2'), block(3, 1))
    await scene.append(scene.add('upl_3', { creatorTokenId: 'tok_bob' }), block(4, 1))
    const mine = await scene.table.of('token tok_ann')
    expect([1, 2, 3, 4].map((number) => mine.has(digestOf(number)))).toEqual([true, true, true, false])
    expect(scene.read.toSorted()).toEqual(['upl_1', 'upl_2'])
  })

  test('grow with every commit, without another read', async () => {
    await using scene = await createScene()
    const upload = scene.add('upl_1')
    await scene.append(upload, block(1, 2))
    const mine = await scene.table.of('token tok_ann')
    const more = block(3, 1)
    await scene.append(upload, more)
    expect(mine.has(digestOf(3))).toBe(false)
    scene.table.committed(upload, more)
    expect(mine.has(digestOf(3))).toBe(true)
    await scene.table.of('token tok_ann')
    expect(scene.read).toEqual(['upl_1'])
  })

  test('have no gap: a commit after one that the table did not see is found by the next read', async () => {
    await using scene = await createScene()
    const upload = scene.add('upl_1')
    await scene.append(upload, block(1, 1))
    const mine = await scene.table.of('token tok_ann')
    await scene.append(upload, block(2, 1))
    const last = block(3, 1)
    await scene.append(upload, last)
    scene.table.committed(upload, last)
    expect([2, 3].map((number) => mine.has(digestOf(number)))).toEqual([false, false])
    await scene.table.of('token tok_ann')
    expect([2, 3].map((number) => mine.has(digestOf(number)))).toEqual([true, true])
    expect(scene.read).toEqual(['upl_1', 'upl_1'])
  })

  test('of an upload that committed nothing cost no read of the others when it ends', async () => {
    await using scene = await createScene()
    await scene.append(scene.add('upl_1'), block(1, 1))
    const empty = scene.add('upl_2')
    await scene.table.of('token tok_ann')
    scene.table.committed(empty, block(1, 0))
    scene.uploads.delete('upl_2')
    expect((await scene.table.of('token tok_ann')).has(digestOf(1))).toBe(true)
    expect(scene.read).toEqual(['upl_1'])
  })

  test('are read with a pause without time after each 16,384 entries', async () => {
    await using scene = await createScene()
    const upload = scene.add('upl_1')
    await scene.append(upload, block(1, 16_383))
    await scene.table.of('token tok_ann')
    expect(scene.pauses).toEqual([])
    await scene.append(upload, block(20_000, 1))
    await scene.table.of('token tok_ann')
    expect(scene.pauses).toEqual([0])
  })

  test('have the slice of an upload of one byte', async () => {
    await using scene = await createScene()
    await scene.append(scene.add('upl_1', { length: 1 }), packEntries([{ length: 1, digest: digestOf(1) }]))
    expect((await scene.table.of('token tok_ann')).has(digestOf(1))).toBe(true)
  })

  test('of an upload that ended are forgotten, those of the others stay', async () => {
    await using scene = await createScene()
    await scene.append(scene.add('upl_1'), block(1, 1))
    await scene.append(scene.add('upl_2'), block(2, 1))
    const mine = await scene.table.of('token tok_ann')
    scene.uploads.delete('upl_1')
    await scene.table.of('token tok_ann')
    expect([1, 2].map((number) => mine.has(digestOf(number)))).toEqual([false, true])
  })

  test('are read once for requests at the same time, and a read that fails does not stop the next one', async () => {
    await using scene = await createScene()
    const upload = scene.add('upl_1')
    await scene.append(upload, block(1, 1))
    const [first, second] = await Promise.all([scene.table.of('token tok_ann'), scene.table.of('token tok_ann')])
    expect([first.has(digestOf(1)), second.has(digestOf(1)), scene.read]).toEqual([true, true, ['upl_1']])

    let fails = true
    const broken = createOwnSlices({
      clock: systemClock,
      live: () => [upload],
      async *entries() {
        await Bun.sleep(0)
        if (fails) throw new Error('EIO')
        yield block(1, 1)
      },
    })
    const failed = broken.of('token tok_ann')
    const next = broken.of('token tok_ann')
    await expect(failed).rejects.toThrow('EIO')
    fails = false
    expect((await next).has(digestOf(1))).toBe(true)
  })

  test('are read of the 64 newest uploads', async () => {
    await using scene = await createScene()
    const newest = Date.parse('2026-03-01T12:00:00.000Z')
    // Listed in another order than that of their creation.
    for (let n = 0; n < 65; n++) {
      const i = (n * 37 + 20) % 65
      await scene.append(scene.add(`upl_${i}`, { createdAtMs: newest - i }), block(i + 1, 1))
    }
    const mine = await scene.table.of('token tok_ann')
    expect([mine.has(digestOf(1)), mine.has(digestOf(64)), mine.has(digestOf(65))]).toEqual([true, true, false])
    expect(scene.read).toHaveLength(64)
  })

  test('are kept in 32 MiB: the owners that were asked for longest ago are forgotten, and read again when they ask', async () => {
    await using scene = await createScene()
    // A set of 200,000 slices uses 6 MiB, so there is room for five.
    const entries = block(1, 200_000)
    const first = scene.add('upl_1', { creatorTokenId: 'tok_1' })
    await scene.append(first, entries)
    for (let i = 2; i <= 6; i++) {
      const { file } = scene.add(`upl_${i}`, { creatorTokenId: `tok_${i}` })
      scene.uploads.set(file.id, { upload: { file, journal: first.journal }, blocks: [entries] })
    }
    const own = []
    for (let i = 1; i <= 6; i++) {
      own.push(await scene.table.of(`token tok_${i}`))
      // The first owner asks again, so that the second is the one that asked longest ago.
      if (i === 5) await scene.table.of('token tok_1')
    }
    expect(own.map(({ has }) => has(digestOf(200_000)))).toEqual([true, false, true, true, true, true])
    expect(scene.read).toEqual(['upl_1', 'upl_2', 'upl_3', 'upl_4', 'upl_5', 'upl_6'])
    expect((await scene.table.of('token tok_2')).has(digestOf(200_000))).toBe(true)
    expect(own[2]?.has(digestOf(200_000))).toBe(false)
  }, 60_000)
})
