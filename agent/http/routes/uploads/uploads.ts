// Routes of /v1/uploads: tus 1.0.0 with all its extensions, and the resumable upload draft (docs/tus.md).

import { z } from 'zod'
import { SLICES_MEDIA_TYPE } from '../../../../protocol/slices/frames.ts'
import { pageQuerySchema, pageSchema } from '../../../../protocol/page.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import type { ProblemCode } from '../../../../protocol/problems.ts'
import { uploadSchema, uploadStateSchema } from '../../../../protocol/upload.ts'
import { linkStatusSchema } from '../../../../protocol/upload-link.ts'
import { problemOf } from '../../../contract/failures.ts'
import type { Clock } from '../../../contract/runtime.ts'
import { CHECKSUM_ALGORITHMS } from '../../../uploads/body/checksum.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import { answerPage } from '../../page-answer.ts'
import { draftErrorHeaders, PARTIAL_MEDIA_TYPE, speaksDraft, uploadLimit } from '../../uploads/resumable-upload.ts'
import { route } from '../../route.ts'
import type { Route, RouteAccess, RouteContext, RouteDefinition } from '../../route.ts'
import { ANSWER_HEADERS, OFFSET_MEDIA_TYPE, optionsHeaders } from '../../uploads/tus.ts'
import { UPLOAD_ANSWER_HEADERS, UPLOAD_BODIES, UPLOAD_REQUEST_HEADERS } from '../../uploads/upload-headers.ts'
import { uploadLocations, UPLOADS_PATH } from '../../uploads/upload-protocol.ts'
import type { UploadContext, UploadProtocol } from '../../uploads/upload-protocol.ts'
import { draftUploads } from './draft-uploads.ts'
import { answerLink } from './link-status.ts'
import type { LinkStatusDeps } from './link-status.ts'
import { tusUploads } from './tus-uploads.ts'
import { imageOfUpload, redirectToContent } from './upload-content.ts'
import type { UploadContentDeps } from './upload-content.ts'

export interface UploadRoutesDeps extends Pick<LinkStatusDeps, 'links' | 'storeName'> {
  readonly uploads: Pick<Uploads, 'maxLength' | 'create' | 'show' | 'peek' | 'append' | 'remove' | 'inProgress'>
  readonly images: UploadContentDeps['images'] & LinkStatusDeps['images']
  readonly clock: Pick<Clock, 'sleep' | 'nowMs' | 'monotonicMs'>
  /** Addresses in the data network as URLs; none without one. */
  readonly dataUrls?: () => readonly string[]
}

