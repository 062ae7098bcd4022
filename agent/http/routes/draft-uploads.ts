// What requests of the resumable upload draft do at /v1/uploads: the uploads are the same as those of tus, only the words differ.

import { problem } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import { problemOf } from '../../contract/failures.ts'
import type { Clock } from '../../contract/runtime.ts'
import { lengthWith } from '../../uploads/append.ts'
import type { UploadBody } from '../../uploads/append.ts'
import { lengthLimit } from '../../uploads/limits.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { draftHeaders, draftRefusal, draftStateHeaders, readComplete, readMetadata, requirePartialMediaType } from '../resumable-upload.ts'
import type { RouteContext } from '../route.ts'
import { byteCount, crossOriginHeaders, effectiveMethod, notAllowed } from '../tus.ts'
import { readDigests } from '../upload-digests.ts'

export interface DraftUploadsDeps {
  readonly uploads: Pick<Uploads, 'maxLength' | 'create' | 'show' | 'append' | 'remove'>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly origins: readonly string[]
}

type Context = Pick<RouteContext, 'request' | 'actor' | 'url'>

export interface DraftUploads {
  /** A request to the address where uploads are created, at `path`. */
  onCollection(context: Context, path: string): Promise<Response>
  /** A request to one upload. */
  onUpload(context: Context, id: string): Promise<Response>
}

/** The draft's side of the routes; every refusal is thrown in the draft's words. */
export function draftUploads({ uploads, clock, origins }: DraftUploadsDeps): DraftUploads {
  const limit = (actor: Actor): number => lengthLimit(uploads.maxLength, actor)

  const answer = (request: Request, status: number, headers: Record<string, string>): Response =>
    new Response(null, { status, headers: { ...draftHeaders(request), ...crossOriginHeaders(request, origins), ...headers } })

  const create = async ({ request, actor, url }: Context, path: string): Promise<Response> => {
    const method = effectiveMethod(request)
    if (method !== 'POST') throw notAllowed(method, 'POST, OPTIONS')
    const isLast = readComplete(request)
    if (isLast === undefined) throw problem('invalid-input', 'The request has no Upload-Complete header.')
    const body = readDraftBody(request, isLast)
    const order = {
      actor,
      length: lengthWith(body, 0) ?? null,
      metadata: readMetadata(request),
      concatHeader: undefined,
      concat: undefined,
      digest: body.digest,
    }
    const view = await uploads.create(order, body)
    // A link authenticates by its query: the client needs it for every further request.
    const location = `${path}/${view.id}${actor.link ? url.search : ''}`
    return answer(request, 201, { Location: location, ...draftStateHeaders(view, limit(actor), clock.nowMs()) })
  }

  const touch = async ({ request, actor }: Context, id: string): Promise<Response> => {
    const method = effectiveMethod(request)
    switch (method) {
      case 'HEAD':
        return answer(request, 204, draftStateHeaders(await uploads.show(id, actor), limit(actor), clock.nowMs()))
      case 'PATCH': {
        requirePartialMediaType(request)
        const offset = byteCount(request, 'Upload-Offset')
        if (offset === undefined) throw problem('invalid-input', 'The request has no Upload-Offset header.')
        const view = await uploads.append(id, actor, offset, readDraftBody(request, readComplete(request) ?? false))
        const headers = draftStateHeaders(view, limit(actor), clock.nowMs())
        // The rest of a body that was ended is never read: its connection carries no further request.
        return answer(request, 204, view.isShort ? { ...headers, Connection: 'close' } : headers)
      }
      case 'DELETE':
        await uploads.remove(id, actor)
        return answer(request, 204, {})
      default:
        throw notAllowed(method, 'HEAD, PATCH, DELETE, POST, OPTIONS')
    }
  }

  const inDraftWords = async (context: Context, run: () => Promise<Response>): Promise<Response> => {
    try {
      return await run()
    } catch (error) {
      throw draftRefusal(problemOf(error), limit(context.actor))
    }
  }

  return {
    onCollection: (context, path) => inDraftWords(context, () => create(context, path)),
    onUpload: (context, id) => inDraftWords(context, () => touch(context, id)),
  }
}

function readDraftBody(request: Request, isLast: boolean): UploadBody {
  return {
    stream: request.body,
    length: byteCount(request, 'Content-Length') ?? (request.body ? undefined : 0),
    declaredLength: byteCount(request, 'Upload-Length'),
    isLast,
    isSlices: false,
    ...readDigests(request),
  }
}
