// What the conformance suite of slice stores needs of a store: the calls of agent/contract/slices.ts that every store has, and by name the
// parts of the contract that only some have. A new backend is one more subject in slices.test.ts.

import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import type { IngestStart, SliceIngester, SliceMaintenance, SliceProvider } from '../../../agent/contract/slices.ts'

/**
 * Parts of the contract that the store in memory does not have, because none of its users needs them: `ranges` reads of an image by manifest
 * (`read`), `frames` slices as stored (`readStored`), `maintenance` gc reports, dry runs, statistics and sizes.
 */
export type Capability = 'ranges' | 'frames' | 'maintenance'

/** An empty store, and what the suite does to it. */
export interface Subject extends AsyncDisposable {
  readonly slices: SliceIngester
  readonly provider?: SliceProvider
  readonly maintenance?: SliceMaintenance
  /** Returns the content of entries; throws when a slice is missing. */
  content(entries: readonly ManifestEntry[]): Promise<Buffer>
  /** Runs a gc in which only these entries are named by roots; returns how many slices it removed. */
  collect(live: readonly ManifestEntry[]): Promise<number>
  /** From now on the disk is full, or has room again. */
  fillDisk(): void
  emptyDisk(): void
}

export interface Case {
  readonly name: string
  readonly needs?: Capability
  run(subject: Subject): Promise<void>
}

export const START: IngestStart = { offset: 0, tail: new Uint8Array(0) }
/** Block of the cutter of every subject: slices other than the last begin and end at multiples of it. */
export const BLOCK_BYTES = 4096

/** Returns the digests of the entries that are slices. */
export function digestsOf(entries: readonly ManifestEntry[]): Uint8Array[] {
  return entries.flatMap(({ digest }) => (digest ? [digest] : []))
}

export function lengthOf(entries: readonly ManifestEntry[]): number {
  return entries.reduce((sum, { length }) => sum + length, 0)
}

/** Stores bytes as one image and releases its pins; returns its entries. */
export async function store(subject: Subject, bytes: Uint8Array): Promise<readonly ManifestEntry[]> {
  await using ingest = subject.slices.ingest(START)
  await ingest.write(bytes)
  const { entries, release } = await ingest.finish()
  release()
  return entries
}
