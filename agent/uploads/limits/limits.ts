// Limits of uploads: of length and entries, and of the space above the reserve that each is promised.

import { MANIFEST_ENTRIES_MAX, MANIFEST_ENTRY_BYTES } from '../../../protocol/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { formatSize } from '../../../protocol/units.ts'
import type { Actor } from '../../contract/access.ts'
import type { Space } from '../../contract/space.ts'
import { ENTRY_BYTES } from '../record/journal-codec.ts'
import type { UploadFile } from '../record/upload-file.ts'
import type { Upload } from '../record/upload.ts'

/** Entries of one upload at most: it could not become an image with more. */
export const UPLOAD_ENTRIES_MAX = MANIFEST_ENTRIES_MAX
/** Bytes that a body brings at most before its upload asks for space again: what it brings between two checkpoints. */
export const RENEWAL_BYTES = 64 * 1024 * 1024
/** Bytes for which there must be room before an upload of deferred length takes more: it may be a short one. */
export const DEFERRED_RENEWAL_BYTES = 1024 * 1024
/** Account of uploads of format 1, whose creator is not known. */
const FORMER_CREATORS = 'format 1'

/** Longest upload this actor may send, in bytes. */
export function lengthLimit(maxLength: number, actor: Actor): number {
  return Math.min(maxLength, actor.link?.maxLength ?? maxLength)
}

/** The refusal of a length over a limit, both in bytes. */
export function refuseTooLong(length: number, limit: number): ProblemError {
  return problem('payload-too-large', `${length} bytes are more than the ${limit} that are possible here.`, { limit })
}

/** The refusal of an upload with more entries than an image can have. */
export function refuseTooManyEntries(count: number, limit: number): ProblemError {
  return problem('payload-too-large', `The upload would have ${count} slices; an image can have ${limit}.`, { limit })
}

/** Bytes that a final upload with this many entries takes on the disk: its journal, and the manifest of its image. */
export function concatenationBytes(entryCount: number): number {
  return entryCount * (ENTRY_BYTES + MANIFEST_ENTRY_BYTES)
}

/**
 * Bytes that an upload may still take on the disk: the data to come and the manifest of what is there. An entry covers at least one block of
 * the cutter, which is longer than what the entry takes in journal and manifest, so the data to come stands for its entries too.
 */
export function bytesToCome({ file, journal }: Upload): number {
  const manifestBytes = file.kind === 'partial' ? 0 : journal.entryCount * MANIFEST_ENTRY_BYTES
  return (file.length === null ? 0 : file.length - journal.offset) + manifestBytes
}

/** Key of an upload's promise of space. */
export function spaceKey(id: string): string {
  return `upload ${id}`
}

type Creation = Pick<UploadFile, 'id' | 'creatorTokenId'>

function accountOf({ id, creatorTokenId }: Creation): { readonly key: string; readonly account: string } {
  return { key: spaceKey(id), account: creatorTokenId ?? FORMER_CREATORS }
}

/** What an upload asks for of the space above the reserve, in bytes. */
export interface SpaceOrder {
  /** What it may still take; as much of it is promised as the share of its creator allows. */
  readonly bytes: number
  /** What there must be room for now. */
  readonly fitting: number
}

/** Promises an upload space; throws `insufficient-storage` when there is no room for what must fit. */
export async function promiseSpace(space: Space, file: Creation, order: SpaceOrder): Promise<void> {
  if (await space.promiseShare({ ...accountOf(file), ...order })) return
  const { availableBytes } = await space.state()
  const detail = `The upload needs ${formatSize(order.fitting)}; the store has ${formatSize(availableBytes)} above its reserve. What was acknowledged is kept.`
  throw problem('insufficient-storage', detail, { neededBytes: order.fitting, availableBytes })
}

/** Fits the promise of an upload to what it holds now. Where there is no room for the rest, the former promise stays. */
export async function adjustSpace(space: Pick<Space, 'promiseShare'>, upload: Upload): Promise<void> {
  await space.promiseShare({ ...accountOf(upload.file), bytes: bytesToCome(upload), fitting: 0 })
}

/**
 * Renews the promise of an upload that is about to take more bytes. Throws `insufficient-storage` when the free space is below the reserve, or
 * has no room for the bytes until the next renewal beside what others were promised.
 */
export async function renewSpace(space: Space, upload: Upload): Promise<void> {
  const { file, journal } = upload
  const fitting = file.length === null ? DEFERRED_RENEWAL_BYTES : Math.min(file.length - journal.offset, RENEWAL_BYTES)
  await promiseSpace(space, file, { bytes: bytesToCome(upload), fitting })
  if (!(await space.isBelowReserve())) return
  throw problem('insufficient-storage', 'The free space of the store is below its reserve. What was acknowledged is kept.')
}
