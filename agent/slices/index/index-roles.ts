// Roles of the index database. Each part of the slice store is given the narrowest role it needs, so its dependencies say what it may
// change. All calls except those that return a promise are synchronous: between a look-up and what follows in the same tick, nothing moves.

import type { PackName, PackRow } from '../packs/pack-format.ts'
import type { Location, PackEntry, SliceRow } from '../packs/slice-row.ts'
import type { IndexWatcher } from './index-trust.ts'

/** Finds slices and packs. For reading and for storing slices through a pack writer. */
export interface SliceLookup {
  readonly sliceCount: number
  /** Bytes of all slices as stored. */
  readonly storedBytes: number
  /** Returns the location of a slice. A row that is impossible, or whose pack the index does not have, counts as absent. */
  find(digest: Uint8Array): Location | undefined
  pack(id: number): PackEntry | undefined
  packs(): Iterable<PackEntry>
  /**
   * Returns rows on disk in digest order after `after`, and the last digest examined; undefined at the end. Rows that a row in memory
   * replaces are left out: `waiting` returns those. Throws IndexUnusable at a damaged block.
   */
  walk(after: Uint8Array | undefined): { rows: SliceRow[]; last: Uint8Array | undefined }
  /** Returns the rows in memory that are not on disk yet. */
  waiting(): SliceRow[]
}

/** Also changes what the index says. For the pack writer and the quarantine. */
export interface SliceIndex extends SliceLookup {
  /** Adds rows of one pack: visible at once, on disk after the pack is sealed. A digest that is already indexed moves to the new location. */
  add(pack: number, rows: Iterable<PackRow>): void
  /** Removes slices that are still at the locations of the rows; returns the locations removed. */
  removeAll(rows: Iterable<Pick<SliceRow, 'digest' | 'pack' | 'offset'>>): Location[]
  /** Adds a pack, or returns it to unsealed when the index already has one of this name. */
  addPack(name: PackName): PackEntry
  /** Marks a pack as sealed with this file length: the next `flush` writes its rows. */
  sealPack(id: number, length: number): void
  /** Removes a pack and every slice that the index has there. */
  removePack(id: number): void
  /**
   * Writes the rows of sealed packs, and removals, to disk; everything due at the call is written when it resolves. A pack counts as sealed
   * on disk once all its rows are written.
   */
  flush(): Promise<void>
  /** Whether enough rows wait for a flush even when no pack is sealed. */
  readonly isFlushDue: boolean
  /** Whether too many rows wait in memory because the index cannot be written. */
  readonly isOverfull: boolean
  /** Makes everything written so far durable; needed before a file that the index no longer names is removed. */
  makeDurable(): void
}

/** Also compares the index with the packs and corrects it. For pack search, gc and scrub. */
export interface CorrectableIndex extends SliceIndex {
  /** Reports that the index disagrees with the packs and may lack more slices: a rebuild is needed, unless one is already due or in progress. */
  distrust(reason: string): void
  /** What is wrong with the index, from its discovery until the index is intact again. */
  readonly damage: string | undefined
  /** Whether a rebuild is due or in progress: until it ends, the index may lack slices that are in the packs. */
  readonly isIncomplete: boolean
  /** Records that no pack has a slice, until the slice is added. */
  noteAbsent(digest: Uint8Array): void
  isKnownAbsent(digest: Uint8Array): boolean
}

/** Brings the index in line with the packs when the store is opened. For recovery alone. */
export interface IndexRecovery extends SliceIndex {
  /** Removes the rows of packs that are gone; returns how many slices no other pack has. Rewrites all rows, so it is used after damage only. */
  removeOrphans(): Promise<number>
}

/**
 * Rebuilds the index from the packs: `startRebuild`, then `enter` and `endPack` for each of `unreadPacks`, then `finishRebuild`. For the rebuild
 * alone. Damage found meanwhile makes `isDistrusted` true again, and the rebuild has to start over.
 */
export interface IndexRebuild extends SliceIndex {
  readonly isIncomplete: boolean
  /** Whether the index is damaged and the rebuild has not started. */
  readonly isDistrusted: boolean
  /**
   * Replaces all rows by none; packs keep their numbers. The damaged runs still answer for slices that the new ones lack. If the process ends
   * before all packs are read, the remaining ones are not sealed on disk, and the next start reads them.
   */
  startRebuild(): void
  /** Sealed packs whose rows have not been entered. */
  unreadPacks(): PackEntry[]
  /** Enters rows of a pack. A slice that is already indexed keeps its location. */
  enter(pack: number, rows: readonly PackRow[]): Promise<void>
  /** Marks all rows of a pack as entered. */
  endPack(id: number): void
  /** Ends the rebuild: the damaged runs are deleted. */
  finishRebuild(): Promise<void>
}

/** Watches and maintains the index while the store is open. For the upkeep alone. */
export interface IndexMaintenance extends IndexRebuild {
  /** Registers the watcher; damage that was already found is reported to it at once. */
  watch(watcher: IndexWatcher): void
  /** Whether the filter answers "maybe" too often: more slices were added than it has room for. */
  readonly isFilterWorn: boolean
  /** Replaces the filter by one built from all rows, without blocking the event loop. */
  rebuildFilter(signal?: AbortSignal): Promise<void>
}
