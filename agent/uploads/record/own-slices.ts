// Own slices: what the unfinished uploads of one token hold, so that its owner may reference these slices instead of sending them again.
// Read from the journals at the first request, then updated with every commit. Slices that do not fit in memory are not known here: the
// client sends them again, and the store keeps one copy.

import type { Actor } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { OwnSlices } from '../../contract/visibility.ts'
import { createFingerprintSet } from './fingerprint-set.ts'
import type { FingerprintSet } from './fingerprint-set.ts'
import { ENTRY_BYTES, packedLength, unpackEntries } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import type { UploadFile } from './upload-file.ts'
import type { Upload } from './upload.ts'

/** Most slices that are known of one owner: 16 GB of new data with the default cutter, 8 MiB of memory. */
export const OWN_SLICES_MAX = 384 * 1024
/** Most memory for the slices of all owners, in bytes; beyond it, the owners that were asked for longest ago are forgotten. */
export const OWN_SLICES_BYTES_MAX = 32 * 1024 * 1024
/** Most unfinished uploads of one owner that are read, the newest first. */
export const OWN_UPLOADS_MAX = 64
/** Entries read from a journal before the event loop runs other work. */
const STEP_ENTRIES = 16_384

export interface OwnSlicesDeps {
  readonly clock: Pick<Clock, 'sleep'>
  /** Uploads that are not images yet. */
  readonly live: () => Iterable<Upload>
  /** Returns the durable entries of an upload's journal, in blocks. */
  readonly entries: (id: string) => AsyncIterable<PackedEntries>
}

export interface OwnSlicesTable {
  /** Returns the slices of an owner's unfinished uploads. Later commits are added to them. */
  of(owner: string): Promise<OwnSlices>
  /** Called after an upload committed entries, which end at the `covered` of its journal. */
  committed(upload: Upload, entries: PackedEntries): void
}

/**
 * Returns the owner of an upload's slices: the token that created it, or the link, which other people hold than the token of its creator.
 * An upload of format 1 names no token and is an owner by itself.
 */
export function ownerOf(file: Pick<UploadFile, 'id' | 'creatorTokenId' | 'linkId'>): string {
  if (file.linkId !== null) return `link ${file.linkId}`
  return file.creatorTokenId === null ? `upload ${file.id}` : `token ${file.creatorTokenId}`
}

/** Returns the owner that an actor's uploads have. */
export function ownerOfActor({ name, tokenId, link }: Actor): string {
  // Every actor with a token has its id; an actor without one cannot create uploads.
  return link ? `link ${link.id}` : tokenId === undefined ? `nobody ${name}` : `token ${tokenId}`
}

/** The slices of one owner, and how far the entries of each of its uploads are among them, in bytes of the upload. */
interface Known {
  readonly slices: FingerprintSet
  readonly covered: Map<string, number>
}

/** Creates an empty table. */
export function createOwnSlices(deps: OwnSlicesDeps): OwnSlicesTable {
  // In the order in which owners were asked for, the longest ago first.
  const known = new Map<string, Known>()
  const reading = new Map<string, Promise<void>>()

  const update = async (owner: string): Promise<void> => {
    const uploads = newestOf(owner, deps.live())
    let own = known.get(owner)
    // The slices of an upload that was removed, or became an image, no longer count.
    if (!own || [...own.covered.keys()].some((id) => !uploads.some(({ file }) => file.id === id)))
      own = { slices: createFingerprintSet(OWN_SLICES_MAX), covered: new Map() }
    known.delete(owner)
    known.set(owner, own)
    for (const { file, journal } of uploads) if ((own.covered.get(file.id) ?? 0) < journal.covered) await readJournal(deps, own, file.id)
    forgetSome(known, owner)
  }

  return {
    async of(owner) {
      // One update at a time for each owner: the next one reads what arrived meanwhile.
      const before = reading.get(owner)
      const mine = before
        ? before.then(
            () => update(owner),
            () => update(owner),
          )
        : update(owner)
      reading.set(owner, mine)
      try {
        await mine
        // Looks the owner up each time, so that an upload that ends meanwhile no longer counts.
        return { has: (digest) => known.get(owner)?.slices.has(digest) ?? false }
      } finally {
        if (reading.get(owner) === mine) reading.delete(owner)
      }
    },
    committed({ file, journal }, entries) {
      const own = known.get(ownerOf(file))
      if (!own || entries.byteLength === 0) return
      const before = journal.covered - packedLength(entries)
      if ((own.covered.get(file.id) ?? 0) !== before) return
      addAll(own, entries)
      own.covered.set(file.id, journal.covered)
    },
  }
}

/** Returns the newest uploads of an owner, as many as are read. */
function newestOf(owner: string, live: Iterable<Upload>): Upload[] {
  const uploads = [...live].filter(({ file }) => ownerOf(file) === owner)
  return uploads.toSorted((a, b) => b.file.createdAtMs - a.file.createdAtMs).slice(0, OWN_UPLOADS_MAX)
}

async function readJournal({ entries, clock }: OwnSlicesDeps, own: Known, id: string): Promise<void> {
  let at = 0
  let steps = 0
  for await (const packed of entries(id)) {
    at += packedLength(packed)
    // Known slices may be added again, when the journal was compacted into other blocks.
    if (at > (own.covered.get(id) ?? 0)) {
      addAll(own, packed)
      own.covered.set(id, at)
    }
    steps += packed.byteLength / ENTRY_BYTES
    if (steps < STEP_ENTRIES) continue
    steps = 0
    await clock.sleep(0)
  }
}

function addAll({ slices }: Known, packed: PackedEntries): void {
  for (const { digest } of unpackEntries(packed)) if (digest && !slices.add(digest)) return
}

/** Forgets the owners that were asked for longest ago, but not the present one, until the rest fits in memory. */
function forgetSome(known: Map<string, Known>, present: string): void {
  let bytes = 0
  for (const { slices } of known.values()) bytes += slices.bytes
  for (const [owner, { slices }] of known) {
    if (bytes <= OWN_SLICES_BYTES_MAX) return
    if (owner === present) continue
    known.delete(owner)
    bytes -= slices.bytes
  }
}
