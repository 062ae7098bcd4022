// Makes a damaged index database anew from the packs while the store is used. Reads, uploads and deletions go on; gc waits, because what
// it may remove is what the index does not name.

import type { Log } from '../../contract/runtime.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { readSealedRows } from '../packs/pack-scan.ts'
import type { Quarantine } from './quarantine.ts'
import type { PackEntry } from '../packs/slice-row.ts'

/** A file that is damaged again while it is made is begun anew so often; then a later call tries it. */
const ATTEMPTS_MAX = 3
/** Rows entered between two pauses. */
const STEP_ROWS = 1024

export interface IndexRebuildDeps {
  readonly log: Log
  readonly index: IndexDatabase
  readonly files: PackFiles
  readonly quarantine: Quarantine
  /** Makes the filter of known slices anew. */
  readonly buildFilter: () => Promise<void>
  /** Told of a pack that cannot be read, and that the index has forgotten until it can. */
  readonly leaveOut: (name: PackName) => void
  /** Told when the index turns out to be damaged, and when it is whole again. */
  readonly onDamaged: (reason: string) => void
  readonly onRebuilt: (packs: number) => void
  /** Ends it at the next step. */
  readonly signal: AbortSignal
  /** Lets other work on the event loop go first. */
  readonly pause: () => Promise<void>
}

export interface IndexRebuild {
  /** How far it is; undefined when the index is whole. */
  readonly progress: { readonly done: number; readonly total: number } | undefined
  /** Makes the index anew when it is damaged, and resolves when it is whole. Rejects when it cannot be made; it stays as it is then. */
  heal(): Promise<void>
}

export function createIndexRebuild(deps: IndexRebuildDeps): IndexRebuild {
  const { index } = deps
  let running: Promise<void> | undefined
  let total = 0
  return {
    get progress() {
      if (!index.isIncomplete) return undefined
      return { done: index.isDistrusted ? 0 : Math.max(0, total - index.unreadPacks().length), total }
    },
    heal() {
      if (!index.isIncomplete) return Promise.resolve()
      running ??= rebuild(deps, (packs) => (total = packs)).finally(() => (running = undefined))
      return running
    },
  }
}

async function rebuild(deps: IndexRebuildDeps, begin: (packs: number) => void): Promise<void> {
  const { index, signal } = deps
  let packs = 0
  for (let attempt = 0; index.isIncomplete; attempt++) {
    if (attempt === ATTEMPTS_MAX) throw new Error('the index database is damaged again and again while it is made anew')
    signal.throwIfAborted()
    if (index.isDistrusted) index.startAnew()
    const unread = index.unreadPacks()
    begin(unread.length)
    packs = unread.length
    for (const pack of unread) {
      await enterPack(deps, pack)
      if (index.isDistrusted) break
    }
    if (index.isDistrusted) continue
    await index.endAnew()
  }
  await deps.buildFilter()
  deps.log.info('the index database was made anew from the packs', { packs, slices: index.sliceCount })
  deps.onRebuilt(packs)
}

async function enterPack(deps: IndexRebuildDeps, pack: PackEntry): Promise<void> {
  const { index, quarantine, pause, signal } = deps
  const rows = await rowsOf(deps, pack)
  if (!rows) return
  for (let at = 0; at < rows.length; at += STEP_ROWS) {
    // A record in quarantine is never counted on, also when it was put there a moment ago.
    const step = rows.slice(at, at + STEP_ROWS).filter((row) => !quarantine.has(row.digest, pack.name, row.offset))
    await index.enter(pack.id, step)
    await pause()
    signal.throwIfAborted()
  }
  index.endPack(pack.id)
}

/** What a sealed pack holds; undefined when it cannot be read: the index then does not know it, as after a start that cannot read it. */
async function rowsOf({ index, files, log, leaveOut }: IndexRebuildDeps, pack: PackEntry): Promise<PackRow[] | undefined> {
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
