// Merges runs into one: of the rows of one digest, that of the newest run is kept.

import { RunCursor } from './run-cursor.ts'
import type { RunFile } from './run-file.ts'
import { packAt, REMOVED, storedLengthAt } from './run-format.ts'
import { RunWriter } from './run-writer.ts'

/** Blocks read at a time from each run. */
const BLOCKS_AT_ONCE = 64
/** Runs of about the same size that are merged into one. */
const FANOUT = 4
/** Runs with up to this many rows count as equally large. */
const SMALL_ROWS = 32 * 1024

export interface MergeOrder {
  readonly path: string
  readonly run: number
  /** Whether no older run exists: removals are then dropped. */
  readonly isOldest: boolean
  /** If set, rows of other packs are dropped. */
  readonly packs?: ReadonlySet<number>
}

/** Totals of a merge: rows and stored bytes in the new run, and rows dropped because their pack is gone. */
export interface Merged {
  readonly rows: number
  readonly bytes: number
  readonly orphans: number
}

/** Merges runs, newest first; awaits `pause` after each write. */
export async function mergeRuns(files: readonly RunFile[], order: MergeOrder, pause: () => Promise<void>): Promise<Merged> {
  const { path, run, isOldest, packs } = order
  await using writer = await RunWriter.create(
    path,
    run,
    files.reduce((sum, file) => sum + file.rows, 0),
  )
  const walk = new RunWalk(files.map((file) => new RunCursor(file, BLOCKS_AT_ONCE)))
  let bytes = 0
  let orphans = 0
  for (let row = walk.next(); row; row = walk.next()) {
    const pack = packAt(row.bytes, row.at)
    if (pack === REMOVED && isOldest) continue
    if (packs && pack !== REMOVED && !packs.has(pack)) {
      orphans++
      continue
    }
    bytes += storedLengthAt(row.bytes, row.at)
    if (!writer.push(row.bytes, row.at)) continue
    await writer.write()
    await pause()
  }
  await writer.end()
  return { rows: writer.rows, bytes, orphans }
}

/** Iterates over several runs, newest first, and returns each digest once. */
export class RunWalk {
  readonly #cursors: readonly RunCursor[]
  /** The cursor whose row was returned; it advances at the next call. */
  #returned: RunCursor | undefined

  constructor(cursors: readonly RunCursor[]) {
    this.#cursors = cursors
  }

  /** Returns the row with the next digest; valid until the next call. */
  next(): RunCursor | undefined {
    this.#returned?.advance()
    let least: RunCursor | undefined
    for (const cursor of this.#cursors) {
      if (!cursor.isOpen) continue
      const order = least ? compare(cursor, least) : -1
      if (order < 0) least = cursor
      // Older rows of the same digest are skipped.
      else if (order === 0) cursor.advance()
    }
    this.#returned = least
    return least
  }
}

function compare(a: RunCursor, b: RunCursor): number {
  return a.prefix === b.prefix ? a.bytes.compare(b.bytes, b.at, b.at + 32, a.at, a.at + 32) : a.prefix - b.prefix
}

/**
 * Returns which runs to merge, given their row counts, newest first; undefined for none. Adjacent runs are merged when several are about equally
 * large, with smaller ones between them: each row is rewritten about once each time the store grows fourfold.
 */
export function planMerge(rows: readonly number[]): { from: number; to: number } | undefined {
  const tiers = rows.map((count) => Math.max(0, Math.ceil(Math.log(count / SMALL_ROWS) / Math.log(FANOUT))))
  for (const tier of [...new Set(tiers)].toSorted((a, b) => a - b)) {
    for (let from = 0; from < tiers.length; from++) {
      let [to, ofTier] = [from, 0]
      while (to < tiers.length && (tiers[to] ?? 0) <= tier) if (tiers[to++] === tier) ofTier++
      if (ofTier >= FANOUT) return { from, to }
      from = to
    }
  }
  return undefined
}
