// Reads of an upload: the URL of a complete upload redirects to the content of its image.

import type { Image } from '../../../../protocol/images/image.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Clock } from '../../../contract/runtime.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import { ANSWER_HEADERS } from '../../uploads/tus.ts'
import type { UploadContext } from '../../uploads/upload-protocol.ts'

/** How long a request waits for the inspection of the image, in milliseconds: clients often read right after the upload. */
const INSPECTION_MS_MAX = 5000
/** Interval at which the state of the inspection is checked, in milliseconds. */
const LOOK_MS = 50

export interface UploadContentDeps {
  readonly uploads: Pick<Uploads, 'peek'>
  readonly images: { find(id: string): Pick<Image, 'status'> | undefined }
  readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>
}

/** Returns the id of the image of an upload; null for an unfinished upload and for a part. Throws ProblemError `not-found` or `upload-expired`. */
export async function imageOfUpload({ uploads }: UploadContentDeps, { actor }: UploadContext, id: string): Promise<string | null> {
  return (await uploads.peek(id, actor)).imageId
}

/**
 * Returns a 303 to the content of the upload's image (RFC 9110 §15.4.4). The location does not include an upload link: the link shows the id of the
 * image, as HEAD does, but does not allow reading it. Throws ProblemError `wrong-status` while there is no image.
 */
export async function redirectToContent(deps: UploadContentDeps, context: UploadContext, id: string): Promise<Response> {
  const imageId = await imageOfUpload(deps, context, id)
  if (imageId === null) throw problem('wrong-status', `Upload ${id} is not an image yet.`, { action: 'Send the rest of its bytes, then read the image.' })
  await inspected(deps, context.request.signal, imageId)
  return new Response(null, { status: 303, headers: { ...ANSWER_HEADERS, Location: `/v1/images/${imageId}/content` } })
}

/** Waits until the inspection of an image has ended or INSPECTION_MS_MAX has passed. If it has not ended, the request for the content reports that. */
async function inspected({ images, clock }: UploadContentDeps, signal: AbortSignal, imageId: string): Promise<void> {
  const endMs = clock.monotonicMs() + INSPECTION_MS_MAX
  while (images.find(imageId)?.status === 'creating' && clock.monotonicMs() < endMs && !signal.aborted) await clock.sleep(LOOK_MS)
}
