// Rebuilds a damaged index database from the packs while the store is in use. Reads, uploads and deletions continue. gc waits, because it
// removes what the index does not name.

import type { Log } from '../../contract/runtime.ts'
import type { IndexRebuild } from '../index/index-roles.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { readSealedRows } from '../packs/pack-scan.ts'
import type { Quarantine } from './quarantine.ts'
import type { PackEntry } from '../packs/slice-row.ts'

/** How often one call starts over when the file is damaged again during the rebuild. */
const ATTEMPTS_MAX = 3
/** Rows entered between two pauses. */
const STEP_ROWS = 1024

export interface IndexRebuilderDeps {
  readonly log: Log
  readonly index: IndexRebuild
  readonly files: PackFiles
  readonly quarantine: Quarantine
  /** Rebuilds the filter of known slices. */
  readonly buildFilter: () => Promise<void>
  /** Called with a pack that cannot be read and that was removed from the index; it is retried later. */
  readonly leaveOut: (name: PackName) => void
  /** Called when the index turns out to be damaged, and when it is intact again. */
  readonly onDamaged: (reason: string) => void
  readonly onRebuilt: (packs: number) => void
  /** Stops the rebuild at its next step. */
  readonly signal: AbortSignal
  /** Lets other work on the event loop run first. */
  readonly pause: () => Promise<void>
}

export interface IndexRebuilder {
  /** Packs read so far and in all; undefined when the index is intact. */
  readonly progress: { readonly done: number; readonly total: number } | undefined
  /** Rebuilds the index when it is damaged. Resolves when it is intact; rejects when the rebuild fails, and the index stays damaged. */
  rebuild(): Promise<void>
}

/** Creates the rebuilder of a store. Calls that overlap share one rebuild. */
export function createIndexRebuilder(deps: IndexRebuilderDeps): IndexRebuilder {
  const { index } = deps
  let running: Promise<void> | undefined
  let total = 0
  return {
    get progress() {
      if (!index.isIncomplete) return undefined
      return { done: index.isDistrusted ? 0 : Math.max(0, total - index.unreadPacks().length), total }
    },
    rebuild() {
      if (!index.isIncomplete) return Promise.resolve()
      running ??= rebuildFromPacks(deps, (packs) => (total = packs)).finally(() => (running = undefined))
      return running
    },
  }
}

async function rebuildFromPacks(deps: IndexRebuilderDeps, onStart: (packs: number) => void): Promise<void> {
  const { index, signal } = deps
  let packs = 0
  for (let attempt = 0; index.isIncomplete; attempt++) {
    if (attempt === ATTEMPTS_MAX) throw new Error('the index database was damaged repeatedly while it was being rebuilt')
    signal.throwIfAborted()
    if (index.isDistrusted) index.startRebuild()
    const unread = index.unreadPacks()
    onStart(unread.length)
    packs = unread.length
    for (const pack of unread) {
      await enterPack(deps, pack)
      if (index.isDistrusted) break
    }
    if (index.isDistrusted) continue
    await index.finishRebuild()
  }
  await deps.buildFilter()
  deps.log.info('the index database was rebuilt from the packs', { packs, slices: index.sliceCount })
  deps.onRebuilt(packs)
}

async function enterPack(deps: IndexRebuilderDeps, pack: PackEntry): Promise<void> {
  const { index, quarantine, pause, signal } = deps
  const rows = await readRows(deps, pack)
  if (!rows) return
  for (let at = 0; at < rows.length; at += STEP_ROWS) {
    // Looked up at each step: a record may be quarantined while its pack is entered.
    const step = rows.slice(at, at + STEP_ROWS).filter((row) => !quarantine.has(row.digest, pack.name, row.offset))
    await index.enter(pack.id, step)
    await pause()
    signal.throwIfAborted()
  }
  index.endPack(pack.id)
}

/** Reads the rows of a sealed pack. A pack that cannot be read is removed from the index and left out, as at start: returns undefined. */
async function readRows({ index, files, log, leaveOut }: IndexRebuilderDeps, pack: PackEntry): Promise<PackRow[] | undefined> {
  try {
    return await files.use(pack.name, readSealedRows)
  } catch (error) {
    if (!index.pack(pack.id)) return undefined
    log.error('a pack cannot be read and is left out', { pack: pack.name, error })
    index.removePack(pack.id)
    leaveOut(pack.name)
    return undefined
  }
}
