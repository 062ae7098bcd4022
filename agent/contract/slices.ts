// The contract of the slice store. test/conformance/slices runs on every implementation.
//
// Life of a slice: an ingest or a receiver stores it → `checkpoint` or `sync` makes it durable; it is pinned → the caller writes it into a durable
// root that names it (upload journal, manifest) → `release` → gc finds it in the root. A slice is never removed while a root names it or it is
// pinned.

import type { Manifest, ManifestEntry } from '../../protocol/slices/manifest.ts'
import type { SliceFrame } from '../../protocol/slices/frames.ts'

/** Where an ingest begins: the offset in the image of its first slice, and the bytes of an unfinished slice. */
export interface IngestStart {
  /** Offset of the first byte that no earlier entry covers; a multiple of 4096. */
  readonly offset: number
  /** Bytes after `offset` that are durable but not cut yet: the tail of the last checkpoint. */
  readonly tail: Uint8Array
}

/** What an ingest stored between two checkpoints: durable in packs, and pinned until released. */
export interface Checkpoint {
  /** Entries since the previous checkpoint, in image order. */
  readonly entries: readonly ManifestEntry[]
  /** Bytes after the last entry that are not a slice yet, less than the longest slice of the store: the caller stores them. */
  readonly tail: Uint8Array
  /** Bytes of new slices, as stored, since the previous checkpoint. */
  readonly storedBytes: number
  /** Releases the pins. Called once, after a durable root names the entries. */
  release(): void
}

/**
 * Stores the bytes of one image from a given offset on. Memory is bounded: `write` waits when the workers are behind. After a failed write every
 * call throws StoreWriteFailed; checkpoints that were returned before stay valid.
 */
export interface Ingest extends AsyncDisposable {
  /** Copies the piece. Resolves when there is room for more. */
  write(piece: Uint8Array): Promise<void>
  /**
   * Resolves when all bytes written before the call are cut and every complete slice is fsynced. Bytes written meanwhile belong to the next
   * checkpoint. Calls resolve in order.
   */
  checkpoint(): Promise<Checkpoint>
  /** Like `checkpoint`, but the tail becomes the last slice; no write may follow. */
  finish(): Promise<Checkpoint>
  /** Discards what no checkpoint returned, and releases all pins, including those of checkpoints. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The store could not write (disk full, I/O error, mount path gone). `cause` is the disk's error with its `code`. */
export class StoreWriteFailed extends Error {
  override readonly name = 'StoreWriteFailed'
}

/** A slice cannot be read: its record is damaged, or no pack has it. */
export class SliceUnreadable extends Error {
  override readonly name = 'SliceUnreadable'
  readonly digest: Uint8Array
  readonly reason: 'missing' | 'corrupt'

