// Routes of /v1/uploads: tus 1.0.0 with all its extensions, and the resumable upload draft (docs/tus.md).

import { z } from 'zod'
import { SLICES_MEDIA_TYPE } from '../../../protocol/frames.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { problemOf } from '../../contract/failures.ts'
import type { Clock } from '../../contract/runtime.ts'
import { CHECKSUM_ALGORITHMS } from '../../uploads/body/checksum.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { draftErrorHeaders, PARTIAL_MEDIA_TYPE, speaksDraft, uploadLimit } from '../resumable-upload.ts'
import { route } from '../route.ts'
import type { Route, RouteAccess, RouteContext, RouteDefinition } from '../route.ts'
import { ANSWER_HEADERS, OFFSET_MEDIA_TYPE, optionsHeaders } from '../tus.ts'
import { UPLOAD_ANSWER_HEADERS, UPLOAD_BODIES, UPLOAD_REQUEST_HEADERS } from '../upload-headers.ts'
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

/** Returns the routes of uploads. The headers of a request determine its protocol. */
export function uploadRoutes(deps: UploadRoutesDeps): Route[] {
  const draft = draftUploads(deps)
  const tus = tusUploads(deps)
  const spoken = (request: Request): UploadProtocol => (speaksDraft(request) ? draft : tus)
  const onUpload = (context: UploadContext & { readonly params: { readonly id: string } }, run: (id: string) => Promise<Response>): Promise<Response> =>
    guarded(context, () => namingAbsence(deps, context, context.params.id, () => run(context.params.id)))

  const collection = { path: UPLOADS_PATH, access: ACCESS, errorHeaders, crossOrigin: true } as const
  const upload = { path: `${UPLOADS_PATH}/:id`, access: ACCESS, errorHeaders, crossOrigin: true, params: paramsSchema } as const
  const options = {
    method: 'OPTIONS',
    access: 'public',
    ...DESCRIBED.options,
    summary: 'Tells what of tus the server does',
    run: () => answerOptions(deps),
  } as const
  /** A HEAD of neither protocol is answered as that of GET; while there is no image, it is refused as tus without a version. */
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
      ...DESCRIBED.create,
      method: 'POST',
      summary: 'Creates an upload',
      run: (context) => guarded(context, () => spoken(context.request).create(context)),
    }),
    route({ ...upload, ...options }),
    route({
      ...upload,
      ...DESCRIBED.show,
      method: 'HEAD',
      summary: 'Tells how many bytes of an upload are durable',
      run: (context) => onUpload(context, (id) => showOrRedirect(context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.redirect,
      method: 'GET',
      summary: 'Leads to the content of the image that a finished upload became',
      run: (context) => onUpload(context, (id) => redirectToContent(deps, context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.append,
      method: 'PATCH',
      summary: 'Appends bytes to an upload; the last ones make it an image',
      run: (context) => onUpload(context, (id) => spoken(context.request).append(context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.remove,
      method: 'DELETE',
      summary: 'Removes an upload',
      run: (context) => onUpload(context, (id) => spoken(context.request).remove(context, id)),
    }),
  ]
}

/** The description of each operation in the OpenAPI document. */
const DESCRIBED = {
  options: {
    description: 'Also the preflight of a browser (CORS). Versions and limits are in the headers.',
    answers: { 204: { description: 'Version, extensions and limits in headers', headers: UPLOAD_ANSWER_HEADERS.options } },
  },
  create: {
    description:
      'tus 1.0.0 with Tus-Resumable, the draft with Upload-Complete. tus wants exactly one of Upload-Length, Upload-Defer-Length and a final Upload-Concat.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.create,
    bodies: UPLOAD_BODIES.create,
    answers: { 201: { description: 'Created; its address is in Location', headers: UPLOAD_ANSWER_HEADERS.create } },
    problems: [
      'unsupported-version',
      'length-mismatch',
      'not-found',
      'wrong-status',
      'store-disabled',
      'checksum-mismatch',
      'digest-mismatch',
      'upload-cut',
      'upload-locked',
    ],
  },
  show: {
    description: 'Without a header of either protocol it answers as GET does, once the upload is finished.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.other,
    answers: {
      200: { description: 'tus: offset, length and metadata in headers', headers: UPLOAD_ANSWER_HEADERS.show },
      204: { description: 'Draft: offset, length and limits in headers', headers: UPLOAD_ANSWER_HEADERS.show },
      303: { description: 'The content of the image that it became', headers: UPLOAD_ANSWER_HEADERS.redirect },
    },
    problems: ['unsupported-version', 'upload-expired', 'upload-locked'],
  },
  redirect: {
    description: 'Waits up to five seconds for the inspection of the image. The content wants a right of its own: an upload link does not open it.',
    answers: { 303: { description: 'The content of the image that it became', headers: UPLOAD_ANSWER_HEADERS.redirect } },
    problems: ['wrong-status', 'upload-expired'],
  },
  append: {
    description: 'The offset of the answer is durable. What arrived is kept however the body ends, unless it came with a digest.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.append,
    bodies: UPLOAD_BODIES.append,
    answers: { 204: { description: 'The new offset is in Upload-Offset', headers: UPLOAD_ANSWER_HEADERS.append } },
    problems: [
      'unsupported-version',
      'offset-mismatch',
      'length-mismatch',
      'upload-complete',
      'upload-cut',
      'upload-final',
      'upload-locked',
      'upload-expired',
      'slice-missing',
      'tail-not-empty',
      'store-disabled',
      'checksum-mismatch',
      'digest-mismatch',
    ],
  },
  remove: {
    description: 'The image of a finished upload stays.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.other,
    answers: { 204: { description: 'Removed', headers: UPLOAD_ANSWER_HEADERS.remove } },
    problems: ['unsupported-version', 'upload-expired', 'upload-locked'],
  },
} as const satisfies Record<string, Partial<RouteDefinition>>

/** Versions, extensions and limits (tus 1.0.0, "OPTIONS"). */
function answerOptions({ uploads }: UploadRoutesDeps): Response {
  const patches = [OFFSET_MEDIA_TYPE, PARTIAL_MEDIA_TYPE, SLICES_MEDIA_TYPE]
  const headers = optionsHeaders({ maxLength: uploads.maxLength, checksumAlgorithms: CHECKSUM_ALGORITHMS })
  return new Response(null, { status: 204, headers: { ...headers, 'Accept-Patch': patches.join(', '), 'Upload-Limit': uploadLimit(uploads.maxLength) } })
}

/** Returns the headers of a refusal in the protocol of the request. */
function errorHeaders(request: Request): Readonly<Record<string, string>> {
  return speaksDraft(request) ? draftErrorHeaders(request) : ANSWER_HEADERS
}

/** Problems of the headers of a request. */
const HEADER_PROBLEMS: ReadonlySet<ProblemCode> = new Set(['unsupported-version', 'unsupported-media-type', 'invalid-input'])

/** Runs a request for one upload. For an upload that does not exist, the answer says so, whatever the headers are (RFC 9110 §13.2.1). */
async function namingAbsence({ uploads }: UploadRoutesDeps, { actor }: UploadContext, id: string, run: () => Promise<Response>): Promise<Response> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof ProblemError && HEADER_PROBLEMS.has(error.code)) await uploads.peek(id, actor)
    throw error
  }
}

/** Runs a request, and adds the headers of its protocol to a refusal. */
async function guarded(context: Pick<RouteContext, 'request'>, run: () => Promise<Response>): Promise<Response> {
  try {
    return await run()
  } catch (error) {
    const refusal = problemOf(error)
    const headers = { ...errorHeaders(context.request), ...refusal.headers }
    throw new ProblemError(refusal.problem, { cause: refusal.cause, headers })
  }
}
