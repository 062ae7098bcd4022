// The usage ledger: records survive torn writes, repeated attempts and failing disks, and each period counts once.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { createLedger } from '../../../agent/usage/ledger.ts'
import type { EndedPeriod } from '../../../agent/contract/usage.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { FAULTS } from '../../support/machine/fault-gate.ts'
import { createFaultyDisk } from '../../support/machine/faulty-disk.ts'
import { createOrderedDisk } from '../../support/machine/ordered-disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const NOVEMBER = Date.parse('2026-11-10T00:00:00Z')
const DECEMBER = Date.parse('2026-12-10T00:00:00Z')

function period(imageId: string, toMs = NOVEMBER, fromMs = 1000): EndedPeriod {
  return { imageId, name: `name of ${imageId}`, kind: 'disk', owner: 'ann', length: 5, storedSize: 3, fromMs, toMs }
}

function open(folder: TemporaryFolder, disk: Disk = createDisk()) {
  return createLedger({ disk, clock: systemClock, crashPoint() {}, folder: folder.file('usage') })
}

async function read(ledger: ReturnType<typeof open>, fromMs = 0): Promise<{ ids: string[]; damaged: number }> {
  const ids: string[] = []
  let damaged = 0
  for await (const { imageId } of ledger.records(fromMs, (count) => (damaged = count))) ids.push(imageId)
  return { ids, damaged }
}

describe('records', () => {
  test('are read back as they were appended, by the month of their end', async () => {
    await using folder = await createTemporaryFolder()
    const ledger = open(folder)
    expect(await read(ledger)).toEqual({ ids: [], damaged: 0 })
    await ledger.append([period('c', DECEMBER), period('a')], { mayRepeat: false })
    await ledger.append([period('b')], { mayRepeat: false })
    await ledger.append([], { mayRepeat: false })
    expect(await read(open(folder))).toEqual({ ids: ['a', 'b', 'c'], damaged: 0 })
    expect((await read(ledger, NOVEMBER)).ids).toEqual(['c'])
    expect((await read(ledger, NOVEMBER - 1)).ids).toEqual(['a', 'b', 'c'])
    expect((await read(ledger, DECEMBER)).ids).toEqual([])
    const found: EndedPeriod[] = []
    for await (const record of ledger.records(DECEMBER - 1, () => {})) found.push(record)
    expect(found).toEqual([period('c', DECEMBER)])
  })

  test('count once if an attempt may have repeated them, in any order and month', async () => {
    await using folder = await createTemporaryFolder()
    const ledger = open(folder)
    await ledger.append([period('a'), period('b')], { mayRepeat: false })
    await ledger.append([period('a')], { mayRepeat: true })
    await ledger.append([period('b', DECEMBER)], { mayRepeat: true })
    await ledger.append([period('c')], { mayRepeat: true })
    // A second period of the same image is another one.
    await ledger.append([period('a', DECEMBER, 2000)], { mayRepeat: false })
    expect((await read(ledger)).ids).toEqual(['a', 'b', 'c', 'a'])
  })

  test('longer than what is read at once are found, and thousands of them', async () => {
    await using folder = await createTemporaryFolder()
    const ledger = open(folder)
    const many = Array.from({ length: 5000 }, (_, i) => period(`img_${i}`))
    await ledger.append(many, { mayRepeat: false })
    const { ids, damaged } = await read(ledger)
    expect(ids).toEqual(many.map(({ imageId }) => imageId))
    expect(damaged).toBe(0)
  })
})

test('a record is on disk when its append ends: written, then synced, and then the folder that names its file', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const ledger = open(folder, disk)
  await ledger.append([period('a')], { mayRepeat: false })
  expect(disk.take()).toEqual(['write 2026-11.log', 'sync 2026-11.log', 'sync folder usage', 'close 2026-11.log'])
  await ledger.append([period('b')], { mayRepeat: false })
  // Also for a file that exists: the agent that created it may have died before it synced the folder.
  expect(disk.take()).toEqual(['write 2026-11.log', 'sync 2026-11.log', 'sync folder usage', 'close 2026-11.log'])
})

describe('a damaged file', () => {
  test('loses the damaged record alone', async () => {
    await using folder = await createTemporaryFolder()
    const ledger = open(folder)
    for (const id of ['a', 'b', 'c']) await ledger.append([period(id)], { mayRepeat: false })
    const path = folder.file('usage', '2026-11.log')
    const text = await readFile(path, 'latin1')
    await writeFile(path, text.replace('name of b', 'name of x'), 'latin1')
    expect(await read(ledger)).toEqual({ ids: ['a', 'c'], damaged: 1 })
  })

  test('with a torn end accepts more records', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('usage', '2026-11.log')
    const ledger = open(folder)
    await ledger.append([period('a'), period('b')], { mayRepeat: false })
    const whole = await readFile(path)
    for (const lost of [1, 40]) {
      await writeFile(path, whole.subarray(0, whole.length - lost))
      await ledger.append([period('c')], { mayRepeat: false })
      expect({ lost, ...(await read(ledger)) }).toEqual(lost === 1 ? { lost, ids: ['a', 'b', 'c'], damaged: 0 } : { lost, ids: ['a', 'c'], damaged: 1 })
    }
  })

  test('with garbage without line feeds is read in bounded memory', async () => {
    await using folder = await createTemporaryFolder()
    const ledger = open(folder)
    await ledger.append([period('a')], { mayRepeat: false })
    await appendFile(folder.file('usage', '2026-11.log'), Buffer.alloc(3_000_000, 7))
    await ledger.append([period('b')], { mayRepeat: false })
    const { ids, damaged } = await read(ledger)
    expect(ids).toEqual(['a', 'b'])
    expect(damaged).toBeGreaterThan(0)
  })
})

test.each(FAULTS)('an append on a disk that fails with %s at any operation is complete once it is repeated', async (fault) => {
  for (let at = 1; at < 60; at++) {
    await using folder = await createTemporaryFolder()
    const disk = await createFaultyDisk(folder.path)
    const ledger = open(folder, disk)
    await ledger.append([period('first')], { mayRepeat: false })
    disk.plan({ at, fault })
    const isDone = await ledger.append([period('a'), period('b', DECEMBER)], { mayRepeat: false }).then(
      () => true,
      () => false,
    )
    const hasFailed = disk.hasFailed
    if (disk.isDead) disk.revive()
    disk.plan(undefined)
    const after = open(folder, disk)
    if (!isDone) await after.append([period('a'), period('b', DECEMBER)], { mayRepeat: true })
    expect({ at, ids: (await read(after)).ids.toSorted() }).toEqual({ at, ids: ['a', 'b', 'first'] })
    if (!hasFailed) break
    expect(at).toBeLessThan(59)
  }
})
