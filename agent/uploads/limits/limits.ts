// Limits of uploads: their length, their entries, and the space above the reserve that each is promised.

import { MANIFEST_ENTRIES_MAX, MANIFEST_ENTRY_BYTES } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { formatSize } from '../../../protocol/units.ts'
import type { Actor } from '../../contract/access.ts'
import type { Space } from '../../contract/space.ts'
import { ENTRY_BYTES } from '../record/journal-codec.ts'
import type { UploadFile } from '../record/upload-file.ts'
import type { Upload } from '../record/upload.ts'

/** Most entries of one upload: with more it could not become an image. */
export const UPLOAD_ENTRIES_MAX = MANIFEST_ENTRIES_MAX
/** Most bytes that a body brings before its upload renews its promise of space: those between two checkpoints. */
export const RENEWAL_BYTES = 64 * 1024 * 1024
/** Bytes that must fit before an upload of deferred length accepts more: it may be short. */
export const DEFERRED_RENEWAL_BYTES = 1024 * 1024
/** Account of uploads of format 1, whose creator is unknown. */
const FORMER_CREATORS = 'format 1'

/** Returns the longest upload that an actor may send, in bytes. */
export function lengthLimit(maxLength: number, actor: Actor): number {
  return Math.min(maxLength, actor.link?.maxLength ?? maxLength)
}

/** Returns the refusal of a length over a limit, both in bytes. */
export function refuseTooLong(length: number, limit: number): ProblemError {
  return problem('payload-too-large', `${length} bytes exceed the limit of ${limit} bytes for this upload.`, { limit })
}

/** Returns the refusal of an upload with more entries than an image can have. */
export function refuseTooManyEntries(count: number, limit: number): ProblemError {
  return problem('payload-too-large', `The upload would have ${count} slices; an image can have at most ${limit}.`, { limit })
}

/** Returns the bytes that a final upload with this many entries needs on the disk: its journal, and the manifest of its image. */
export function concatenationBytes(entryCount: number): number {
  return entryCount * (ENTRY_BYTES + MANIFEST_ENTRY_BYTES)
}

/**
 * Returns the bytes that an upload may still need on the disk: the missing data, and the manifest entries of the present data. An entry covers
 * at least one block of the cutter, which is longer than the entry in journal and manifest, so the missing data includes its entries.
 */
export function bytesToCome({ file, journal }: Upload): number {
  const manifestBytes = file.kind === 'partial' ? 0 : journal.entryCount * MANIFEST_ENTRY_BYTES
  return (file.length === null ? 0 : file.length - journal.offset) + manifestBytes
}

/** Returns the key of an upload's promise of space. */
export function spaceKey(id: string): string {
  return `upload ${id}`
}

type Creation = Pick<UploadFile, 'id' | 'creatorTokenId'>

function accountOf({ id, creatorTokenId }: Creation): { readonly key: string; readonly account: string } {
  return { key: spaceKey(id), account: creatorTokenId ?? FORMER_CREATORS }
}

/** Space above the reserve that an upload requests, in bytes. */
export interface SpaceOrder {
  /** What it may still need. As much of it is promised as the share of its creator allows. */
  readonly bytes: number
  /** What must fit now. */
  readonly fitting: number
}

/** Promises space to an upload. Throws `insufficient-storage` when what must fit does not. */
export async function promiseSpace(space: Space, file: Creation, order: SpaceOrder): Promise<void> {
  if (await space.promiseShare({ ...accountOf(file), ...order })) return
  const { availableBytes } = await space.state()
  const detail = `The upload needs ${formatSize(order.fitting)}; the store has ${formatSize(availableBytes)} above its reserve. Everything acknowledged is kept.`
  throw problem('insufficient-storage', detail, { neededBytes: order.fitting, availableBytes })
}

/** Adjusts the promise of an upload to its present bytes. When the rest does not fit, the former promise stays. */
export async function adjustSpace(space: Pick<Space, 'promiseShare'>, upload: Upload): Promise<void> {
  await space.promiseShare({ ...accountOf(upload.file), bytes: bytesToCome(upload), fitting: 0 })
}

/**
 * Renews the promise of an upload that is about to accept more bytes. Throws `insufficient-storage` when the free space is below the reserve,
 * or when the bytes until the next renewal do not fit next to what others were promised.
 */
export async function renewSpace(space: Space, upload: Upload): Promise<void> {
  const { file, journal } = upload
  const fitting = file.length === null ? DEFERRED_RENEWAL_BYTES : Math.min(file.length - journal.offset, RENEWAL_BYTES)
  await promiseSpace(space, file, { bytes: bytesToCome(upload), fitting })
  if (!(await space.isBelowReserve())) return
  throw problem('insufficient-storage', 'The free space of the store is below its reserve. Everything acknowledged is kept.')
}
