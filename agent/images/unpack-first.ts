// The step before the inspection of an image that was uploaded with `decompress=true`: unpacks it and makes the unpacked bytes its content.

import { SliceUnreadable } from '../contract/slices.ts'
import { refusedUnseen } from './formats/inspection.ts'
import type { Refusal } from './formats/inspection.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { unpacked } from './records/image-states.ts'
import type { Examination } from './records/image-states.ts'
import type { WrittenManifest } from './manifests/manifest-writer.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { SLICES_ACTION } from './damage/slice-damage.ts'
import type { Unpacking } from './unpack/unpacking.ts'

export interface UnpackFirstDeps {
  readonly keeper: ImageKeeper
  readonly ownerLimit: OwnerLimit
  readonly unpacking: Pick<Unpacking, 'unpack' | 'discard'>
}

/** Unpacks an image if it is compressed; `onUnpacked` is told how far, and null in the end. Returns why it is refused, or undefined if it can be examined. Throws disk errors. */
export async function unpackFirst(
  deps: UnpackFirstDeps,
  id: string,
  signal: AbortSignal,
  onUnpacked: (bytes: number | null) => void,
): Promise<Examination | undefined> {
  const { image, life } = deps.keeper.need(id)
  if (life.compressed === null) return undefined
  const compressed = { image, manifestDigest: life.compressed, declaredDigest: life.declared.digest, onUnpacked }
  try {
    const outcome = await deps.unpacking.unpack(compressed, (manifest) => commit(deps, id, manifest), signal)
    return outcome.kind === 'refused' ? refused(outcome.refusal, outcome.reason) : undefined
  } catch (error) {
    if (!(error instanceof SliceUnreadable)) throw error
    return refused('data-corrupt', `The compressed file of image ${image.name} cannot be read back: ${error.message}. ${SLICES_ACTION}`)
  } finally {
    onUnpacked(null)
  }
}

/** Makes the unpacked bytes the content of the image; durable when it resolves. Throws `limit-reached` if its owner may not have that many bytes. */
async function commit({ keeper, ownerLimit }: UnpackFirstDeps, id: string, manifest: WrittenManifest): Promise<void> {
  using _claim = ownerLimit.claim({ id, owner: keeper.need(id).image.owner, length: manifest.imageLength })
  await keeper.change(id, (stored) => {
    // The image was removed while it was unpacked.
    if (stored.image.status !== 'creating') throw new Error(`image ${id} is ${stored.image.status}`)
    return unpacked(stored, manifest)
  })
}

function refused(refusal: Refusal, reason: string): Examination {
  return { inspection: refusedUnseen(refusal, reason), storedSize: null }
}
