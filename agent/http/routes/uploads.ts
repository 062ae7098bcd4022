// Routes of /v1/uploads: tus 1.0.0 with all its extensions, and the resumable upload draft beside it (docs/tus.md).

import { z } from 'zod'
import { SLICES_MEDIA_TYPE } from '../../../protocol/frames.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { problemOf } from '../../contract/failures.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { UploadBody } from '../../uploads/append.ts'
import { CHECKSUM_ALGORITHMS } from '../../uploads/checksum.ts'
import { parseConcat } from '../../uploads/concatenation.ts'
import type { UploadView } from '../../uploads/upload.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { drainBody } from '../drain.ts'
import { route } from '../route.ts'
import type { HttpMethod, Route, RouteAccess, RouteContext } from '../route.ts'
import {
  byteCount,
  answerHeaders,
  crossOriginHeaders,
  effectiveMethod,
  hasMediaType,
  httpDate,
  notAllowed,
  OFFSET_MEDIA_TYPE,
  optionsHeaders,
  requireBodyMediaType,
  requireVersion,
} from '../tus.ts'
import { draftErrorHeaders, PARTIAL_MEDIA_TYPE, speaksDraft, uploadLimit } from '../resumable-upload.ts'
import { readDigests } from '../upload-digests.ts'
import { draftUploads } from './draft-uploads.ts'

export interface UploadRoutesDeps {
  readonly uploads: Pick<Uploads, 'maxLength' | 'create' | 'show' | 'append' | 'remove'>
  readonly clock: Pick<Clock, 'sleep' | 'nowMs'>
  /** Origins of pages that may upload from a browser, such as `https://console.example`; `*` for any. */
  readonly origins: readonly string[]
}

const COLLECTION = '/v1/uploads'
const ACCESS: RouteAccess = { role: 'uploader', link: 'upload' }

type Context = RouteContext<{ id: string } | undefined, undefined, undefined>

/** The routes of tus uploads. */
export function uploadRoutes(deps: UploadRoutesDeps): Route[] {
  const { uploads, origins } = deps
  const draft = draftUploads(deps)
  const errorHeaders = (request: Request): Record<string, string> =>
    speaksDraft(request) ? { ...draftErrorHeaders(request), ...crossOriginHeaders(request, origins) } : answerHeaders(request, origins)

  const answer = (request: Request, status: number, headers: Record<string, string>): Response =>
    new Response(null, { status, headers: { ...answerHeaders(request, origins), ...headers } })

  const options = ({ request }: Context): Response => {
    const limits = { maxLength: uploads.maxLength, checksumAlgorithms: CHECKSUM_ALGORITHMS }
    const headers = optionsHeaders(limits, 'Access-Control-Allow-Origin' in crossOriginHeaders(request, origins))
    const patches = [OFFSET_MEDIA_TYPE, PARTIAL_MEDIA_TYPE, SLICES_MEDIA_TYPE]
    return answer(request, 204, { ...headers, 'Accept-Patch': patches.join(', '), 'Upload-Limit': uploadLimit(uploads.maxLength) })
  }

  const onCollection = async (context: Context): Promise<Response> => {
    const { request, actor, url } = context
    const method = effectiveMethod(request)
    if (method === 'OPTIONS') return options(context)
    if (speaksDraft(request)) return draft.onCollection(context, COLLECTION)
    requireVersion(request)
    if (method !== 'POST') throw notAllowed(method, 'POST, OPTIONS')
    const order = { actor, ...readOrder(request), digest: readDigests(request).digest }
    const body = readCreationBody(context, order.concat?.kind === 'final')
    const view = await uploads.create(order, body)
    // A link authenticates by its query: the client needs it for every further request.
    const location = `${COLLECTION}/${view.id}${actor.link ? url.search : ''}`
    return answer(request, 201, { Location: location, 'Upload-Offset': String(view.offset), ...stateHeaders(view) })
  }

  const onUpload = async (context: Context): Promise<Response> => {
    const { request, actor } = context
    const id = context.params?.id ?? ''
    const method = effectiveMethod(request)
    if (method !== 'OPTIONS' && speaksDraft(request)) return draft.onUpload(context, id)
    switch (method) {
      case 'OPTIONS':
        return options(context)
      case 'HEAD':
        requireVersion(request)
        return answer(request, 200, showHeaders(await uploads.show(id, actor)))
      case 'PATCH': {
        requireVersion(request)
        requireBodyMediaType(request)
        const offset = byteCount(request, 'Upload-Offset')
        if (offset === undefined) throw problem('invalid-input', 'The request has no Upload-Offset header.')
        const body = readBody(context)
        // A link says what may be sent, not what the store has: its holder proves every byte.
        if (body.isSlices && actor.link) throw problem('forbidden', `A link takes ${OFFSET_MEDIA_TYPE} only.`)
        const view = await uploads.append(id, actor, offset, body)
        const headers: Record<string, string> = { 'Upload-Offset': String(view.offset), ...stateHeaders(view) }
        // The rest of a body that was ended is never read: its connection carries no further request.
        if (view.isShort) headers['Connection'] = 'close'
        return answer(request, 204, headers)
      }
      case 'DELETE':
        requireVersion(request)
        await uploads.remove(id, actor)
        return answer(request, 204, {})
      default:
        throw notAllowed(method, 'HEAD, PATCH, DELETE, POST, OPTIONS')
    }
  }

  /** Puts the headers of every answer on a refusal too and reads a little of a body that is refused. */
  const guarded =
    (run: (context: Context) => Promise<Response>) =>
    async (context: Context): Promise<Response> => {
      // Bodies watch over their own silence, and a turn may take longer than the server lets a connection rest.
      context.keepOpen()
      try {
        return await run(context)
      } catch (error) {
        const refusal = problemOf(error)
        const isDrained = await drainBody(context.request, deps.clock)
        const headers = { ...errorHeaders(context.request), ...refusal.headers, ...(isDrained ? {} : { Connection: 'close' }) }
        throw new ProblemError(refusal.problem, { cause: refusal.cause, headers })
      }
    }

  const collection = (method: HttpMethod, summary: string, access: RouteAccess = ACCESS): Route =>
    route({ method, path: COLLECTION, access, summary, errorHeaders, answers: ANSWERS[method] ?? {}, run: guarded(onCollection) })
  const upload = (method: HttpMethod, summary: string, access: RouteAccess = ACCESS): Route =>
    route({
      method,
      path: `${COLLECTION}/:id`,
      access,
      summary,
      errorHeaders,
      params: z.object({ id: z.string().max(64) }),
      answers: ANSWERS[method] ?? {},
      run: guarded(onUpload),
    })

  return [
    collection('OPTIONS', 'Tells what of tus the server does', 'public'),
    collection('POST', 'Creates an upload'),
    upload('OPTIONS', 'Tells what of tus the server does', 'public'),
    upload('HEAD', 'Tells how many bytes of an upload are durable'),
    upload('PATCH', 'Appends bytes to an upload; the last ones make it an image'),
    upload('DELETE', 'Removes an upload'),
    upload('POST', 'Another method, named by X-HTTP-Method-Override'),
  ]
}