const ACCESS: RouteAccess = { role: 'uploader', link: 'upload' }
const paramsSchema = z.object({ id: z.string().max(64) })
/** The cursor of the list of uploads. */
export const uploadCursorSchema = z.string().regex(/^upl_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the next of an earlier page')
const listSchema = pageQuerySchema.extend({ cursor: uploadCursorSchema.optional(), state: uploadStateSchema.optional() })

/** Returns the routes of uploads. The headers of a request determine its protocol. */
export function uploadRoutes(deps: UploadRoutesDeps): Route[] {
  const location = uploadLocations(deps.dataUrls)
  const draft = draftUploads({ ...deps, location })
  const tus = tusUploads({ ...deps, location })
  const spoken = (request: Request): UploadProtocol => (speaksDraft(request) ? draft : tus)
  const onUpload = (context: UploadContext & { readonly params: { readonly id: string } }, run: (id: string) => Promise<Response>): Promise<Response> =>
    guarded(context, () => namingAbsence(deps, context, context.params.id, () => run(context.params.id)))

  const collection = { path: UPLOADS_PATH, access: ACCESS, errorHeaders, crossOrigin: true } as const
  const upload = { path: `${UPLOADS_PATH}/:id`, access: ACCESS, errorHeaders, crossOrigin: true, params: paramsSchema } as const
  const options = {
    method: 'OPTIONS',
    // The answer is the same for everyone.
    granted: true,
    access: 'public',
    ...DESCRIBED.options,
    summary: 'Shows the supported versions and extensions of tus',
    run: () => answerOptions(deps),
  } as const
  /** Answers HEAD. A request without headers of either protocol is answered like GET; while there is no image, it is refused for its missing version. */
  const showOrRedirect = async (context: UploadContext, id: string): Promise<Response> => {
    const { request } = context
    const isProtocol = request.headers.has('tus-resumable') || speaksDraft(request)
    if (isProtocol || (await imageOfUpload(deps, context, id)) === null) return spoken(request).show(context, id)
    return redirectToContent(deps, context, id)
  }
  return [
    route({ ...collection, ...options }),
    route({
      method: 'GET',
      path: UPLOADS_PATH,
      access: { role: 'viewer', link: 'upload' },
      summary: 'Lists uploads in progress, newest first: those of the token, and for operators all',
      description:
        'With an upload link, says what the link is for, how far its upload is, and how to send the file: as text, or with `Accept: application/json` as JSON.',
      query: listSchema,
      plainRefusals: true,
      answers: {
        200: {
          description: 'A page of uploads, or what the link says',
          schema: z.union([pageSchema(uploadSchema), linkStatusSchema]),
          streams: ['text/plain'],
        },
      },
      run(context) {
        const { query, actor } = context
        if (actor.link) return answerLink(deps, context, actor.link)
        return answerPage((limit) => deps.uploads.inProgress.list(actor, { ...query, limit }), query.limit)
      },
    }),
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
      summary: 'Shows how many bytes of an upload are durable',
      run: (context) => onUpload(context, (id) => showOrRedirect(context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.redirect,
      method: 'GET',
      summary: 'Shows an upload in progress as JSON, or redirects to the content of the image that was created from it',
      run: (context) => onUpload(context, (id) => showAsJson(deps, context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.append,
      method: 'PATCH',
      summary: 'Appends bytes to an upload; when all bytes have arrived, an image is created',
      run: (context) => onUpload(context, (id) => spoken(context.request).append(context, id)),
    }),
    route({
      ...upload,
      ...DESCRIBED.remove,
      method: 'DELETE',
      summary: 'Deletes an upload',
      run: (context) => onUpload(context, (id) => spoken(context.request).remove(context, id)),
    }),
  ]
}

/** The description of each operation in the OpenAPI document. */
const DESCRIBED = {
  options: {
    description: 'Also answers the preflight of a browser (CORS). Versions and limits are in the headers.',
    answers: { 204: { description: 'Version, extensions and limits in headers', headers: UPLOAD_ANSWER_HEADERS.options } },
  },
  create: {
    description:
      'A request with Tus-Resumable uses tus 1.0.0, a request with Upload-Complete the draft. tus requires exactly one of Upload-Length, Upload-Defer-Length and a final Upload-Concat.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.create,
    bodies: UPLOAD_BODIES.create,
    answers: { 201: { description: 'The upload was created; its URL is in Location', headers: UPLOAD_ANSWER_HEADERS.create } },
    problems: [
      'unsupported-version',
      'length-mismatch',
      'format-mismatch',
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
    description: 'Without headers of either protocol, a complete upload is answered like GET.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.other,
    answers: {
      200: { description: 'tus: offset, length and metadata in headers', headers: UPLOAD_ANSWER_HEADERS.show },
      204: { description: 'Draft: offset, length and limits in headers', headers: UPLOAD_ANSWER_HEADERS.show },
      303: { description: 'Redirect to the content of the image', headers: UPLOAD_ANSWER_HEADERS.redirect },
    },
    problems: ['unsupported-version', 'upload-expired', 'upload-locked'],
  },
  redirect: {
    description:
      'With `Accept: application/json`, an upload in progress is shown as JSON. Otherwise waits up to five seconds for the inspection of the image. An upload link does not allow reading the content.',
    answers: {
      200: { description: 'The upload in progress', schema: uploadSchema },
      303: { description: 'Redirect to the content of the image', headers: UPLOAD_ANSWER_HEADERS.redirect },
    },
    problems: ['wrong-status', 'upload-expired'],
  },
  append: {
    description: 'The offset in the answer is durable. If the body ends early, the bytes that arrived are kept, unless the request has a digest of its body.',
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
    description: 'Does not delete the image of a complete upload.',
    requestHeaders: UPLOAD_REQUEST_HEADERS.other,
    answers: { 204: { description: 'The upload was deleted', headers: UPLOAD_ANSWER_HEADERS.remove } },
    problems: ['unsupported-version', 'upload-expired', 'upload-locked'],
  },
} as const satisfies Record<string, Partial<RouteDefinition>>

/** Answers GET: JSON for a client that names that type and an upload without an image, else the redirect. */
async function showAsJson(deps: UploadRoutesDeps, context: UploadContext, id: string): Promise<Response> {
  const isJson = /\bapplication\/json\b/i.test(context.request.headers.get('accept') ?? '')
  if (!isJson || (await imageOfUpload(deps, context, id)) !== null) return redirectToContent(deps, context, id)
  return Response.json(await deps.uploads.inProgress.describe(id, context.actor), { headers: { Vary: 'Accept' } })
}

/** Returns the answer with versions, extensions and limits (tus 1.0.0, "OPTIONS"). */
function answerOptions({ uploads }: UploadRoutesDeps): Response {
  const patches = [OFFSET_MEDIA_TYPE, PARTIAL_MEDIA_TYPE, SLICES_MEDIA_TYPE]
  const headers = optionsHeaders({ maxLength: uploads.maxLength, checksumAlgorithms: CHECKSUM_ALGORITHMS })
  return new Response(null, { status: 204, headers: { ...headers, 'Accept-Patch': patches.join(', '), 'Upload-Limit': uploadLimit(uploads.maxLength) } })
}

/** Returns the headers of a refusal in the protocol of the request. */
function errorHeaders(request: Request): Readonly<Record<string, string>> {
  return speaksDraft(request) ? draftErrorHeaders(request) : ANSWER_HEADERS
}

/** Problems with the headers of a request. */
const HEADER_PROBLEMS: ReadonlySet<ProblemCode> = new Set(['unsupported-version', 'unsupported-media-type', 'invalid-input'])

/** Runs a request for one upload. If its headers are refused, checks first that the upload exists: a missing upload takes precedence (RFC 9110 §13.2.1). */
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
