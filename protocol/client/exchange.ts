// One HTTP exchange with an agent, with bounds on the time to the first byte, the silence and rate of a body, and the length of an answer. A failure
// becomes a problem: `peer-unreachable` with the method and URL, or the agent's own problem. An answer that does not come from an agent is never
// quoted, so that a user who may choose the address cannot read what other servers there return.

import { joinBytes } from '../bytes.ts'
import type { z } from 'zod'
import { AnswerTooSlow, monotonicMs, readAnswer } from './answer-body.ts'
import { connectionFailure } from './connection-failure.ts'
import type { AnswerPace } from './answer-body.ts'
import { makeProblem, problem, PROBLEM_TYPE_PREFIX, problemSchema, ProblemError } from '../problems.ts'
import type { Problem } from '../problems.ts'

/** Longest time until the head of an answer arrives, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 30_000
/**
 * Longest time without progress of a request body, or until its answer arrives, in milliseconds. It is long because the peer may let the body wait for
 * an ingest slot.
 */
export const SEND_TIMEOUT_MS = 5 * 60_000
/** Longest silence within a body, in milliseconds. A silence is detected after one to two times this. */
export const STALL_TIMEOUT_MS = 60_000
/** Longest JSON answer in bytes. */
export const JSON_ANSWER_MAX = 16 * 1024 * 1024
/** Longest time for a complete JSON answer, in milliseconds. */
export const JSON_ANSWER_MS_MAX = 120_000
/** Longest problem document in bytes, and longest text of one of its members in characters. */
const PROBLEM_BYTES_MAX = 64 * 1024
const PROBLEM_TEXT_MAX = 2000

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** The address of an agent, the token, and the limits of exchanges with it. */
export interface Peer {
  /** `https://host:port`, plus the path prefix if a proxy adds one. */
  readonly baseUrl: string
  /** Bearer token; without one, only `/v1/health` can be called. */
  readonly token?: string | undefined
  readonly fetch?: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  /** Longest time for a complete JSON answer, in milliseconds; JSON_ANSWER_MS_MAX by default. */
  readonly jsonAnswerMsMax?: number
  /** Least rate of an answer; the defaults are in answer-body.ts. */
  readonly pace?: Pick<AnswerPace, 'bytesPerSecondMin' | 'rateWindowMs'>
  /** Returns a signal that aborts after this time; tests inject their own. */
  readonly timeout?: (ms: number) => AbortSignal
  /** Returns milliseconds on a monotonic clock; tests inject their own. */
  readonly now?: () => number
}

export type QueryValue = string | number | boolean | undefined

export interface Call {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path segments after the base URL, not encoded. */
  readonly path: readonly string[]
  readonly query?: Readonly<Record<string, QueryValue>> | undefined
  readonly json?: unknown
  /** Body that is streamed; its content type is in `headers`. */
  readonly body?: AsyncIterable<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Statuses other than 2xx that are not failures of this call. */
  readonly accept?: readonly number[]
}

/** An answer whose head has arrived. Reading its body throws `peer-unreachable` when the body falls silent or arrives too slowly. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Yields the body as it arrives. Call it once. Leaving the loop early closes the connection. */
  body(totalMsMax?: number): AsyncGenerator<Uint8Array<ArrayBuffer>>
  /** Returns the complete body. Throws `peer-unreachable` when it is longer than `lengthMax` bytes or takes longer than `totalMsMax`. */
  bytes(lengthMax: number, totalMsMax?: number): Promise<Uint8Array<ArrayBuffer>>
  /** Returns the body as JSON. Throws `peer-unreachable` when it does not match the schema. */
  json<Schema extends z.ZodType>(schema: Schema): Promise<z.output<Schema>>
  /** Ends the exchange without reading the body. */
  close(): Promise<void>
}

