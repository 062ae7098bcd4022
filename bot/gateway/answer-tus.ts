// Answers one request of tus: @tus/server does the protocol, the agent has the upload. What @tus/server leaves open is closed here: the method override, the
// version, and the answers of the agent, whose words and headers reach the client as they are.

import { Server } from '@tus/server'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { AgentUploads } from './agent-uploads.ts'
import { readBody } from './request-body.ts'
import type { RequestBody } from './request-body.ts'
import { RelayStore } from './relay-store.ts'
import type { Clock } from '../system/clock.ts'
import type { UploadTurns } from './upload-turns.ts'

/** Methods that X-HTTP-Method-Override may name. */
const OVERRIDES: ReadonlySet<string> = new Set(['HEAD', 'POST', 'PATCH', 'DELETE'])
const TUS_VERSION = '1.0.0'
const OFFSET_MEDIA_TYPE = 'application/offset+octet-stream'

export interface TusTarget {
  readonly uploads: AgentUploads
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly turns: UploadTurns
  /** Id of the upload; undefined for the collection. */
  readonly id: string | undefined
  /** Longest upload in bytes; 0 where the agent alone decides. */
  readonly lengthMax: number
  /** Returns the address of a new upload for the client. */
  readonly location: (id: string) => string
  /** Checks a creation before the agent is asked. Throws ProblemError. */
  readonly onCreate?: (metadata: string | undefined, length: number | undefined) => Promise<void> | void
}

/** Answers a request. Throws only for bugs. */
export async function answerTus(request: Request, target: TusTarget): Promise<Response> {
  const body = readBody(request, target.clock)
  try {
    const method = methodOf(request)
    if (method !== 'OPTIONS') requireProtocol(request, method)
    return await answer(request, { method, body, target })
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return refuse(error, { request, body })
  }
}

interface Asked {
  readonly method: string
  readonly body: RequestBody | undefined
  readonly target: TusTarget
}

async function answer(request: Request, { method, body, target }: Asked): Promise<Response> {
  const metadata = request.headers.get('upload-metadata') || undefined
  const length = request.headers.get('upload-length')
  const declared = method === 'PATCH' && length !== null ? Number(length) : undefined
  const store = new RelayStore(target.uploads, { metadata, declared, body: body?.pieces })
  let refusal: ProblemError | undefined
  const server = new Server({
    path: '/',
    datastore: store,
    // The turn of a creation is its own: nobody else knows the upload.
    locker: target.turns.forRequest(target.id ?? crypto.randomUUID(), () => body?.endSoon()),
    maxSize: target.lengthMax,
    allowedOrigins: [],
    getFileIdFromRequest: () => target.id,
    generateUrl: (_request, { id }) => target.location(id),
    async onUploadCreate(_request, upload) {
      try {
        await target.onCreate?.(metadata, upload.size)
      } catch (error) {
        if (error instanceof ProblemError) refusal = error
        throw error
      }
      return {}
    },
    onResponseError(_request, error) {
      if (error instanceof ProblemError) refusal = error
      return undefined
    },
  })
  const response = await server.handleWeb(new Request(request.url, { method, headers: headersFor(request) }))
  const refused = refusal ?? store.refusal
  if (refused) return refuse(refused, { request, body })
  const { headers } = response
  headers.delete('Access-Control-Expose-Headers')
  headers.set('Cache-Control', 'no-store')
  const { seen, expires } = store
  if (expires !== null && response.ok) headers.set('Upload-Expires', expires)
  if (seen) {
    if (method === 'HEAD' && seen.metadata !== null) headers.set('Upload-Metadata', seen.metadata)
    if (response.status === 409) headers.set('Upload-Offset', String(seen.offset))
  }
  // The rest of a body that was not read cannot be told from the next request.
  if (body && !body.hasEnded()) headers.set('Connection', 'close')
  await body?.close()
  if (method === 'HEAD') return new Response(null, { status: response.status, headers })
  return response
}

/**
 * Returns the headers for @tus/server. Metadata passes beside it, as the body does: it would refuse some that are valid, and change others. Proxies may name
 * themselves in lists, which it refuses too.
 */
function headersFor({ headers: given }: Request): Headers {
  const headers = new Headers(given)
  for (const name of ['x-http-method-override', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded', 'cookie', 'authorization', 'upload-metadata'])
    headers.delete(name)
  return headers
}

/** Returns the method that runs (tus 1.0.0, "X-HTTP-Method-Override"). */
function methodOf({ method, headers }: Request): string {
  const named = headers.get('x-http-method-override')?.trim().toUpperCase()
  if (named === undefined || method === 'OPTIONS') return method
  if (!OVERRIDES.has(named) || (method !== 'POST' && method !== named))
    throw problem('invalid-input', `X-HTTP-Method-Override applies to POST, and names one of ${[...OVERRIDES].join(', ')}.`)
  return named
}

/** Throws the refusals of tus 1.0.0 that @tus/server answers in another way. */
function requireProtocol({ headers }: Request, method: string): void {
  if (headers.get('tus-resumable') !== TUS_VERSION)
    throw problem('unsupported-version', `Tus-Resumable must be ${TUS_VERSION}.`, {}, { headers: { 'Tus-Version': TUS_VERSION } })
  const length = Number(headers.get('content-length') ?? 0)
  const whole = headers.get('upload-length')
  // Checked before the agent creates the upload, so that a refusal leaves none.
  if (method === 'POST' && whole !== null && length > Number(whole))
    throw problem('payload-too-large', `The body has ${length} bytes, and the upload ${whole}.`)
  if (method !== 'PATCH') return
  const type = headers.get('content-type')
  if (type !== OFFSET_MEDIA_TYPE) throw problem('unsupported-media-type', `Content-Type must be ${OFFSET_MEDIA_TYPE}.`)
  const offset = headers.get('upload-offset') ?? ''
  if (!/^(?:0|[1-9]\d{0,15})$/.test(offset)) throw problem('invalid-input', 'Upload-Offset must be the offset of the first byte of the body.')
}

/** Returns the answer for a refusal: a problem document, with the headers of tus. */
async function refuse(
  { problem: document, headers: own }: ProblemError,
  { request, body }: { request: Request; body: RequestBody | undefined },
): Promise<Response> {
  const headers = new Headers({ ...own, 'Tus-Resumable': TUS_VERSION, 'Cache-Control': 'no-store', 'Content-Type': 'application/problem+json' })
  if (body && !body.hasEnded()) headers.set('Connection', 'close')
  await body?.close()
  return new Response(request.method === 'HEAD' ? null : JSON.stringify(document), { status: document.status, headers })
}
