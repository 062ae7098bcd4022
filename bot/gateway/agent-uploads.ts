// The uploads of one agent as the gateway uses them: each function is one request of tus to the agent. The credential is an upload link, or a token in tests.

import { exchange, readAgentProblem } from '../../protocol/client/exchange.ts'
import type { Answer, Call, Peer } from '../../protocol/client/exchange.ts'
import { TUS, uploadIdOf } from '../../protocol/client/upload-client.ts'
import { makeProblem, problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'

/** Longest problem document of an agent in bytes. */
const PROBLEM_BYTES_MAX = 64 * 1024
/** When a client may come back after the agent could not be reached, in seconds. */
export const RETRY_AFTER_S = 5
/** Statuses of an agent that are answers to the client of the gateway. */
const REFUSALS: readonly number[] = [400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 423, 429, 500, 501, 503, 507]
/** What a status alone says: the answer to HEAD has no body (RFC 9110 §9.3.2). */
const CODES: Readonly<Record<number, ProblemCode>> = {
  401: 'unauthenticated',
  403: 'link-expired',
  404: 'not-found',
  410: 'upload-expired',
  423: 'upload-locked',
}

/** An upload as the agent describes it. Everything in it is durable. */
export interface AgentUpload {
  readonly offset: number
  /** Undefined while it is deferred. */
  readonly length: number | undefined
  /** `Upload-Metadata` as the client sent it; null without. */
  readonly metadata: string | null
  /** `Upload-Expires`, an HTTP date; null once the upload is complete. */
  readonly expires: string | null
  /** Whether the agent ended the body before its end, and closes the connection. */
  readonly isShort: boolean
}

export interface NewAgentUpload {
  /** Undefined for a length that comes later. */
  readonly length: number | undefined
  readonly metadata: string | undefined
}

export interface CreatedAgentUpload {
  readonly id: string
  /** `Upload-Expires`, an HTTP date; null for an upload of length 0, which is complete. */
  readonly expires: string | null
}

/** Every function throws ProblemError: the refusal of the agent, or `store-unavailable` with Retry-After when the agent does not answer. */
export interface AgentUploads {
  create(order: NewAgentUpload): Promise<CreatedAgentUpload>
  show(id: string): Promise<AgentUpload>
  /** Sends a body from an offset, as fast as the agent takes it. Whatever the agent received is kept, however the body ends. */
  append(id: string, offset: number, body: AsyncIterable<Uint8Array>): Promise<AgentUpload>
  /** Sets a length that was deferred. `offset` is where the upload is. */
  declareLength(id: string, offset: number, length: number): Promise<void>
  remove(id: string): Promise<void>
}

export interface AgentUploadsDeps {
  /** The agent. With a link it needs no token. */
  readonly peer: Peer
  /** Secret of an upload link. */
  readonly link?: string
  readonly storeName: string
  readonly signal?: AbortSignal
}

/** Creates the uploads of an agent for one request of a client. */
export function createAgentUploads({ peer, link, storeName, signal }: AgentUploadsDeps): AgentUploads {
  const call = async (request: Pick<Call, 'method' | 'headers' | 'body'> & { readonly id?: string }): Promise<Answer> => {
    const { id, headers, ...rest } = request
    const path = ['v1', 'uploads', ...(id === undefined ? [] : [id])]
    try {
      return await exchange(peer, { ...rest, path, query: { link }, headers: { ...TUS, ...headers }, accept: REFUSALS, signal })
    } catch (error) {
      throw unavailable(storeName, error)
    }
  }
  const done = async (answer: Answer): Promise<Answer> => {
    if (answer.status >= 300) throw await refusalOf(answer)
    await answer.close()
    return answer
  }
  const append = async (id: string, offset: number, body: AsyncIterable<Uint8Array> | undefined, length?: number): Promise<AgentUpload> => {
    const headers = {
      'content-type': 'application/offset+octet-stream',
      'upload-offset': String(offset),
      ...(length === undefined ? {} : { 'upload-length': String(length) }),
    }
    return uploadOf(await done(await call({ method: 'PATCH', id, headers, ...(body ? { body } : {}) })))
  }
  return {
    async create({ length, metadata }) {
      const size: Record<string, string> = length === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(length) }
      const answer = await done(await call({ method: 'POST', headers: { ...size, ...(metadata === undefined ? {} : { 'upload-metadata': metadata }) } }))
      const location = answer.headers.get('location') ?? ''
      const id = uploadIdOf(location.split('?')[0] ?? '')
      if (id === undefined) throw unavailable(storeName, problem('peer-unreachable', 'The answer to the creation of an upload has no valid Location.'))
      return { id, expires: answer.headers.get('upload-expires') }
    },
    async show(id) {
      const answer = await call({ method: 'HEAD', id })
      if (answer.status < 300) return uploadOf(await done(answer))
      await answer.close()
      const code = CODES[answer.status]
      if (code) throw new ProblemError(makeProblem(code, `The agent answered ${answer.status}.`), { isFromPeer: true })
      throw unavailable(storeName, problem('peer-unreachable', `The agent answered ${answer.status}.`))
    },
    append: (id, offset, body) => append(id, offset, body),
    async declareLength(id, offset, length) {
      await append(id, offset, undefined, length)
    },
    async remove(id) {
      await done(await call({ method: 'DELETE', id }))
    },
  }
}

function uploadOf({ headers }: Answer): AgentUpload {
  const count = (name: string): number | undefined => {
    const text = headers.get(name)
    return text === null || !/^\d{1,16}$/.test(text) ? undefined : Number(text)
  }
  const offset = count('upload-offset')
  if (offset === undefined) throw problem('peer-unreachable', 'The answer has no valid Upload-Offset.')
  return {
    offset,
    length: count('upload-length'),
    metadata: headers.get('upload-metadata'),
    expires: headers.get('upload-expires'),
    isShort: headers.get('connection')?.toLowerCase() === 'close',
  }
}

/** Reads the refusal of an agent, with the headers that a client of tus needs. */
async function refusalOf(answer: Answer): Promise<ProblemError> {
  const { status } = answer
  const document = readAgentProblem(new TextDecoder().decode(await answer.bytes(PROBLEM_BYTES_MAX)))
  const headers: Record<string, string> = {}
  for (const name of ['Upload-Offset', 'Retry-After']) {
    const value = answer.headers.get(name)
    if (value !== null) headers[name] = value
  }
  if (document) return new ProblemError(document, { headers, isFromPeer: true })
  return new ProblemError(makeProblem(CODES[status] ?? 'store-unavailable', `The agent answered ${status}.`), { headers, isFromPeer: true })
}

/** Returns what a client is told when the agent did not answer: nothing is lost, and when to come back. */
function unavailable(storeName: string, error: unknown): unknown {
  if (!(error instanceof ProblemError) || error.isFromPeer) return error
  const action = 'Keep the page open, or open it again later: the upload continues where it stopped.'
  const detail = `${storeName} does not answer at the moment. What has arrived there is kept.`
  return problem('store-unavailable', detail, { title: 'Store does not answer', action }, { cause: error, headers: { 'Retry-After': String(RETRY_AFTER_S) } })
}