/** Returns the URL of a path at a peer. Throws `invalid-input` for an invalid base URL, and for empty segments and dot segments. */
export function peerUrl(baseUrl: string, path: readonly string[], query: Call['query'] = {}): URL {
  const base = URL.parse(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`)
  if (!base || (base.protocol !== 'http:' && base.protocol !== 'https:'))
    throw problem('invalid-input', 'The address of the agent must be an http or https URL.')
  for (const segment of path) {
    // URL parsing removes dot segments even when they are percent-encoded (WHATWG URL, "double-dot path segment").
    if (segment === '' || segment === '.' || segment === '..') throw problem('invalid-input', `"${segment}" is neither a name nor an id.`)
  }
  const url = new URL(path.map(encodeURIComponent).join('/'), base)
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value))
  return url
}

/** The cause of `peer-unreachable` when there was an answer, but not a complete one of an agent. `fault`: the kind, as a sync names it. */
export class AnswerInvalid extends Error {
  override readonly name = 'AnswerInvalid'
  readonly fault: AnswerFault

  constructor(fault: AnswerFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

export type AnswerFault = 'slow' | 'cut' | 'redirect' | 'not-an-agent' | 'too-long' | 'truncated' | 'bad-manifest'

/**
 * Sends a call, and returns the answer when its head has arrived. Throws ProblemError: the peer's own problem, or `peer-unreachable` when there was no
 * answer or it did not come from an agent. When `call.signal` aborts, throws its reason; when `call.body` throws, throws its error.
 */
export async function exchange(peer: Peer, call: Call): Promise<Answer> {
  const url = peerUrl(peer.baseUrl, call.path, call.query)
  const method = call.method ?? 'GET'
  const timeout = peer.timeout ?? ((ms) => AbortSignal.timeout(ms))
  const ended = new AbortController()
  const signal = call.signal ? AbortSignal.any([call.signal, ended.signal]) : ended.signal
  const answerTimeoutMs = call.body ? SEND_TIMEOUT_MS : (peer.answerTimeoutMs ?? ANSWER_TIMEOUT_MS)
  const unreachable = (what: string, cause?: unknown): ProblemError =>
    problem('peer-unreachable', `${url.origin} ${what} (${method} ${url.pathname}).`, {}, { cause })
  const invalid: Opened['invalid'] = (fault, what, cause) => unreachable(what, new AnswerInvalid(fault, what, { cause }))

  const headers = new Headers({ accept: 'application/json', 'accept-encoding': 'identity', ...call.headers })
  if (peer.token !== undefined) headers.set('authorization', `Bearer ${peer.token}`)
  const init: RequestInit = { method, headers, signal, redirect: 'manual' }
  if (call.json !== undefined) {
    headers.set('content-type', 'application/json')
    init.body = JSON.stringify(call.json)
  }

  let timedOut = false
  let waiting = true
  let piecesSent = 0
  let broken: { readonly error: unknown } | undefined
  if (call.body) {
    init.body = streamOf(call.body, {
      sent: () => void piecesSent++,
      failed: (error) => void (broken = { error }),
    })
  }
  const watch = (seen: number): void => {
    timeout(answerTimeoutMs).addEventListener(
      'abort',
      () => {
        if (!waiting) return
        // A body that makes progress may take any time.
        if (piecesSent !== seen) return watch(piecesSent)
        timedOut = true
        ended.abort()
      },
      { once: true },
    )
  }
  watch(piecesSent)
  let response: Response
  try {
    response = await (peer.fetch ?? fetch)(url.href, init)
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    if (broken) throw broken.error
    // The injected fetch refused the address before it sent anything.
    if (error instanceof ProblemError) throw error
    if (timedOut) throw unreachable(`did not answer within ${answerTimeoutMs / 1000} s`, error)
    throw unreachable(`cannot be reached: ${connectionFailure(error)}`, error)
  } finally {
    waiting = false
  }

  const pace: AnswerPace = { ...peer.pace, stallTimeoutMs: peer.stallTimeoutMs ?? STALL_TIMEOUT_MS }
  const jsonMsMax = peer.jsonAnswerMsMax ?? JSON_ANSWER_MS_MAX
  const answer = openAnswer(response, { call, ended, timeout, now: peer.now ?? monotonicMs, invalid, pace, jsonMsMax })
  if (response.ok || call.accept?.includes(response.status)) return answer
  throw await failure(answer, { method, invalid, jsonMsMax })
}

/** Returns a stream that reads the pieces only as fast as they are sent. Calls `sent` for each piece, and `failed` when the source throws. */
function streamOf(pieces: AsyncIterable<Uint8Array>, on: { sent(): void; failed(error: unknown): void }): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  let isCancelled = false
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next()
          on.sent()
          // The stream was cancelled while the source produced this piece.
          if (isCancelled) return
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          on.failed(error)
          throw error
        }
      },
      async cancel() {
        isCancelled = true
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

interface Opened {
  readonly call: Call
  readonly ended: AbortController
  readonly timeout: (ms: number) => AbortSignal
  readonly now: () => number
  readonly pace: AnswerPace
  readonly jsonMsMax: number
  /** Returns the problem of an answer that an agent would not give. */
  readonly invalid: (fault: AnswerFault, what: string, cause?: unknown) => ProblemError
}

function openAnswer(response: Response, opened: Opened): Answer {
  const { invalid } = opened
  const answer: Answer = {
    status: response.status,
    headers: response.headers,
    body: (totalMsMax) => watchedBody(response, opened, totalMsMax),
    async bytes(lengthMax, totalMsMax) {
      const tooLong = (): ProblemError => invalid('too-long', `sent more than the limit of ${lengthMax} bytes`)
      if (Number(response.headers.get('content-length') ?? 0) > lengthMax) {
        await answer.close()
        throw tooLong()
      }
      const pieces: Uint8Array[] = []
      let length = 0
      for await (const piece of answer.body(totalMsMax)) {
        length += piece.byteLength
        if (length > lengthMax) throw tooLong()
        pieces.push(piece)
      }
      return joinBytes(pieces)
    },
    async json(schema) {
      const text = new TextDecoder().decode(await answer.bytes(JSON_ANSWER_MAX, opened.jsonMsMax))
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        throw invalid('not-an-agent', 'sent an answer that is not JSON')
      }
      const parsed = schema.safeParse(value)
      if (parsed.success) return parsed.data
      throw invalid('not-an-agent', 'sent JSON that does not match the schema of an agent')
    },
    async close() {
      opened.ended.abort()
      // An error is harmless: the exchange was aborted.
      await response.body?.cancel().catch(() => {})
    },
  }
  return answer
}

/** Yields the pieces of a body, and converts errors to problems. */
async function* watchedBody(response: Response, opened: Opened, totalMsMax: number | undefined): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (!response.body) return
  const { call, ended, timeout, now, pace, invalid } = opened
  try {
    yield* readAnswer(response.body, { pace: { ...pace, totalMsMax }, timeout, now, end: () => ended.abort() })
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    if (error instanceof AnswerTooSlow) throw invalid('slow', error.message, error)
    throw invalid('cut', `broke off its answer: ${connectionFailure(error)}`, error)
  }
}

/** Returns the problem of a failed answer: the agent's own if it sent one. */
async function failure(
  answer: Answer,
  { method, invalid, jsonMsMax }: Pick<Opened, 'invalid' | 'jsonMsMax'> & { readonly method: string },
): Promise<ProblemError> {
  if (answer.status >= 300 && answer.status < 400) {
    await answer.close()
    return invalid('redirect', 'redirects to another address; use the address of the agent itself')
  }
  const retryAfter = answer.headers.get('retry-after')
  const headers: Record<string, string> = retryAfter === null ? {} : { 'retry-after': retryAfter }
  // RFC 9110 §9.3.2: the answer to HEAD has no body, so only its status is known.
  const text = method === 'HEAD' ? '' : new TextDecoder().decode(await answer.bytes(PROBLEM_BYTES_MAX, jsonMsMax))
  const document = readAgentProblem(text)
  if (document) return new ProblemError(document, { headers, isFromPeer: true })
  const code = ({ 401: 'unauthenticated', 403: 'forbidden', 404: 'not-found', 412: 'precondition-failed', 416: 'range-not-satisfiable' } as const)[
    answer.status
  ]
  if (code && (method === 'HEAD' || text === ''))
    return new ProblemError(makeProblem(code, `The agent answered ${answer.status}.`), { headers, isFromPeer: true })
  return invalid('not-an-agent', `answered ${answer.status} without the problem document of an agent`)
}

/** Parses the problem document of an agent; undefined for other text, including problem documents of other programs. */
export function readAgentProblem(text: string): Problem | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { data: document } = problemSchema.safeParse(value)
  if (!document?.type.startsWith(PROBLEM_TYPE_PREFIX)) return undefined
  const cut = (member: string): string => member.slice(0, PROBLEM_TEXT_MAX)
  return { ...document, title: cut(document.title), detail: cut(document.detail), action: cut(document.action) }
}
