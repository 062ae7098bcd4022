// Builds the states in which a power cut may leave a disk from the log of its writes and flushes.
//
// A state contains everything written before the last flush. Of later writes it may contain any subset in any order, and of each of
// them any sectors.

import { closeSync, openSync, writeSync } from 'node:fs'
import { createRandom } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import { run } from '../support/images/small-image.ts'
import type { LogEntry, WriteLog } from './write-log.ts'

/** What is lost of the writes since the last flush: nothing, all of them, whole writes, or sectors. */
export type Loss = 'nothing' | 'unflushed' | 'writes' | 'sectors'

/** A position in the log of a recorded disk, and what is lost there. */
export interface PowerCut {
  /** Entries of the log before the cut. */
  readonly entries: number
  /** Position in the log: everything acknowledged up to here must be on the disk. */
  readonly position: number
  readonly loss: Loss
  /** Seed of the choice of lost writes and sectors. */
  readonly seed: number
}

/** Smallest pieces that a disk writes as a whole, in bytes. */
const SECTOR_BYTES = [512, 4096] as const

/** Losses by weight. Losing all unflushed writes shows a missing fsync; the others show a wrong order. */
const LOSSES: readonly Loss[] = ['nothing', 'unflushed', 'unflushed', 'unflushed', 'writes', 'writes', 'sectors', 'sectors']

/** Where cuts are made: right after acknowledgements, just before and after flushes, or at both and at random positions. */
export type Places = 'acknowledgements' | 'flushes' | 'mixed'

/** Chooses cuts; `acknowledged` are the positions in the log at which a client received an acknowledgement. */
export function planCuts(log: WriteLog, acknowledged: readonly number[], count: number, random: Random, places: Places = 'mixed'): PowerCut[] {
  const { entries } = log
  const ends = entries.map(({ end }) => end)
  const flushes = entries.flatMap(({ kind }, index) => (kind === 'flush' ? [index] : []))
  // A write that was not synced is missing at the first position at which its acknowledgement counts.
  const afterAcknowledgement = (): number => 1 + firstAtLeast(ends, random.pick(acknowledged))
  const atFlush = (): number => Math.max(1, random.pick(flushes) + random.below(2))
  const anywhere = (): number => 1 + random.below(entries.length)
  const choices = { acknowledgements: [afterAcknowledgement], flushes: [atFlush], mixed: [afterAcknowledgement, afterAcknowledgement, atFlush, anywhere] }
  return Array.from({ length: count }, () => {
    const cut = Math.min(random.pick(choices[places])(), entries.length)
    return { entries: cut, position: entries[cut - 1]?.end ?? 0, loss: random.pick(LOSSES), seed: random.below(0x7fff_ffff) }
  })
}

/** Writes the disk after the cut to a new sparse file; `base` is the disk before the first entry. */
export async function writeDiskState(base: string, log: WriteLog, cut: PowerCut, file: string): Promise<void> {
  await run('cp', '--sparse=always', '--reflink=auto', base, file)
  const disk = openSync(file, 'r+')
  try {
    const before = log.entries.slice(0, cut.entries)
    const flushed = before.findLastIndex(({ kind }) => kind === 'flush') + 1
    for (const entry of before.slice(0, flushed)) apply(disk, log, entry)
    const random = createRandom(cut.seed)
    const unflushed = before.slice(flushed)
    if (cut.loss === 'nothing') for (const entry of unflushed) apply(disk, log, entry)
    if (cut.loss === 'writes') for (const entry of shuffled(unflushed, random)) if (random.chance(0.5)) apply(disk, log, entry)
    if (cut.loss === 'sectors') for (const entry of shuffled(unflushed, random)) applySectors(disk, log, entry, random)
  } finally {
    closeSync(disk)
  }
}

/** Returns the index of the first of ascending numbers that is at least `wanted`. */
function firstAtLeast(ascending: readonly number[], wanted: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return low
}

function shuffled(entries: readonly LogEntry[], random: Random): LogEntry[] {
  return entries
    .map((entry) => ({ entry, at: random.below(0x7fff_ffff) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ entry }) => entry)
}

function applySectors(disk: number, log: WriteLog, entry: LogEntry, random: Random): void {
  const sector = random.pick(SECTOR_BYTES)
  for (let at = 0; at < entry.length; at += sector) if (random.chance(0.5)) apply(disk, log, entry, at, Math.min(sector, entry.length - at))
}

/** Applies an entry or a part of it. */
function apply(disk: number, log: WriteLog, entry: LogEntry, from = 0, length = entry.length - from): void {
  if (entry.kind === 'flush' || length === 0) return
  const bytes = entry.kind === 'zero' ? new Uint8Array(length) : log.bytes.subarray(entry.bytesAt + from, entry.bytesAt + from + length)
  if (writeSync(disk, bytes, 0, length, entry.offset + from) !== length) throw new Error('the disk state cannot be written: is the folder full?')
}
