// Mark and sweep of a gc: which slices are named by something, and which leave the index because nothing does.

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
import type { PinWatch } from '../write/pins.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { SliceRow } from '../packs/slice-row.ts'

/** Entries looked at before other work gets its turn. */
const STEP_ENTRIES = 2048

export interface MarkDeps {
  readonly log: Log
  readonly index: CorrectableIndex
  readonly files: PackFiles
  readonly quarantine: Quarantine
  /** Uploads and syncs before images. */
  readonly roots: readonly SliceRoots[]
  /** Lets other work on the event loop go first. */
  readonly pause: () => Promise<void>
}

export interface SweepOptions {
  readonly dryRun: boolean
  readonly without?: ReadonlySet<string>
  readonly signal?: AbortSignal
}

export interface DigestRange {
  /** First two bytes of a digest, as a number: from (inclusive) and to (exclusive). */
  readonly from: number
  readonly to: number
}

/** The digests of one of several passes. */
export function passRange(pass: number, passes: number): DigestRange {
  return { from: Math.floor((pass * 65_536) / passes), to: Math.floor(((pass + 1) * 65_536) / passes) }
}

function isInRange(digest: Uint8Array, { from, to }: DigestRange): boolean {
  const prefix = ((digest[0] ?? 0) << 8) | (digest[1] ?? 0)
  return prefix >= from && prefix < to
}

/** Everything of a range that a root names. Throws what a root throws: then nothing may be removed. */
export async function mark(deps: MarkDeps, range: DigestRange, expected: number, { signal, without }: SweepOptions): Promise<LiveSet> {
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
    }
  }
  return marked
}

/**
 * Looks at every row of a range, first those in memory, then those of the database; what is dead has left the index when it is given
 * out (unless this is a dry run).
 */
export async function* sweep(
  deps: MarkDeps,
  range: DigestRange,
  marked: LiveSet,
  watch: PinWatch,
  options: SweepOptions,
): AsyncGenerator<{ live: SliceRow[]; dead: SliceRow[] }> {
  const { index } = deps
  const part = (rows: readonly SliceRow[]): { live: SliceRow[]; dead: SliceRow[] } => {
    // A row that the index itself does not believe is none; the slice is looked for in the packs afterwards.
    const isLive = (row: SliceRow): boolean => index.find(row.digest) !== undefined && (marked.has(row.digest) || watch.isTouched(row.digest))
    const live = rows.filter(isLive)
    const dead = rows.filter((row) => !isLive(row))
    // Look and removal in one tick: nothing can be pinned in between.
    if (!options.dryRun && dead.length > 0) index.removeAll(dead)
    return { live, dead }
  }

  const waiting = index.waiting().filter((row) => isInRange(row.digest, range))
  // A row may move from memory to the database while this runs, and is counted once.
  const seen = new Set(waiting.map((row) => sliceKey(row.digest)))
  yield part(waiting)
  let after: Uint8Array | undefined = range.from === 0 ? undefined : Uint8Array.of(range.from >> 8, range.from & 255)
  do {
    options.signal?.throwIfAborted()
    await deps.pause()
    // What was removed waits in memory until it is on the disk.
    if (index.isFlushDue) await index.flush()
    const { rows, last } = index.walk(after)
    yield part(rows.filter((row) => isInRange(row.digest, range) && !seen.has(sliceKey(row.digest))))
    after = last
  } while (after && isInRange(after, range))
}

/** Adds rows to what is known of their packs. */
export function count(uses: Map<number, PackUse>, rows: readonly Pick<SliceRow, 'pack' | 'storedLength'>[], member: keyof PackUse): void {
  for (const row of rows) {
    const use = uses.get(row.pack) ?? { liveBytes: 0, deadBytes: 0 }
    use[member] += recordLength(row)
    uses.set(row.pack, use)
  }
}

/**
 * Enters slices into the index that roots name, a pack holds and the index has lost. Packs that cannot be read are added to `unread`: what is
 * lost may be there.
 */
export async function findLost(deps: MarkDeps, marked: LiveSet, unread: Set<number>, signal: AbortSignal | undefined): Promise<void> {
  for (const pack of [...deps.index.packs()]) {
    signal?.throwIfAborted()
    // The rows of an unsealed pack never left memory.
    if (!pack.sealed) continue
    const rows = await rowsOf(deps, pack.name)
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

async function rowsOf({ files, log }: MarkDeps, pack: PackName): Promise<PackRow[] | undefined> {
  try {
    return (await files.use(pack, (file) => readPack(file))).rows
  } catch (error) {
    log.warn('a pack cannot be searched for lost slices', { pack, error })
    return undefined
  }
}
