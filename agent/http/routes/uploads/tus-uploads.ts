// Requests of tus 1.0.0 at /v1/uploads (docs/tus.md).

import { SLICES_MEDIA_TYPE } from '../../../../protocol/slices/frames.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { UploadBody } from '../../../uploads/append-body.ts'
import { parseConcat } from '../../../uploads/concatenation.ts'
import type { UploadView } from '../../../uploads/record/upload.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import { ANSWER_HEADERS, byteCount, hasMediaType, httpDate, OFFSET_MEDIA_TYPE, requireBodyMediaType, requireVersion } from '../../uploads/tus.ts'
import { readDigests } from '../../uploads/upload-digests.ts'
import type { UploadLocation, UploadProtocol } from '../../uploads/upload-protocol.ts'

export interface TusUploadsDeps {
  readonly uploads: Pick<Uploads, 'create' | 'show' | 'append' | 'remove'>
  readonly location: UploadLocation
}

/** Returns the routes' functions for tus. */
export function tusUploads({ uploads, location }: TusUploadsDeps): UploadProtocol {
  const answer = (status: number, headers: Record<string, string>): Response => new Response(null, { status, headers: { ...ANSWER_HEADERS, ...headers } })

  return {
    async create(context) {
      const { request, actor } = context
      requireVersion(request)
      const order = { actor, ...readOrder(request), digest: readDigests(request).digest }
      const body = readCreationBody(request, order.concat?.kind === 'final')
      const view = await uploads.create(order, body)
      return answer(201, { Location: location(context, view.id), 'Upload-Offset': String(view.offset), ...stateHeaders(view) })
    },

    async show({ request, actor }, id) {
      requireVersion(request)
      return answer(200, showHeaders(await uploads.show(id, actor)))
    },

    async append({ request, actor }, id) {
      requireVersion(request)
      requireBodyMediaType(request)
      const offset = byteCount(request, 'Upload-Offset')
      if (offset === undefined) throw problem('invalid-input', 'The request has no Upload-Offset header.')
      const body = readBody(request)
      // A link must not reveal which slices the store has, so its holder sends all bytes.
      if (body.isSlices && actor.link) throw problem('forbidden', `An upload link accepts ${OFFSET_MEDIA_TYPE} only.`)
      const view = await uploads.append(id, { actor, offset, body })
      const headers: Record<string, string> = { 'Upload-Offset': String(view.offset), ...stateHeaders(view) }
      // The rest of a body that was ended early is not read, so its connection cannot carry another request.
      if (view.isShort) headers['Connection'] = 'close'
      return answer(204, headers)
    },

    async remove({ request, actor }, id) {
      requireVersion(request)
      await uploads.remove(id, actor)
      return answer(204, {})
    },
  }
}

function readOrder(request: Request) {
  const { headers } = request
  const length = byteCount(request, 'Upload-Length')
  const defer = headers.get('upload-defer-length')
  const concatHeader = headers.get('upload-concat') ?? undefined
  const concat = concatHeader === undefined ? undefined : parseConcat(concatHeader)
  if (defer !== null && defer !== '1') throw problem('invalid-input', `Upload-Defer-Length must be 1, not ${JSON.stringify(defer)}.`)
  if (concat?.kind === 'final') {
    if (length !== undefined || defer !== null)
      throw problem('invalid-input', 'A final upload has the length of its parts; send neither Upload-Length nor Upload-Defer-Length.')
  } else if ((length === undefined) === (defer === null)) {
    throw problem('invalid-input', 'Send exactly one of Upload-Length and Upload-Defer-Length.')
  }
  return { length: length ?? null, metadata: headers.get('upload-metadata') ?? undefined, concatHeader, concat }
}

/** Returns the body of a creation (tus 1.0.0, "Creation With Upload"); undefined without one. */
function readCreationBody(request: Request, isFinal: boolean): UploadBody | undefined {
  const length = byteCount(request, 'Content-Length')
  if (!request.body || length === 0) return undefined
  if (isFinal) throw problem('invalid-input', 'A final upload accepts no bytes.')
  if (hasMediaType(request, OFFSET_MEDIA_TYPE)) return { ...readBody(request), declaredLength: undefined }
  if (length === undefined) return undefined
  throw problem('unsupported-media-type', `The Content-Type of a body that is sent with the creation must be ${OFFSET_MEDIA_TYPE}.`)
}

function readBody(request: Request): UploadBody {
  return {
    stream: request.body,
    length: byteCount(request, 'Content-Length'),
    declaredLength: byteCount(request, 'Upload-Length'),
    ...readDigests(request),
    isSlices: hasMediaType(request, SLICES_MEDIA_TYPE),
  }
}

/** Returns the headers of every answer with the state of an upload. */
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
