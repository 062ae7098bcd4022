// Rows in memory compared with a model: what is found, and what the rows add to the totals on disk, whatever is written, fails or changes meanwhile.

import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PendingRows } from '../../../../agent/slices/index/pending-rows.ts'
import { REMOVED } from '../../../../agent/slices/index/run-format.ts'
import type { Location } from '../../../../agent/slices/packs/slice-row.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'

const SLICES = 12
const digestOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const numberOf = (digest: Uint8Array): number => digest[0] ?? 0

/** Runs random steps on the rows, a map that stands for the disk, and a map of what must be found. */
function drive(seed: number): void {
  const random = createRandom(seed)
  const pending = new PendingRows()
  const disk = new Map<number, Location>()
  const all = new Map<number, Location>()
  let flying: readonly { digest: Uint8Array; pack: number; offset: number; length: number; storedLength: number }[] | undefined
  const stored = (digest: Uint8Array): Location | undefined => disk.get(numberOf(digest))
  const bytesOf = (rows: Iterable<Location>): number => [...rows].reduce((sum, { storedLength }) => sum + storedLength, 0)

  const steps: (() => void)[] = [
    () => {
      const n = random.below(SLICES)
      const at = { pack: 1 + random.below(3), offset: random.below(1000), length: 500, storedLength: 1 + random.below(500) }
      pending.set({ digest: digestOf(n), ...at }, stored)
      all.set(n, at)
    },
    () => {
      const n = random.below(SLICES)
      if (!all.delete(n)) return
      pending.remove(digestOf(n), stored, random.chance(0.2))
    },
    () => {
      if (flying) return
      const due = new Set([REMOVED, 1, 1 + random.below(3)])
      const max = 1 + random.below(SLICES)
      const waiting = Array.from({ length: SLICES }, (_, n) => pending.get(digestOf(n))).filter((row) => row && due.has(row.pack)).length
      const { rows, isLast } = pending.take(max, ({ pack }) => due.has(pack))
      expect([rows.length, isLast]).toEqual([Math.min(max, waiting), waiting <= max])
      flying = rows
    },
    () => {
      if (!flying) return
      const before = { rows: disk.size, bytes: bytesOf(disk.values()) }
      const { rows, bytes } = pending.flyingTotals()
      for (const { digest, ...at } of flying) {
        if (at.pack === REMOVED) disk.delete(numberOf(digest))
        else disk.set(numberOf(digest), at)
      }
      expect({ rows: disk.size, bytes: bytesOf(disk.values()) }).toEqual({ rows: before.rows + rows, bytes: before.bytes + bytes })
      pending.landed()
      expect(pending.flyingTotals()).toEqual({ rows: 0, bytes: 0 })
      flying = undefined
    },
    () => {
      if (!flying) return
      pending.failed()
      expect(pending.flyingTotals()).toEqual({ rows: 0, bytes: 0 })
      flying = undefined
    },
    () => {
      // A merge drops rows of packs that are gone, which rows in memory have replaced.
      for (const n of disk.keys()) if (pending.get(digestOf(n)) && random.chance(0.5)) disk.delete(n)
      pending.rebase(stored)
    },
    () => {
      if (!random.chance(0.2)) return
      // A rebuild starts: nothing is on disk, and what is being written does not arrive.
      pending.liftAll()
      disk.clear()
      flying = undefined
      all.clear()
      for (const { digest, pack, offset, length, storedLength } of pending.all()) all.set(numberOf(digest), { pack, offset, length, storedLength })
    },
  ]
  for (let step = 0; step < 80; step++) {
    // Most steps add and remove.
    ;(random.chance(0.5) ? steps[random.below(2)] : random.pick(steps))?.()
    for (let n = 0; n < SLICES; n++) {
      const row = pending.get(digestOf(n))
      const found = row ? (row.pack === REMOVED ? undefined : row) : disk.get(n)
      const { pack, offset, length, storedLength } = found ?? {}
      expect(found && { pack, offset, length, storedLength }).toEqual(all.get(n))
    }
    expect({ rows: disk.size + pending.addedRows, bytes: bytesOf(disk.values()) + pending.addedBytes }).toEqual({
      rows: all.size,
      bytes: bytesOf(all.values()),
    })
    const waiting = Array.from({ length: SLICES }, (_, n) => pending.get(digestOf(n))).filter((row) => row !== undefined)
    expect(pending.size).toBe(waiting.length)
    expect(pending.all()).toHaveLength(waiting.filter(({ pack }) => pack !== REMOVED).length)
  }
}

test('find and count what they add to the disk, through any steps', () => {
  fc.assert(fc.property(fc.nat(), drive), propertyOptions(40))
})

const row = (n: number, pack: number, storedLength = 10) => ({ digest: digestOf(n), pack, offset: 16, length: 100, storedLength })
const nothing = (): undefined => undefined

test('of a slice that is nowhere else leave no trace when it is removed', () => {
  const pending = new PendingRows()
  pending.set(row(1, 1), nothing)
  pending.remove(digestOf(1), nothing, false)
  expect([pending.size, pending.addedRows, pending.addedBytes]).toEqual([0, 0, 0])
  pending.remove(digestOf(2), nothing, false)
  expect(pending.size).toBe(0)
  // The runs from before a rebuild may still have it.
  pending.remove(digestOf(3), nothing, true)
  expect([pending.size, pending.all(), pending.get(digestOf(3))?.pack]).toEqual([1, [], REMOVED])
})

test('of a slice that is being written are removed on disk as well', () => {
  const pending = new PendingRows()
  pending.set(row(1, 1), nothing)
  pending.take(10, () => true)
  pending.remove(digestOf(1), nothing, false)
  expect([pending.get(digestOf(1))?.pack, pending.addedRows]).toEqual([REMOVED, 0])
  pending.landed()
  expect([pending.get(digestOf(1))?.beneath?.pack, pending.addedRows, pending.addedBytes]).toEqual([1, -1, -10])
})

test('of a pack that was removed are dropped, those of others stay', () => {
  const pending = new PendingRows()
  for (const one of [row(1, 1), row(2, 2), row(3, 1)]) pending.set(one, nothing)
  pending.removePack(1)
  expect(pending.all().map(({ digest }) => numberOf(digest))).toEqual([2])
  expect([pending.addedRows, pending.addedBytes]).toEqual([1, 10])
})
