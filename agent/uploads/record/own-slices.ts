// Own slices: what the unfinished uploads of one token hold, so that its owner may name it again in place of sending it. Read from the
// journals when it is asked for first, then kept up to date with every commit. What does not fit in memory is not known here: the client
// sends such a slice with its bytes again, and the store keeps it once.

import type { Actor } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { OwnSlices } from '../../contract/visibility.ts'
import { createFingerprintSet } from './fingerprint-set.ts'
import type { FingerprintSet } from './fingerprint-set.ts'
import { ENTRY_BYTES, packedLength, unpackEntries } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import type { UploadFile } from './upload-file.ts'
import type { Upload } from './upload.ts'

/** Slices of one owner that are known: 16 GB of new data with the default cutter, 8 MiB of memory. */
export const OWN_SLICES_MAX = 384 * 1024
/** Memory for the slices of all owners, in bytes; beyond it those are forgotten that were not asked for longest. */
export const OWN_SLICES_BYTES_MAX = 32 * 1024 * 1024
/** Unfinished uploads of one owner that are looked at, the newest first. */
export const OWN_UPLOADS_MAX = 64
/** Entries taken from a journal before the event loop gets its turn. */
const STEP_ENTRIES = 16_384

export interface OwnSlicesDeps {
  readonly clock: Pick<Clock, 'sleep'>
  /** Uploads that are not images yet. */
  readonly live: () => Iterable<Upload>
  /** Entries that the journal of an upload holds durably now, in blocks. */
  readonly entries: (id: string) => AsyncIterable<PackedEntries>
}

export interface OwnSlicesTable {
  /** The slices of an owner's unfinished uploads; what is committed later is added to it. */
  of(owner: string): Promise<OwnSlices>
  /** An upload committed entries: up to `covered` bytes it is covered by them now. */
  committed(upload: Upload, entries: PackedEntries): void
}

/**
 * Whose slices an upload holds: those of the token that created it, or of the link, which is in other hands than the token of its maker.
 * An upload of format 1 does not name its token and stands alone.
 */
export function ownerOf(file: Pick<UploadFile, 'id' | 'creatorTokenId' | 'linkId'>): string {
  if (file.linkId !== null) return `link ${file.linkId}`
  return file.creatorTokenId === null ? `upload ${file.id}` : `token ${file.creatorTokenId}`
}

/** The owner that an actor's uploads have. */
export function ownerOfActor({ name, tokenId, link }: Actor): string {
  // Every actor that a token stands behind has its id; without one there is no upload to own.
  return link ? `link ${link.id}` : tokenId === undefined ? `nobody ${name}` : `token ${tokenId}`
}

/** What is known of one owner: its slices, and how far each upload's entries are among them, in bytes of the upload. */
interface Known {
  readonly slices: FingerprintSet
  readonly covered: Map<string, number>
}

export function createOwnSlices(deps: OwnSlicesDeps): OwnSlicesTable {
  // In the order in which they were asked for, the longest ago first.
  const known = new Map<string, Known>()
  const reading = new Map<string, Promise<void>>()

  const update = async (owner: string): Promise<void> => {
    const uploads = [...deps.live()].filter(({ file }) => ownerOf(file) === owner).toSorted((a, b) => b.file.createdAtMs - a.file.createdAtMs)
    const looked = uploads.slice(0, OWN_UPLOADS_MAX)
    let own = known.get(owner)
    // An upload that is gone, or an image now, no longer counts.
    if (!own || [...own.covered.keys()].some((id) => !looked.some(({ file }) => file.id === id)))
      own = { slices: createFingerprintSet(OWN_SLICES_MAX), covered: new Map() }
    known.delete(owner)
    known.set(owner, own)
    for (const { file, journal } of looked) if ((own.covered.get(file.id) ?? 0) < journal.covered) await readJournal(own, file.id)
    forgetSome(owner)
  }
  const readJournal = async (own: Known, id: string): Promise<void> => {
    let at = 0
    let steps = 0
    for await (const packed of deps.entries(id)) {
      at += packedLength(packed)
      // What was known already may be added again, when the journal was rewritten in other blocks.
      if (at > (own.covered.get(id) ?? 0)) {
        addAll(own, packed)
        own.covered.set(id, at)
      }
      steps += packed.byteLength / ENTRY_BYTES
      if (steps < STEP_ENTRIES) continue
      steps = 0
      await deps.clock.sleep(0)
    }
  }
  const addAll = ({ slices }: Known, packed: PackedEntries): void => {
    for (const { digest } of unpackEntries(packed)) if (digest && !slices.add(digest)) return
  }
  const forgetSome = (except: string): void => {
    let bytes = 0
    for (const { slices } of known.values()) bytes += slices.bytes
    for (const [owner, { slices }] of known) {
      if (bytes <= OWN_SLICES_BYTES_MAX) return
      if (owner === except) continue
      known.delete(owner)
      bytes -= slices.bytes
    }
  }

  return {
    async of(owner) {
      // One reading at a time for each owner: the next one reads what came meanwhile.
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
        // What is known is asked at each look, so that an upload that ends meanwhile no longer counts.
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
