// Routes of /v1/uploads: tus 1.0.0 with all its extensions, and the resumable upload draft beside it (docs/tus.md).

import { z } from 'zod'
import { SLICES_MEDIA_TYPE } from '../../../protocol/frames.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { problemOf } from '../../contract/failures.ts'
import type { Clock } from '../../contract/runtime.ts'
import { CHECKSUM_ALGORITHMS } from '../../uploads/checksum.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { draftErrorHeaders, PARTIAL_MEDIA_TYPE, speaksDraft, uploadLimit } from '../resumable-upload.ts'
import { route } from '../route.ts'
import type { HttpMethod, Route, RouteAccess, RouteAnswer, RouteContext } from '../route.ts'
import { ANSWER_HEADERS, OFFSET_MEDIA_TYPE, optionsHeaders } from '../tus.ts'
import { UPLOADS_PATH } from '../upload-protocol.ts'
import type { UploadContext, UploadProtocol } from '../upload-protocol.ts'
import { draftUploads } from './draft-uploads.ts'
import { tusUploads } from './tus-uploads.ts'
import { imageOfUpload, redirectToContent } from './upload-content.ts'
import type { UploadContentDeps } from './upload-content.ts'

export interface UploadRoutesDeps {
  readonly uploads: Pick<Uploads, 'maxLength' | 'create' | 'show' | 'peek' | 'append' | 'remove'>
  readonly images: UploadContentDeps['images']
  readonly clock: Pick<Clock, 'sleep' | 'nowMs' | 'monotonicMs'>
}

const ACCESS: RouteAccess = { role: 'uploader', link: 'upload' }
const paramsSchema = z.object({ id: z.string().max(64) })

/** The routes of uploads. The headers of a request tell which protocol it speaks. */
export function uploadRoutes(deps: UploadRoutesDeps): Route[] {
  const draft = draftUploads(deps)
  const tus = tusUploads(deps)
  const spoken = (request: Request): UploadProtocol => (speaksDraft(request) ? draft : tus)

  const collection = { path: UPLOADS_PATH, access: ACCESS, errorHeaders, crossOrigin: true } as const
  const upload = { path: `${UPLOADS_PATH}/:id`, access: ACCESS, errorHeaders, crossOrigin: true, params: paramsSchema } as const
  const options = {
    method: 'OPTIONS',
    access: 'public',
    summary: 'Tells what of tus the server does',
    answers: ANSWERS.OPTIONS,
    run: () => answerOptions(deps),
  } as const
  /** HEAD that speaks neither protocol is that of GET; while there is no image, it is refused as tus without a version. */
  const showOrRedirect = async (context: UploadContext, id: string): Promise<Response> => {
    const { request } = context
    const isProtocol = request.headers.has('tus-resumable') || speaksDraft(request)
    if (isProtocol || (await imageOfUpload(deps, context, id)) === null) return spoken(request).show(context, id)
    return redirectToContent(deps, context, id)
  }
  return [
    route({ ...collection, ...options }),
    route({
      ...collection,
      method: 'POST',
      summary: 'Creates an upload',
      answers: ANSWERS.POST,
      run: (context) => guarded(context, () => spoken(context.request).create(context)),
    }),
    route({ ...upload, ...options }),
    route({
      ...upload,
      method: 'HEAD',
      summary: 'Tells how many bytes of an upload are durable',
      answers: ANSWERS.HEAD,
      run: (context) => guarded(context, () => showOrRedirect(context, context.params.id)),
    }),
    route({
      ...upload,
      method: 'GET',
      summary: 'Leads to the content of the image that a finished upload became',
      answers: ANSWERS.GET,
      run: (context) => guarded(context, () => redirectToContent(deps, context, context.params.id)),
    }),
    route({
      ...upload,
      method: 'PATCH',
      summary: 'Appends bytes to an upload; the last ones make it an image',
      answers: ANSWERS.PATCH,
      run: (context) => guarded(context, () => spoken(context.request).append(context, context.params.id)),
    }),
    route({
      ...upload,
      method: 'DELETE',
      summary: 'Removes an upload',
      answers: ANSWERS.DELETE,
      run: (context) => guarded(context, () => spoken(context.request).remove(context, context.params.id)),
    }),
  ]
}

const ANSWERS = {
  OPTIONS: { 204: { description: 'Version, extensions and limits in headers' } },
  POST: {
    201: { description: 'Created; its address in Location' },
    413: { description: 'Too long' },
    507: { description: 'Not enough space above the reserve' },
  },
  HEAD: {
    200: { description: 'Offset, length and metadata in headers' },
    303: { description: 'Without a header of either protocol: the content of the image that it became, in Location' },
    410: { description: 'Expired' },
  },
  GET: { 303: { description: 'The content of the image that it became, in Location' }, 410: { description: 'Expired' } },
  PATCH: {
    204: { description: 'The new offset in Upload-Offset; durable' },
    409: { description: 'Another offset is wanted, in Upload-Offset; or a slice that the body names is not in the store' },
    422: { description: 'The body does not have the digest of Content-Digest; nothing of it is kept' },
    460: { description: 'The body does not have the digest of Upload-Checksum; nothing of it is kept' },
  },
  DELETE: { 204: { description: 'Removed' } },
} as const satisfies Partial<Record<HttpMethod, Readonly<Record<number, RouteAnswer>>>>

/** Versions, extensions and limits (tus 1.0.0, "OPTIONS"). */
function answerOptions({ uploads }: UploadRoutesDeps): Response {
  const patches = [OFFSET_MEDIA_TYPE, PARTIAL_MEDIA_TYPE, SLICES_MEDIA_TYPE]
  const headers = optionsHeaders({ maxLength: uploads.maxLength, checksumAlgorithms: CHECKSUM_ALGORITHMS })
  return new Response(null, { status: 204, headers: { ...headers, 'Accept-Patch': patches.join(', '), 'Upload-Limit': uploadLimit(uploads.maxLength) } })
}

/** Headers of a refusal in the protocol that the request speaks. */
function errorHeaders(request: Request): Readonly<Record<string, string>> {
  return speaksDraft(request) ? draftErrorHeaders(request) : ANSWER_HEADERS
}

/** Runs a request; a refusal gets the headers of its protocol. */
async function guarded(context: Pick<RouteContext, 'request'>, run: () => Promise<Response>): Promise<Response> {
  try {
    return await run()
  } catch (error) {
    const refusal = problemOf(error)
    const headers = { ...errorHeaders(context.request), ...refusal.headers }
    throw new ProblemError(refusal.problem, { cause: refusal.cause, headers })
  }
}
