// Requests of the resumable upload draft at /v1/uploads: the uploads are those of tus; only headers and problems differ.

import { problem } from '../../../../protocol/problems.ts'
import type { Actor } from '../../../contract/access.ts'
import { problemOf } from '../../../contract/failures.ts'
import type { Clock } from '../../../contract/runtime.ts'
import type { UploadBody } from '../../../uploads/append-body.ts'
import type { UploadOrder } from '../../../uploads/create.ts'
import { lengthWith } from '../../../uploads/declare-length.ts'
import { lengthLimit } from '../../../uploads/limits/limits.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import {
  draftHeaders,
  draftRefusal,
  draftStateHeaders,
  readComplete,
  readMetadata,
  requirePartialMediaType,
  uploadLimit,
} from '../../uploads/resumable-upload.ts'
import { byteCount } from '../../uploads/tus.ts'
import { readDigests } from '../../uploads/upload-digests.ts'
import type { UploadContext, UploadLocation, UploadProtocol } from '../../uploads/upload-protocol.ts'

export interface DraftUploadsDeps {
  readonly uploads: Pick<Uploads, 'maxLength' | 'create' | 'show' | 'append' | 'remove'>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly location: UploadLocation
}

/** Returns the routes' functions for the draft. */
export function draftUploads({ uploads, clock, location }: DraftUploadsDeps): UploadProtocol {
  const limit = (actor: Actor): number => lengthLimit(uploads.maxLength, actor)

  const answer = (request: Request, status: number, headers: Record<string, string>): Response =>
    new Response(null, { status, headers: { ...draftHeaders(request), ...headers } })

  /** Runs a request, and converts a problem to the type that the draft defines. */
  const withDraftProblems = async (actor: Actor, run: () => Promise<Response>): Promise<Response> => {
    try {
      return await run()
    } catch (error) {
      throw draftRefusal(problemOf(error), limit(actor))
    }
  }

  /** Sends 104 Upload Resumption Supported, so that a client whose connection breaks before the answer can resume. Only to clients that name their version. */
  const informing = (context: UploadContext): Pick<UploadOrder, 'onCreated'> => {
    const version = draftHeaders(context.request)['Upload-Draft-Interop-Version']
    if (version === undefined) return {}
    const headers = { 'Upload-Draft-Interop-Version': version, 'Upload-Limit': uploadLimit(limit(context.actor)) }
    return { onCreated: (id) => context.inform(104, { Location: location(context, id), ...headers }) }
  }

  const create = async (context: UploadContext): Promise<Response> => {
    const { request, actor } = context
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
      ...informing(context),
    }
    const view = await uploads.create(order, body)
    return answer(request, 201, { Location: location(context, view.id), ...draftStateHeaders(view, limit(actor), clock.nowMs()) })
  }

  const show = async ({ request, actor }: UploadContext, id: string): Promise<Response> =>
    answer(request, 204, draftStateHeaders(await uploads.show(id, actor), limit(actor), clock.nowMs()))

  const append = async ({ request, actor }: UploadContext, id: string): Promise<Response> => {
    requirePartialMediaType(request)
    const offset = byteCount(request, 'Upload-Offset')
    if (offset === undefined) throw problem('invalid-input', 'The request has no Upload-Offset header.')
    const view = await uploads.append(id, { actor, offset, body: readDraftBody(request, readComplete(request) ?? false) })
    const headers = draftStateHeaders(view, limit(actor), clock.nowMs())
    // The rest of a body that was ended early is not read, so its connection cannot carry another request.
    return answer(request, 204, view.isShort ? { ...headers, Connection: 'close' } : headers)
  }

  const remove = async ({ request, actor }: UploadContext, id: string): Promise<Response> => {
    await uploads.remove(id, actor)
    return answer(request, 204, {})
  }

  return {
    create: (context) => withDraftProblems(context.actor, () => create(context)),
    show: (context, id) => withDraftProblems(context.actor, () => show(context, id)),
    append: (context, id) => withDraftProblems(context.actor, () => append(context, id)),
    remove: (context, id) => withDraftProblems(context.actor, () => remove(context, id)),
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
