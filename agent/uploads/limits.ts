// Limits of uploads: of length, and of the space above the reserve that each is promised.

import { MANIFEST_ENTRIES_MAX, MANIFEST_ENTRY_BYTES } from '../../protocol/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { formatSize } from '../../protocol/units.ts'
import type { Actor } from '../contract/access.ts'
import type { Space } from '../contract/space.ts'
import { ENTRY_BYTES } from './journal-codec.ts'
import type { Upload } from './upload.ts'

/** Entries of one upload at most: it could not become an image with more. */
export const UPLOAD_ENTRIES_MAX = MANIFEST_ENTRIES_MAX

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

/** Promises an upload its bytes; throws `insufficient-storage` when they are over the space above the reserve. */
export async function promiseSpace(space: Space, id: string, bytes: number): Promise<void> {
  if (await space.promise(spaceKey(id), bytes)) return
  const { availableBytes } = await space.state()
  const detail = `The upload needs ${formatSize(bytes)}; the store has ${formatSize(availableBytes)} above its reserve.`
  throw problem('insufficient-storage', detail, { neededBytes: bytes, availableBytes })
}

/** Throws `insufficient-storage` when the free space is below the reserve. */
export async function refuseWithoutSpace(space: Pick<Space, 'isBelowReserve'>): Promise<void> {
  if (!(await space.isBelowReserve())) return
  throw problem('insufficient-storage', 'The free space of the store is below its reserve. What was acknowledged is kept.')
}
