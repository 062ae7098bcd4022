// Damages the index of a slice store while the store is in use.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  blockCheck,
  blockCount,
  decodeRow,
  encodeRow,
  readRunTrailer,
  REMOVED,
  rowsOfBlock,
  RUN_BLOCK_BYTES,
  RUN_CHECK_BYTES,
  RUN_ROW_BYTES,
  RUN_TRAILER_BYTES,
} from '../../../agent/slices/index/run-format.ts'
import type { SliceRow } from '../../../agent/slices/packs/slice-row.ts'

/** Returns the paths of the runs of an index in a state folder. */
export function runPaths(state: string): string[] {
  return readdirSync(state)
    .filter((name) => name.endsWith('.run'))
    .map((name) => join(state, name))
}

/** Changes rows of all runs in place and updates the checksums, so that the index is wrong but intact. Returns the number of changed rows. */
export function changeRows(state: string, change: (row: SliceRow) => Partial<SliceRow>): number {
  let changed = 0
  for (const path of runPaths(state)) {
    const bytes = readFileSync(path)
    const trailer = readRunTrailer(bytes.subarray(-RUN_TRAILER_BYTES), bytes.length)
    // A run that is being written is not in use yet.
    if (!trailer) continue
    for (let block = 0; block < blockCount(trailer.rows); block++) {
      const start = block * RUN_BLOCK_BYTES
      for (let i = 0; i < rowsOfBlock(trailer.rows, block); i++) {
        const at = start + RUN_CHECK_BYTES + i * RUN_ROW_BYTES
        const row = decodeRow(bytes, at)
        const changes = row.pack === REMOVED ? {} : change(row)
        if (Object.keys(changes).length === 0) continue
        encodeRow(bytes, at, { ...row, ...changes })
        changed++
      }
      bytes.writeBigUInt64LE(blockCheck(bytes, start, trailer.run, block), start)
    }
    // Written in place, because the store has the file open.
    writeFileSync(path, bytes, { flag: 'r+' })
  }
  return changed
}

/** Removes slices whose digest starts with a hex digit below `below` from the index. Default: all slices. */
export function hideSlices(state: string, below = 'g'): number {
  return changeRows(state, ({ digest }) => (Buffer.from(digest).toString('hex') < below ? { pack: REMOVED } : {}))
}

/** Changes the offset of every slice in the index to that of another slice. */
export function misplaceSlices(state: string): number {
  return changeRows(state, () => ({ offset: 16 }))
}

/** Flips a bit in every block of every run. Returns the number of blocks. */
export function damageBlocks(state: string): number {
  let damaged = 0
  for (const path of runPaths(state)) {
    const bytes = readFileSync(path)
    const rows = readRunTrailer(bytes.subarray(-RUN_TRAILER_BYTES), bytes.length)?.rows ?? 0
    for (let block = 0; block < blockCount(rows); block++, damaged++) bytes[block * RUN_BLOCK_BYTES + 50] = (bytes[block * RUN_BLOCK_BYTES + 50] ?? 0) ^ 1
    writeFileSync(path, bytes, { flag: 'r+' })
  }
  return damaged
}