  constructor(digest: Uint8Array, reason: 'missing' | 'corrupt', detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.digest = digest
    this.reason = reason
  }
}

export interface SliceProvider {
  /**
   * Yields the bytes [start, end) of an image, verified by checksum, in pieces of at most 1 MiB. Zero runs are not read from disk. Throws
   * SliceUnreadable at a damaged or missing slice; never yields a wrong byte.
   */
  read(manifest: Manifest, start: number, end: number, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Yields slices as stored, verified by checksum, in the order requested. Throws SliceUnreadable for one that is damaged or missing. */
  readStored(digests: readonly Uint8Array[], signal?: AbortSignal): AsyncIterable<SliceFrame>
}

export interface SliceIngester {
  ingest(start: IngestStart): Ingest
  /**
   * Returns the indexes of the digests that the store does not have. This is a hint: nothing is pinned. With `lengths`, a slice of another length
   * (uncompressed) counts as missing.
   */
  missing(digests: readonly Uint8Array[], lengths?: readonly number[]): number[]
  /** Starts a transfer of complete slices from outside (sync, delta upload). */
  receive(): SliceReceiver
}

/**
 * Stores complete slices by digest and verifies the SHA-256 of each. Pins what it stores or finds until it is disposed. After a failed write, `put`
 * and `sync` throw StoreWriteFailed.
 */
export interface SliceReceiver extends AsyncDisposable {
  /**
   * Pins the slices that the store has and returns the indexes of the others. With `lengths`, a slice of another length (uncompressed) counts as
   * missing.
   */
  pin(digests: readonly Uint8Array[], lengths?: readonly number[]): number[]
  /**
   * Verifies and stores one slice. Slices that are put at the same time are written together; the caller bounds their number. Throws SliceUnreadable with the reason `corrupt` when its bytes do
   * not match its digest.
   */
  put(frame: SliceFrame): Promise<void>
  /** Resolves when everything put before is fsynced. */
  sync(): Promise<void>
}

/** Why a root could not give all its entries. */
export interface RootFault {
  /** A clause: `the manifest of image … is damaged: …`. */
  readonly reason: string
  /** A sentence with what to do. */
  readonly action: string
}

/** Something that keeps slices alive: a published manifest, an upload journal, a sync in progress. */
export interface SliceRoot {
  /** Name in reports, such as `image img_…` or `upload upl_…`. */
  readonly name: string
  /** Yields the entries that must stay. May throw when the root cannot be read, which stops a gc before it removes anything. */
  entries(): AsyncIterable<ManifestEntry> | Iterable<ManifestEntry>
  /**
   * Called after `entries` has ended. Returns why entries may be missing, as a clause, and what to do; undefined when all were yielded. With a
   * fault, gc removes nothing, and scrub continues and reports it.
   */
  readonly fault?: () => RootFault | undefined
}

/**
 * The roots of one capability. gc lists uploads and syncs before images: content only moves in that direction, so content that moves during the
 * listing is seen at least once.
 */
export interface SliceRoots {
  list(): AsyncIterable<SliceRoot> | Iterable<SliceRoot>
}

/** Reports the progress of a long pass over the store, at least once a second. */
export type OnProgress = (done: number, total: number | null) => void

export interface GcReport {
  readonly dryRun: boolean
  readonly slicesLive: number
  readonly slicesDead: number
  /** Bytes of dead slices as stored. */
  readonly deadBytes: number
  /** Bytes freed, counted from the lengths of packs before and after; in a dry run, those that would be freed. */
  readonly freedBytes: number
  readonly packsRemoved: number
  readonly packsRewritten: number
}

export interface ScrubReport {
  readonly slices: number
  readonly bytes: number
  readonly corrupt: readonly { readonly digest: string; readonly pack: string; readonly offset: number }[]
  readonly missing: readonly { readonly digest: string; readonly root: string }[]
  /** Faults of the frame of a pack or of the index database, one sentence each. */
  readonly faults: readonly string[]
  /** Roots with at least one damaged or missing slice. */
  readonly damagedRoots: readonly string[]
}

export interface SliceStats {
  readonly slices: number
  readonly storedBytes: number
  readonly packs: number
  readonly packBytes: number
  readonly quarantined: number
  /** Packs read so far by a rebuild of the index database; null when the index is intact. */
  readonly rebuilding: { readonly done: number; readonly total: number } | null
}

export interface SliceMaintenance {
  /** Collects garbage. `without` names roots that a dry run ignores, as if they had been removed; a real run refuses it. */
  gc(options: { dryRun: boolean; without?: ReadonlySet<string>; signal?: AbortSignal; onProgress?: OnProgress }): Promise<GcReport>
  /** Verifies every record and every root at a bounded rate. */
  scrub(options: { bytesPerSecond: number; signal?: AbortSignal; onProgress?: OnProgress }): Promise<ScrubReport>
  stats(): SliceStats
  /** Returns the stored bytes of slices, each counted as often as it is named; missing slices count nothing. */
  sizes(digests: readonly Uint8Array[]): { storedBytes: number }
}

export interface SliceStore extends SliceProvider, SliceIngester, SliceMaintenance, AsyncDisposable {}
