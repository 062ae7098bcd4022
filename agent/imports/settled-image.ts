// Waits until the image of an import was inspected, so that its task ends with the outcome of the image.

import type { Image, ImageStatus } from '../../protocol/images/image.ts'
import { problem, PROBLEMS } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { ImagePublisher } from '../contract/images.ts'
import type { Clock } from '../contract/runtime.ts'

/** How often the image is looked at, in milliseconds. */
const LOOK_MS = 100
const UNSETTLED: ReadonlySet<ImageStatus> = new Set(['uploading', 'pending', 'creating'])

/** Resolves with the image once it is available. `digest` is the expected one. Throws ProblemError when it was refused or deleted. */
export async function settledImage(
  { images, clock }: { readonly images: Pick<ImagePublisher, 'find'>; readonly clock: Clock },
  { id, digest }: { readonly id: string; readonly digest: string | undefined },
  signal: AbortSignal,
): Promise<Image> {
  for (;;) {
    const image = images.find(id)
    if (!image) throw problem('not-found', `Image ${id} was deleted before its import ended.`)
    if (image.status === 'error') throw refused(image, digest)
    if (!UNSETTLED.has(image.status)) return image
    await clock.sleep(LOOK_MS, signal)
  }
}

function refused({ id, digest, formatDetails, statusReason }: Image, expected: string | undefined): Error {
  const isOtherDigest = expected !== undefined && digest !== null && digest !== expected
  const action = `Delete image ${id}, correct the source, and import it again.`
  const code = isOtherDigest ? 'digest-mismatch' : refusalCode(formatDetails?.refusal)
  return problem(code, statusReason ?? 'The image was refused.', { action })
}

/** Returns the code for which the inspection refused an image. */
function refusalCode(refusal: string | null | undefined): ProblemCode {
  return refusal !== null && refusal !== undefined && refusal in PROBLEMS ? (refusal as ProblemCode) : 'unsafe-image'
}
