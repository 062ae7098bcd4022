// Disk states of small invented logs: the writes that each kind of loss keeps and drops, and the choice of cuts.

import { describe, expect, test } from 'bun:test'
import { readFile, writeFile } from 'node:fs/promises'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { planCuts, writeDiskState } from './disk-states.ts'
import type { Loss } from './disk-states.ts'
import { parseWriteLog } from './write-log.ts'
import type { WriteLog } from './write-log.ts'

const SECTOR = 512
/** Sectors of the disk, and of one write. */
const SECTORS = 64
const WRITE_SECTORS = 8

type Entry = { readonly fill: number; readonly at: number } | 'flush'

/** Creates a log of flushes and of writes, each of eight sectors with one byte value. */
function makeLog(entries: readonly Entry[]): WriteLog {
  const words = (...values: number[]): Buffer => Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer)
  const parts = entries.flatMap((entry) =>
    entry === 'flush'
      ? [words('F'.charCodeAt(0), 0, 0)]
      : [words('W'.charCodeAt(0), entry.at * SECTOR, WRITE_SECTORS * SECTOR), Buffer.alloc(WRITE_SECTORS * SECTOR, entry.fill)],
  )
  return parseWriteLog(new Uint8Array(Buffer.concat(parts)))
}

/** Returns the first byte of every sector of a state. */
async function stateOf(log: WriteLog, entries: number, loss: Loss, seed = 1): Promise<number[]> {
  await using folder = await createTemporaryFolder()
  await writeFile(folder.file('base'), new Uint8Array(SECTORS * SECTOR))
  const position = log.entries[entries - 1]?.end ?? 0
  await writeDiskState(folder.file('base'), log, { entries, position, loss, seed }, folder.file('state'))
  const disk = await readFile(folder.file('state'))
  return Array.from({ length: SECTORS }, (_, sector) => {
    const bytes = disk.subarray(sector * SECTOR, (sector + 1) * SECTOR)
    expect(bytes.every((byte) => byte === bytes[0])).toBe(true)
    return bytes[0] ?? 0
  })
}

const filled = (value: number, from: number): number[] => Array.from({ length: SECTORS }, (_, at) => (at >= from && at < from + WRITE_SECTORS ? value : 0))
const merge = (...disks: readonly number[][]): number[] => disks.reduce((below, above) => below.map((value, at) => above[at] || value))

const LOG = makeLog([{ fill: 1, at: 0 }, 'flush', { fill: 2, at: 16 }, { fill: 3, at: 0 }, { fill: 4, at: 32 }, 'flush', { fill: 5, at: 48 }])

describe('a state', () => {
  test('without loss contains every write before the cut', async () => {
    expect(await stateOf(LOG, 4, 'nothing')).toEqual(merge(filled(1, 0), filled(2, 16), filled(3, 0)))
  })

  test('without unflushed writes contains everything written before the last flush', async () => {
    expect(await stateOf(LOG, 5, 'unflushed')).toEqual(filled(1, 0))
    expect(await stateOf(LOG, 6, 'unflushed')).toEqual(merge(filled(1, 0), filled(2, 16), filled(3, 0), filled(4, 32)))
  })

  test('that lost writes contains each write whole or not at all, and always everything flushed', async () => {
    const seen = new Set<string>()
    for (let seed = 0; seed < 60; seed++) {
      const state = await stateOf(LOG, 5, 'writes', seed)
      const [first, second, third] = [state[0] === 3, state[16] === 2, state[32] === 4]
      expect(state).toEqual(merge(filled(first ? 3 : 1, 0), filled(second ? 2 : 0, 16), filled(third ? 4 : 0, 32)))
      seen.add(JSON.stringify([first, second, third]))
    }
    expect(seen.size).toBe(8)
  })

  test('that lost sectors mixes old and new sectors', async () => {
    const states = await Promise.all(Array.from({ length: 20 }, (_, seed) => stateOf(LOG, 5, 'sectors', seed)))
    expect(states.some((state) => new Set(state.slice(0, WRITE_SECTORS)).size === 2)).toBe(true)
    for (const state of states) expect(state.slice(0, WRITE_SECTORS).every((value) => value === 1 || value === 3)).toBe(true)
  })

  test('may contain the earlier of two writes that were not flushed', async () => {
    const log = makeLog(['flush', { fill: 1, at: 0 }, { fill: 2, at: 0 }])
    const seen = await Promise.all(Array.from({ length: 60 }, async (_, seed) => (await stateOf(log, 3, 'writes', seed))[0]))
    expect(new Set(seen)).toEqual(new Set([0, 1, 2]))
  })
})

test('cuts are repeatable by seed, are within the log, and half of them are right after an acknowledgement', () => {
  const acknowledged = [LOG.entries[1]?.end ?? 0]
  const plan = (seed: number) => planCuts(LOG, acknowledged, 200, createRandom(seed))
  expect(plan(7)).toEqual(plan(7))
  expect(plan(7)).not.toEqual(plan(8))
  for (const { entries, position } of plan(7)) {
    expect(entries).toBeGreaterThanOrEqual(1)
    expect(position).toBe(LOG.entries[entries - 1]?.end ?? -1)
  }
  expect(plan(7).filter(({ entries }) => entries === 2).length).toBeGreaterThan(90)
})
