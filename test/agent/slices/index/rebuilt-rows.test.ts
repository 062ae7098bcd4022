// Rows that a rebuild reads from the packs, and the runs from before it: what is written when, and what is still to be read.

import { describe, expect, test } from 'bun:test'
import { FormerIndex } from '../../../../agent/slices/index/former-index.ts'
import { RebuiltRows } from '../../../../agent/slices/index/rebuilt-rows.ts'
import { RunFile } from '../../../../agent/slices/index/run-file.ts'
import { encodeRow, REMOVED, RUN_ROW_BYTES } from '../../../../agent/slices/index/run-format.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import type { BatchChange, StoredRows } from '../../../../agent/slices/index/stored-rows.ts'
import type { PackEntry } from '../../../../agent/slices/packs/slice-row.ts'
import { damage } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const digestOf = (n: number): Buffer => Buffer.alloc(32, n)
const rowOf = (n: number, pack: number) => ({ digest: digestOf(n), pack, offset: 16 + n, length: 10, storedLength: 10 })
const packOf = (id: number): PackEntry => ({ id, name: String(id).padStart(32, '0'), length: 100, sealed: true })

/** Three packs to read, and a disk that notes what it is given. */
function openScene() {
  const happened: string[] = []
  const disk = { isCurrent: true }
  const stored = {
    async append(batch: { rows: number }, position: string, changeOf: () => BatchChange) {
      if (!disk.isCurrent) return false
      const { rows, bytes, sealed } = changeOf()
      happened.push(`${position}: ${batch.rows} rows, ${rows} more and ${bytes} bytes, sealed ${sealed.map(({ id }) => id).join()}`)
      return true
    },
    sealPacks: (sealed: readonly PackEntry[]) => void happened.push(`sealed ${sealed.map(({ id }) => id).join()}`),
  } as unknown as StoredRows
  return { rebuilt: new RebuiltRows(stored, [1, 2, 3]), happened, disk }
}

describe('a rebuild', () => {
  test('writes each slice of a batch once, below all other rows, and seals the packs that are read', async () => {
    const { rebuilt, happened } = openScene()
    for (const row of [rowOf(1, 1), rowOf(2, 1), rowOf(1, 1)]) rebuilt.enter(row)
    rebuilt.endPack(packOf(1))
    rebuilt.enter(rowOf(2, 2))
    expect(rebuilt.unread()).toEqual([2, 3])
    await rebuilt.write()
    expect(happened).toEqual(['oldest: 2 rows, 2 more and 0 bytes, sealed 1'])
    // Another batch may have the slice again: the rows are merged at the end.
    rebuilt.enter(rowOf(1, 2))
    rebuilt.endPack(packOf(2))
    await rebuilt.write()
    expect([happened.slice(1), rebuilt.unread()]).toEqual([['oldest: 1 rows, 1 more and 0 bytes, sealed 2'], [3]])
  })

  test('seals packs without rows, and forgets those that are removed', async () => {
    const { rebuilt, happened } = openScene()
    rebuilt.endPack(packOf(1))
    rebuilt.forgetPack(3)
    await rebuilt.write()
    expect([happened, rebuilt.unread()]).toEqual([['sealed 1'], [2]])
  })

  test('that another one has overtaken leaves its packs unread', async () => {
    const { rebuilt, happened, disk } = openScene()
    rebuilt.enter(rowOf(1, 1))
    rebuilt.endPack(packOf(1))
    disk.isCurrent = false
    await rebuilt.write()
    expect([happened, rebuilt.unread()]).toEqual([[], [1, 2, 3]])
  })

  test('has a batch of 16,384 rows at most', () => {
    const { rebuilt } = openScene()
    const digest = Buffer.alloc(32)
    for (let n = 0; n < 16_384; n++) {
      expect(rebuilt.isFull).toBe(false)
      digest.writeUInt32BE(n)
      rebuilt.enter({ ...rowOf(1, 1), digest: Buffer.from(digest) })
    }
    expect(rebuilt.isFull).toBe(true)
  })
})

describe('the runs from before a rebuild', () => {
  async function writeRun(path: string, run: number, rows: readonly { n: number; pack: number }[]): Promise<RunFile> {
    await using writer = await RunWriter.create(path, run, rows.length)
    const row = Buffer.alloc(RUN_ROW_BYTES)
    for (const { n, pack } of rows) {
      encodeRow(row, 0, pack === REMOVED ? { digest: digestOf(n), pack, offset: 0, length: 0, storedLength: 0 } : rowOf(n, pack))
      writer.push(row, 0)
    }
    await writer.end()
    return RunFile.open(path, run)
  }

  test('are asked from the newest on, up to the first damage, and deleted at the end', async () => {
    await using folder = await createTemporaryFolder()
    const newer = await writeRun(folder.file('2.run'), 2, [
      { n: 1, pack: 4 },
      { n: 2, pack: REMOVED },
    ])
    const older = await writeRun(folder.file('1.run'), 1, [
      { n: 1, pack: 3 },
      { n: 2, pack: 3 },
      { n: 3, pack: 3 },
    ])
    {
      using former = new FormerIndex([newer, older], { rows: 2, bytes: 20 })
      const packs = (): unknown[] => [1, 2, 3, 4].map((n) => former.find(digestOf(n))?.pack)
      expect(packs()).toEqual([4, undefined, 3, undefined])
      expect(former.totals).toEqual({ rows: 2, bytes: 20 })
      // What the newer run says of 1 and 2 is not known any more, and the older one may be out of date.
      await damage(newer.path, 100)
      expect(packs()).toEqual([undefined, undefined, 3, undefined])
    }
    expect([await Bun.file(newer.path).exists(), await Bun.file(older.path).exists()]).toEqual([false, false])
  })
})
