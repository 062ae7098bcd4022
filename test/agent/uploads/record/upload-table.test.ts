// The table of uploads: what it finds on the disk, what it does with what it cannot read, and what it remembers. The disk is real.

import { describe, expect, test } from 'bun:test'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import { UploadTable } from '../../../../agent/uploads/record/upload-table.ts'
import { journalPath, writeUploadFile } from '../../../../agent/uploads/record/upload-file.ts'
import type { UploadFile } from '../../../../agent/uploads/record/upload-file.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from './upload-file-of.ts'

const FIRST = 'upl_00000000000000000000000001'
const SECOND = 'upl_00000000000000000000000002'
const random = (length: number) => new Uint8Array(length)

/** A folder with uploads of 4,096 bytes, and tables that read it. */
async function createScene() {
  const temporary = await createTemporaryFolder()
  const folder = temporary.file('uploads')
  const log = createMemoryLog()
  const real = createDisk()
  let isFailing = false
  const disk: Disk = {
    ...real,
    async readFile(path, lengthMax) {
      if (isFailing) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
      return real.readFile(path, lengthMax)
    },
  }
  return {
    folder,
    log,
    fail: (fails: boolean) => void (isFailing = fails),
    open: () => UploadTable.open({ disk, log, random, folder }),
    async write(id: string, changes: Partial<UploadFile> = {}): Promise<void> {
      await real.makeFolder(join(folder, id))
      const journal = Journal.empty({ disk: real, random }, journalPath(folder, id))
      const entries = packEntries([{ length: 4096, digest: new Uint8Array(32).fill(9) }])
      await journal.append({ entries, tail: new Uint8Array(5), timeMs: 5 })
      await journal.close()
      await writeUploadFile(real, folder, uploadFile({ id, ...changes }))
    },
    temporary,
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  }
}

const rootsOf = async (table: UploadTable): Promise<(string | number)[][]> =>
  Promise.all([...table.roots()].map(async ({ name, entries }) => [name, ...(await Array.fromAsync(entries())).map(({ length }) => length)]))

describe('opening', () => {
  test('finds unfinished uploads with their bytes, and published ones without a journal', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    await scene.write(SECOND, { publishedAtMs: 1000, imageId: 'img_2', creator: 'bob', createdAtMs: 500 })
    await createDisk().makeFolder(join(scene.folder, 'lost+found'))
    const table = await scene.open()
    expect([...table.live.keys()]).toEqual([FIRST])
    expect(table.live.get(FIRST)?.journal.offset).toBe(4101)
    expect([...table.published]).toEqual([[SECOND, { id: SECOND, imageId: 'img_2', publishedAtMs: 1000, creator: 'bob', createdAtMs: 500 }]])
    expect((await readdir(scene.folder)).toSorted()).toEqual(['lost+found', FIRST, SECOND])
    expect(await readdir(join(scene.folder, SECOND))).toEqual(['upload.json'])
    expect(await rootsOf(table)).toEqual([[`upload ${FIRST}`, 4096]])
    expect((await table.peek(SECOND))?.file.creator).toBe('bob')
    expect(await table.peek('upl_00000000000000000000000009')).toBeUndefined()
  })

  test('removes a folder without its record, and one whose record is of another upload', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    await scene.write(SECOND)
    await rm(join(scene.folder, FIRST, 'upload.json'))
    await Bun.write(join(scene.folder, SECOND, 'upload.json'), JSON.stringify(uploadFile({ id: FIRST })))
    const table = await scene.open()
    expect([table.live.size, table.unreadable, await readdir(scene.folder)]).toEqual([0, [], []])
  })

  test('reads more uploads than it reads at the same time', async () => {
    await using scene = await createScene()
    const ids = Array.from({ length: 33 }, (_, i) => `upl_${String(i + 1).padStart(26, '0')}`)
    for (const id of ids) await scene.write(id)
    expect([...(await scene.open()).live.keys()].toSorted()).toEqual(ids)
  })

  test('says what a torn end of a journal cost', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    const path = journalPath(scene.folder, FIRST)
    await Bun.write(path, Buffer.concat([new Uint8Array(await Bun.file(path).arrayBuffer()), Buffer.from('torn')]))
    const table = await scene.open()
    expect(scene.log.lines).toEqual([
      { level: 'warn', message: 'journal cut at its last whole record', fields: { upload: FIRST, droppedBytes: 4, offset: 4101 } },
    ])
    expect(table.live.get(FIRST)?.journal.offset).toBe(4101)
  })
})

describe('an upload that cannot be read', () => {
  test('keeps its slices, and is read again when it is asked for', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    scene.fail(true)
    const table = await scene.open()
    expect([table.live.size, table.unreadable]).toEqual([0, [FIRST]])
    expect(await rootsOf(table)).toEqual([[`upload ${FIRST}`, 4096]])
    const attempts = await Promise.allSettled([table.find(FIRST), table.peek(FIRST)])
    expect(attempts.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    scene.fail(false)
    expect((await table.find(FIRST))?.journal.offset).toBe(4101)
    expect([[...table.live.keys()], table.unreadable]).toEqual([[FIRST], []])
  })

  test('is absent for clients when its record is damaged, and can be moved away', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    await Bun.write(join(scene.folder, FIRST, 'upload.json'), '{"format":')
    const table = await scene.open()
    expect(await table.find(FIRST)).toBeUndefined()
    expect(table.unreadable).toEqual([FIRST])
    const away = scene.temporary.file('moved')
    expect(await table.moveUnreadable(FIRST, away)).toBe(true)
    expect([table.unreadable, await readdir(scene.folder), (await readdir(away)).toSorted()]).toEqual([[], [], ['journal', 'upload.json']])
    expect([...table.roots()]).toEqual([])
    expect(await table.moveUnreadable(FIRST, away)).toBe(false)
  })

  test('is not moved away once it can be read', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    scene.fail(true)
    const table = await scene.open()
    scene.fail(false)
    expect(await table.moveUnreadable(FIRST, scene.temporary.file('moved'))).toBe(false)
    expect([[...table.live.keys()], await readdir(scene.folder)]).toEqual([[FIRST], [FIRST]])
    expect(await table.moveUnreadable(FIRST, scene.temporary.file('moved'))).toBe(false)
  })
})

describe('the slices of an upload', () => {
  test('stop a collection when its journal has lost some', async () => {
    await using scene = await createScene()
    await scene.write(FIRST)
    const table = await scene.open()
    await rm(journalPath(scene.folder, FIRST))
    await expect(rootsOf(table)).rejects.toThrow(`the journal of ${FIRST} covers 0 of 4096 bytes`)
    await table.remove({ id: FIRST })
    expect([await rootsOf(table), table.live.size, await readdir(scene.folder)]).toEqual([[], 0, []])
  })
})

test('ids of the 10,000 uploads that expired last are remembered', async () => {
  await using scene = await createScene()
  const table = await scene.open()
  for (let i = 0; i < 10_000; i++) table.rememberExpired(`upl_${i}`)
  expect([table.wasExpired('upl_0'), table.wasExpired('upl_9999')]).toEqual([true, true])
  table.rememberExpired('upl_10000')
  expect(['upl_0', 'upl_1', 'upl_10000', 'upl_x'].map((id) => table.wasExpired(id))).toEqual([false, true, true, false])
})
