// Reading an upload: the address of a finished one leads to the content of its image.

import type { Image } from '../../../protocol/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { ANSWER_HEADERS } from '../tus.ts'
import type { UploadContext } from '../upload-protocol.ts'

/** How long a request waits for an image that is being inspected, in milliseconds: clients read right after they have sent. */
const INSPECTION_MS_MAX = 5000
/** How often it looks whether the inspection has ended. */
const LOOK_MS = 50

export interface UploadContentDeps {
  readonly uploads: Pick<Uploads, 'peek'>
  readonly images: { find(id: string): Pick<Image, 'status'> | undefined }
  readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>
}

/** Id of the image that an upload became; null until it is finished, and for a part. Throws ProblemError `not-found` or `upload-expired`. */
export async function imageOfUpload({ uploads }: UploadContentDeps, { actor }: UploadContext, id: string): Promise<string | null> {
  return (await uploads.peek(id, actor)).imageId
}

/**
 * 303 to the content of the image of an upload (RFC 9110 §15.4.4). The address carries no link: an upload link shows which image its upload
 * became, as HEAD does, but reading wants a right of its own. Throws ProblemError `wrong-status` while there is no image.
 */
export async function redirectToContent(deps: UploadContentDeps, context: UploadContext, id: string): Promise<Response> {
  const imageId = await imageOfUpload(deps, context, id)
  if (imageId === null) throw problem('wrong-status', `Upload ${id} is not an image yet.`, { action: 'Send the rest of its bytes, then read the image.' })
  await inspected(deps, context.request.signal, imageId)
  return new Response(null, { status: 303, headers: { ...ANSWER_HEADERS, Location: `/v1/images/${imageId}/content` } })
}

/** Resolves when an image is no longer being inspected, or after a while: then its content tells what is wrong. */
async function inspected({ images, clock }: UploadContentDeps, signal: AbortSignal, imageId: string): Promise<void> {
  const endMs = clock.monotonicMs() + INSPECTION_MS_MAX
  while (images.find(imageId)?.status === 'creating' && clock.monotonicMs() < endMs && !signal.aborted) await clock.sleep(LOOK_MS)
}