const ANSWERS: Partial<Record<HttpMethod, Record<number, { description: string }>>> = {
  OPTIONS: { 204: { description: 'Version, extensions and limits in headers' } },
  POST: {
    201: { description: 'Created; its address in Location' },
    413: { description: 'Too long' },
    507: { description: 'Not enough space above the reserve' },
  },
  HEAD: { 200: { description: 'Offset, length and metadata in headers' }, 410: { description: 'Expired' } },
  PATCH: {
    204: { description: 'The new offset in Upload-Offset; durable' },
    409: { description: 'Another offset is wanted, in Upload-Offset; or a slice that the body names is not in the store' },
    422: { description: 'The body does not have the digest of Content-Digest; nothing of it is kept' },
    460: { description: 'The body does not have the digest of Upload-Checksum; nothing of it is kept' },
  },
  DELETE: { 204: { description: 'Removed' } },
}

function readOrder(request: Request) {
  const { headers } = request
  const length = byteCount(request, 'Upload-Length')
  const defer = headers.get('upload-defer-length')
  const concatHeader = headers.get('upload-concat') ?? undefined
  const concat = concatHeader === undefined ? undefined : parseConcat(concatHeader)
  if (defer !== null && defer !== '1') throw problem('invalid-input', `Upload-Defer-Length must be 1, not ${JSON.stringify(defer)}.`)
  if (concat?.kind === 'final') {
    if (length !== undefined || defer !== null) throw problem('invalid-input', 'A final upload is as long as its parts: it takes no Upload-Length.')
  } else if ((length === undefined) === (defer === null)) {
    throw problem('invalid-input', 'Exactly one of Upload-Length and Upload-Defer-Length must be sent.')
  }
  return { length: length ?? null, metadata: headers.get('upload-metadata') ?? undefined, concatHeader, concat }
}

/** The body of a creation (tus 1.0.0, "Creation With Upload"); undefined when it has none. */
function readCreationBody(context: Context, isFinal: boolean): UploadBody | undefined {
  const { request } = context
  const length = byteCount(request, 'Content-Length')
  if (!request.body || length === 0) return undefined
  if (isFinal) throw problem('invalid-input', 'A final upload takes no bytes.')
  if (hasMediaType(request, OFFSET_MEDIA_TYPE)) return { ...readBody(context), declaredLength: undefined }
  if (length === undefined) return undefined
  throw problem('unsupported-media-type', `A body that comes with the creation must be ${OFFSET_MEDIA_TYPE}.`)
}

function readBody({ request }: Context): UploadBody {
  return {
    stream: request.body,
    length: byteCount(request, 'Content-Length'),
    declaredLength: byteCount(request, 'Upload-Length'),
    ...readDigests(request),
    isSlices: hasMediaType(request, SLICES_MEDIA_TYPE),
  }
}

/** Headers of every answer that tells the state of an upload. */
function stateHeaders(view: UploadView): Record<string, string> {
  const headers: Record<string, string> = {}
  if (view.expiresAtMs !== null) headers['Upload-Expires'] = httpDate(view.expiresAtMs)
  if (view.imageId !== null) headers['Content-Location'] = `/v1/images/${view.imageId}`
  return headers
}

function showHeaders(view: UploadView): Record<string, string> {
  const headers: Record<string, string> = { 'Upload-Offset': String(view.offset), ...stateHeaders(view) }
  if (view.length === null) headers['Upload-Defer-Length'] = '1'
  else headers['Upload-Length'] = String(view.length)
  if (view.metadata !== null) headers['Upload-Metadata'] = view.metadata
  if (view.concat !== null) headers['Upload-Concat'] = view.concat
  return headers
}
