// Limits of uploads: of length, and of the space above the reserve that each is promised.

import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { formatSize } from '../../protocol/units.ts'
import type { Actor } from '../contract/access.ts'
import type { Space } from '../contract/space.ts'

/** Longest upload this actor may send, in bytes. */
export function lengthLimit(maxLength: number, actor: Actor): number {
  return Math.min(maxLength, actor.link?.maxLength ?? maxLength)
}

/** The refusal of a length over a limit, both in bytes. */
export function refuseTooLong(length: number, limit: number): ProblemError {
  return problem('payload-too-large', `${length} bytes are more than the ${limit} that are possible here.`, { limit })
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
