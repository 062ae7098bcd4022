// Mark and sweep of a gc: which slices a root names, and which leave the index because nothing names them.

import { problem } from '../../../protocol/problems.ts'
import type { Log } from '../../contract/runtime.ts'
import type { SliceRoots } from '../../contract/slices.ts'
import type { PackUse } from './plan.ts'
import type { CorrectableIndex } from '../index/index-roles.ts'
import { createLiveSet } from '../write/live-set.ts'
import type { LiveSet } from '../write/live-set.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { recordLength } from '../packs/pack-format.ts'
import { readPack } from '../packs/pack-scan.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { SliceRow } from '../packs/slice-row.ts'

/** Entries marked between two pauses. */
const STEP_ENTRIES = 2048

export interface MarkDeps {
  readonly log: Log
  readonly index: CorrectableIndex
  readonly files: PackFiles
  readonly quarantine: Quarantine
  /** Uploads and syncs before images. */
  readonly roots: readonly SliceRoots[]
  /** Lets other work on the event loop run first. */
  readonly pause: () => Promise<void>
}

export interface SweepOptions {
  readonly dryRun: boolean
  readonly without?: ReadonlySet<string>
  readonly signal?: AbortSignal
}

export interface DigestRange {
  /** First two bytes of a digest as a number: from (inclusive) and to (exclusive). */
  readonly from: number
  readonly to: number
}

/** Returns the range of digests of one of several passes. */
export function passRange(pass: number, passes: number): DigestRange {
  return { from: Math.floor((pass * 65_536) / passes), to: Math.floor(((pass + 1) * 65_536) / passes) }
}

function isInRange(digest: Uint8Array, { from, to }: DigestRange): boolean {
  const prefix = ((digest[0] ?? 0) << 8) | (digest[1] ?? 0)
  return prefix >= from && prefix < to
}

/** Marks every slice of a range that a root names. Throws what a root throws: then nothing may be removed. */
export async function mark(deps: Pick<MarkDeps, 'roots' | 'pause'>, range: DigestRange, expected: number, { signal, without }: SweepOptions): Promise<LiveSet> {
  const marked = createLiveSet(expected)
  let seen = 0
  for (const roots of deps.roots) {
    for await (const root of roots.list()) {
      if (without?.has(root.name)) continue
      for await (const { digest } of root.entries()) {
        if (digest && isInRange(digest, range)) marked.add(digest)
        if (++seen % STEP_ENTRIES === 0) {
          signal?.throwIfAborted()
          await deps.pause()
        }
      }
      // Slices that the missing entries name must not count as garbage.
      const fault = root.fault?.()
      if (fault) throw problem('data-corrupt', `Nothing was removed, because ${fault.reason}.`, { action: fault.action })
    }
  }
  return marked
}

/**
 * Examines every row of a range, first those in memory, then those on disk, and yields them as live or dead by `isNamed`. Dead rows have left
 * the index when they are yielded, except in a dry run.
 */
export async function* sweep(
  { index, pause }: Pick<MarkDeps, 'index' | 'pause'>,
  range: DigestRange,
  isNamed: (digest: Uint8Array) => boolean,
  options: SweepOptions,
): AsyncGenerator<{ live: SliceRow[]; dead: SliceRow[] }> {
  const divide = (rows: readonly SliceRow[]): { live: SliceRow[]; dead: SliceRow[] } => {
    // A row that the index itself does not trust counts as dead; its slice is searched in the packs afterwards.
    const isLive = (row: SliceRow): boolean => index.find(row.digest) !== undefined && isNamed(row.digest)
    const live = rows.filter(isLive)
    const dead = rows.filter((row) => !isLive(row))
    // Look-up and removal in one tick: no slice can be pinned in between.
    if (!options.dryRun && dead.length > 0) index.removeAll(dead)
    return { live, dead }
  }

  const waiting = index.waiting().filter((row) => isInRange(row.digest, range))
  // A row may be written to disk during the sweep; it is counted once.
  const seen = new Set(waiting.map((row) => sliceKey(row.digest)))
  yield divide(waiting)
  let after: Uint8Array | undefined = Uint8Array.of(range.from >> 8, range.from & 255)
  do {
    options.signal?.throwIfAborted()
    await pause()
    // Removals wait in memory until they are written.
    if (index.isFlushDue) await index.flush()
    const { rows, last } = index.walk(after)
    yield divide(rows.filter((row) => isInRange(row.digest, range) && !seen.has(sliceKey(row.digest))))
    after = last
  } while (after && isInRange(after, range))
}

/** Adds rows to the live or dead bytes of their packs. */
export function count(uses: Map<number, PackUse>, rows: readonly Pick<SliceRow, 'pack' | 'storedLength'>[], member: keyof PackUse): void {
  for (const row of rows) {
    const use = uses.get(row.pack) ?? { liveBytes: 0, deadBytes: 0 }
    use[member] += recordLength(row)
    uses.set(row.pack, use)
  }
}

/**
 * Searches the packs for marked slices that the index has lost, and adds them to the index. Packs that cannot be read are added to `unread`,
 * because the lost slices may be there.
 */
export async function findLost(deps: MarkDeps, marked: LiveSet, unread: Set<number>, signal: AbortSignal | undefined): Promise<void> {
  for (const pack of [...deps.index.packs()]) {
    signal?.throwIfAborted()
    // The rows of an unsealed pack never left memory.
    if (!pack.sealed) continue
    const rows = await readRows(deps, pack.name)
    if (!rows) unread.add(pack.id)
    for (const row of rows ?? []) {
      if (!marked.has(row.digest) || deps.index.find(row.digest) || !deps.index.pack(pack.id)) continue
      if (deps.quarantine.has(row.digest, pack.name, row.offset)) continue
      deps.index.distrust('it had lost slices that are in the packs')
      deps.index.add(pack.id, [row])
    }
    await deps.pause()
  }
}

async function readRows({ files, log }: MarkDeps, pack: PackName): Promise<readonly PackRow[] | undefined> {
  try {
    return (await files.use(pack, readPack)).rows
  } catch (error) {
    log.warn('a pack cannot be searched for lost slices', { pack, error })
    return undefined
  }
}
