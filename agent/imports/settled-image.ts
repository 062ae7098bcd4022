// Waits until the image of an import was inspected, so that its task ends with the outcome of the image.

import type { Image, ImageStatus } from '../../protocol/images/image.ts'
import { problem, PROBLEMS } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { ImagePublisher } from '../contract/images.ts'
import type { Clock } from '../contract/runtime.ts'

/** How often the image is looked at, in milliseconds. */
const LOOK_MS = 100
const UNSETTLED: ReadonlySet<ImageStatus> = new Set(['uploading', 'pending', 'creating'])
/** Codes of images in error whose bytes are not at fault: the reason says what to do before the image is restored. */
const RESTORABLE: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['insufficient-storage', 'limit-reached', 'data-corrupt', 'store-unavailable', 'internal'])

/** Resolves with the image once it is available. Throws ProblemError with the code and the reason of the image when it was refused, and when it was deleted. */
export async function settledImage(
  { images, clock }: { readonly images: Pick<ImagePublisher, 'find'>; readonly clock: Clock },
  id: string,
  signal: AbortSignal,
): Promise<Image> {
  for (;;) {
    const image = images.find(id)
    if (!image) throw problem('not-found', `Image ${id} was deleted before its import ended.`)
    if (image.status === 'error') throw refused(image)
    if (!UNSETTLED.has(image.status)) return image
    await clock.sleep(LOOK_MS, signal)
  }
}

function refused({ id, formatDetails, statusReason }: Image): Error {
  const code = refusalCode(formatDetails?.refusal)
  const action = RESTORABLE.has(code)
    ? `Do what the detail says, then restore image ${id}, or delete it and import it again.`
    : `Delete image ${id}, correct the source, and import it again.`
  return problem(code, statusReason ?? 'The image was refused.', { action })
}

/** Returns the code for which an image was refused. One that is in error for another reason has a damaged manifest. */
function refusalCode(refusal: string | null | undefined): ProblemCode {
  return refusal !== null && refusal !== undefined && Object.hasOwn(PROBLEMS, refusal) ? (refusal as ProblemCode) : 'data-corrupt'
}
