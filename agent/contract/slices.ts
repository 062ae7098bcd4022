// The slice store as other capabilities see it: bytes in, slices out, and back.
//
// Life of a slice: an ingest (or a sync) stores it → `checkpoint` makes it durable and pins it → the caller writes it into
// something durable that names it (upload journal, manifest) → `release` → from then on gc finds it there. A slice is
// never removed while a root names it or a pin holds it.

import type { Manifest, ManifestEntry } from '../../protocol/manifest.ts'
import type { SliceFrame } from '../../protocol/frames.ts'

/** Where an ingest begins: the offset in the image at which its first slice starts, and bytes of an unfinished one. */
export interface IngestStart {
  /** Offset of the first byte that no earlier entry covers; a multiple of 4096. */
  readonly offset: number
  /** Bytes after `offset` that are held already but not yet cut: the tail of the last checkpoint. */
  readonly tail: Uint8Array
}

/** Everything an ingest took between two checkpoints, durable in packs and pinned until released. */
export interface Checkpoint {
  /** New entries since the checkpoint before, in image order. */
  readonly entries: readonly ManifestEntry[]
  /** Bytes after the last entry that are not yet a slice (under 256 KiB): the caller keeps them. */
  readonly tail: Uint8Array
  /** Bytes of new slices as stored, since the checkpoint before. */
  readonly storedBytes: number
  /** To be called once, after the entries stand in a durable root. */
  release(): void
}

/**
 * Takes the bytes of one image from a given offset on. One writer at a time. Memory is bounded: `write` waits
 * when the workers are behind. A failed disk ends it: every call then throws StoreWriteFailed, and what the last
 * durable checkpoint held stays valid.
 */
export interface Ingest extends AsyncDisposable {
  /** Copies the piece; resolves when there is room for more. */
  write(piece: Uint8Array): Promise<void>
  /**
   * Resolves when all bytes written before the call are cut and every full slice is fsynced. Further writes may go on
   * meanwhile; they belong to the next checkpoint. Calls resolve in order.
   */
  checkpoint(): Promise<Checkpoint>
  /** Like `checkpoint`, but the tail becomes the last slice; no write may follow. */
  finish(): Promise<Checkpoint>
  /** Drops what no checkpoint gave out; pins not released go with it. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The store could not write (disk full, I/O error, mount path gone). `cause` is the disk's error with its `code`. */
export class StoreWriteFailed extends Error {
  override readonly name = 'StoreWriteFailed'
}

/** A slice that cannot be had: its record is damaged, or no pack has it. */
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
   * The bytes [start, end) of an image, verified by checksum, in pieces of at most 1 MiB; zero runs are not read from
   * disk. Throws SliceUnreadable in the stream rather than ever give a wrong byte.
   */
  read(manifest: Manifest, start: number, end: number, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** The slices as stored, verified by checksum, in the order asked for; throws SliceUnreadable for one that is not there. */
  readStored(digests: readonly Uint8Array[], signal?: AbortSignal): AsyncIterable<SliceFrame>
}

export interface SliceIngester {
  ingest(start: IngestStart): Ingest
  /**
   * Those of the digests that the store does not have, as indexes into the list. Answers are hints: nothing is pinned. With `lengths`, a
   * slice of another length (uncompressed) counts as not there.
   */
  missing(digests: readonly Uint8Array[], lengths?: readonly number[]): number[]
  /** A transfer of slices that come whole from outside (sync, delta upload). */
  receive(): SliceReceiver
}

/** Takes whole slices by digest; verifies SHA-256 of every one. Pins what it stored or found until disposed. */
export interface SliceReceiver extends AsyncDisposable {
  /**
   * Pins those that are there and gives the indexes of those that are not. With `lengths`, a slice of another length
   * (uncompressed) is not the one that is asked for, and counts as not there.
   */
  pin(digests: readonly Uint8Array[], lengths?: readonly number[]): number[]
  /** Verifies and stores one slice; throws SliceUnreadable('corrupt') when its bytes are not those of its digest. */
  put(frame: SliceFrame): Promise<void>
  /** Everything put before is fsynced when it resolves. */
  sync(): Promise<void>
}

/** Why a root could not give all its entries. */
export interface RootFault {
  /** A clause: `the manifest of image … is damaged: …`. */
  readonly reason: string
  /** A sentence with what to do. */
  readonly action: string
}

/** One thing that keeps slices alive: a published manifest, an upload journal, a sync under way. */
export interface SliceRoot {
  /** Such as `image img_…` or `upload upl_…`: named in reports. */
  readonly name: string
  /** Entries that must stay; may throw when the root cannot be read, which stops a gc before it removes anything. */
  entries(): AsyncIterable<ManifestEntry> | Iterable<ManifestEntry>
  /**
   * Asked after `entries` has ended: why entries may be missing, as a clause, and what to do; undefined when all were given. gc then removes
   * nothing, and scrub goes on and reports it.
   */
  readonly fault?: () => RootFault | undefined
}

/**
 * All roots of one capability at this moment. gc asks uploads and syncs before images: content only ever moves in
 * that direction, so what moves meanwhile is seen at least once.
 */
export interface SliceRoots {
  list(): AsyncIterable<SliceRoot> | Iterable<SliceRoot>
}

/** Progress of a long pass over the store, given at least once a second. */
export type OnProgress = (done: number, total: number | null) => void

export interface GcReport {
  readonly dryRun: boolean
  readonly slicesLive: number
  readonly slicesDead: number
  /** Bytes of dead slices as stored. */
  readonly deadBytes: number
  /** Bytes that left the disk, counted from the lengths of packs before and after; in a dry run what would leave. */
  readonly freedBytes: number
  readonly packsRemoved: number
  readonly packsRewritten: number
}

export interface ScrubReport {
  readonly slices: number
  readonly bytes: number
  readonly corrupt: readonly { readonly digest: string; readonly pack: string; readonly offset: number }[]
  readonly missing: readonly { readonly digest: string; readonly root: string }[]
  /** What is wrong with the frame of a pack or the index database, each in one sentence. */
  readonly faults: readonly string[]
  /** Roots with at least one bad slice. */
  readonly damagedRoots: readonly string[]
}

export interface SliceStats {
  readonly slices: number
  readonly storedBytes: number
  readonly packs: number
  readonly packBytes: number
  readonly quarantined: number
  /** Packs read so far while a damaged index database is made anew; null when it is whole. */
  readonly rebuilding: { readonly done: number; readonly total: number } | null
}

export interface SliceMaintenance {
  /** `without` names roots that a dry run leaves out, as if they were removed already; a real run refuses it. */
  gc(options: { dryRun: boolean; without?: ReadonlySet<string>; signal?: AbortSignal; onProgress?: OnProgress }): Promise<GcReport>
  scrub(options: { bytesPerSecond: number; signal?: AbortSignal; onProgress?: OnProgress }): Promise<ScrubReport>
  stats(): SliceStats
  /** Stored bytes of slices, of each as often as it is named; those that are not here count nothing. */
  sizes(digests: readonly Uint8Array[]): { storedBytes: number }
}

export interface SliceStore extends SliceProvider, SliceIngester, SliceMaintenance, AsyncDisposable {}
