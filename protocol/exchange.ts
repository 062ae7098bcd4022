// One HTTP exchange with an agent, bounded on every side: time to the first byte, silence and rate of a body, length of an
// answer. A failure becomes a problem: `peer-unreachable` with what was tried, or the agent's own. What something that is
// no agent answered is never repeated: whoever may name an address must not read through it what it serves.

import { errorCode } from './errors.ts'
import { joinBytes } from './bytes.ts'
import type { z } from 'zod'
import { AnswerTooSlow, monotonicMs, readAnswer } from './answer-body.ts'
import type { AnswerPace } from './answer-body.ts'
import { makeProblem, problem, PROBLEM_TYPE_PREFIX, problemSchema, ProblemError } from './problems.ts'
import type { Problem } from './problems.ts'

/** Time until the head of an answer is there, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 30_000
/**
 * Longest time in which a body that is being sent makes no way, or its answer does not come, in milliseconds: it may wait
 * for its turn at the other side.
 */
export const SEND_TIMEOUT_MS = 5 * 60_000
/** Longest silence within a body, in milliseconds; a silence is found after one to two of these. */
export const STALL_TIMEOUT_MS = 60_000
/** Longest JSON answer in bytes. */
export const JSON_ANSWER_MAX = 16 * 1024 * 1024
/** Longest time for a whole JSON answer, in milliseconds. */
export const JSON_ANSWER_MS_MAX = 120_000
/** Longest problem document in bytes, and longest text of a member of it in characters. */
const PROBLEM_BYTES_MAX = 64 * 1024
const PROBLEM_TEXT_MAX = 2000

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** Where an agent is and how to speak to it. */
export interface Peer {
  /** `https://host:port`, with a path in front when a proxy adds one. */
  readonly baseUrl: string
  /** Bearer token; without one only `/v1/health` answers. */
  readonly token?: string | undefined
  readonly fetch?: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  /** Least rate of an answer, where it is another than that of answer-body.ts. */
  readonly pace?: Pick<AnswerPace, 'bytesPerSecondMin' | 'rateWindowMs'>
  /** A signal that aborts after this time; tests inject one of their own. */
  readonly timeout?: (ms: number) => AbortSignal
  /** Milliseconds on a clock that never goes back; tests inject one of their own. */
  readonly now?: () => number
}

export type QueryValue = string | number | boolean | undefined

export interface Call {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path segments after the base URL, not encoded yet. */
  readonly path: readonly string[]
  readonly query?: Readonly<Record<string, QueryValue>> | undefined
  readonly json?: unknown
  /** A body that is sent as it is made, with the content type among the headers. */
  readonly body?: AsyncIterable<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Statuses beyond 2xx that are answers of this call and not failures. */
  readonly accept?: readonly number[]
}

/** An answer whose head is there. Its body ends with `peer-unreachable` when it falls silent or comes too slowly. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The body as it arrives; to be read once. Leaving the loop early closes the connection. */
  body(totalMsMax?: number): AsyncGenerator<Uint8Array<ArrayBuffer>>
  /** The whole body, refused when it is longer than `lengthMax` bytes or takes longer than `totalMsMax`. */
  bytes(lengthMax: number, totalMsMax?: number): Promise<Uint8Array<ArrayBuffer>>
  /** The body as JSON of a schema. */
  json<Schema extends z.ZodType>(schema: Schema): Promise<z.output<Schema>>
  /** Ends the exchange without reading the body. */
  close(): Promise<void>
}

/** Address of a path at a peer. Throws `invalid-input` for a base URL that is none and for dot segments. */
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

/**
 * Sends a call and gives the answer when its head is there. Throws ProblemError: the peer's own problem, or
 * `peer-unreachable` when there was no answer or it was not one of an agent. An abort of `call.signal` throws its reason, and a
 * body that cannot be made what it threw.
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

  const headers = new Headers({ accept: 'application/json', 'accept-encoding': 'identity', ...call.headers })
  if (peer.token !== undefined) headers.set('authorization', `Bearer ${peer.token}`)
  const init: RequestInit = { method, headers, signal, redirect: 'manual' }
  if (call.json !== undefined) {
    headers.set('content-type', 'application/json')
    init.body = JSON.stringify(call.json)
  }

  let timedOut = false
  let waiting = true
  let piecesTaken = 0
  let broken: { readonly error: unknown } | undefined
  if (call.body) {
    init.body = streamOf(call.body, {
      taken: () => void piecesTaken++,
      failed: (error) => void (broken = { error }),
    })
  }
  const watch = (seen: number): void => {
    timeout(answerTimeoutMs).addEventListener(
      'abort',
      () => {
        if (!waiting) return
        // What is being sent and makes its way has no limit.
        if (piecesTaken !== seen) return watch(piecesTaken)
        timedOut = true
        ended.abort()
      },
      { once: true },
    )
  }
  watch(piecesTaken)
  let response: Response
  try {
    response = await (peer.fetch ?? fetch)(url.href, init)
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    if (broken) throw broken.error
    // The way there was refused by our own rules before anything was sent.
    if (error instanceof ProblemError) throw error
    if (timedOut) throw unreachable(`did not answer within ${answerTimeoutMs / 1000} s`, error)
    throw unreachable(`cannot be reached: ${reasonOf(error)}`, error)
  } finally {
    waiting = false
  }

  const pace: AnswerPace = { ...peer.pace, stallTimeoutMs: peer.stallTimeoutMs ?? STALL_TIMEOUT_MS }
  const answer = openAnswer(response, { call, ended, timeout, now: peer.now ?? monotonicMs, unreachable, pace })
  if (response.ok || call.accept?.includes(response.status)) return answer
  throw await failure(answer, method, unreachable)
}

/** A body that is made only as fast as it is taken; told of each piece, and why there can be no more. */
function streamOf(pieces: AsyncIterable<Uint8Array>, told: { taken(): void; failed(error: unknown): void }): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  let isCancelled = false
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next()
          told.taken()
          // Cancelled while the piece was made: nobody takes it.
          if (isCancelled) return
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          told.failed(error)
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
  readonly unreachable: (what: string, cause?: unknown) => ProblemError
}

function openAnswer(response: Response, opened: Opened): Answer {
  const { unreachable } = opened
  const answer: Answer = {
    status: response.status,
    headers: response.headers,
    body: (totalMsMax) => watchedBody(response, opened, totalMsMax),
    async bytes(lengthMax, totalMsMax) {
      const tooLong = (): ProblemError => unreachable(`sent more than the limit of ${lengthMax} bytes`)
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
      const text = new TextDecoder().decode(await answer.bytes(JSON_ANSWER_MAX, JSON_ANSWER_MS_MAX))
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        throw unreachable('answered something that is not JSON')
      }
      const parsed = schema.safeParse(value)
      if (parsed.success) return parsed.data
      throw unreachable('answered JSON of another shape than an agent does')
    },
    async close() {
      opened.ended.abort()
      // The connection is given up either way; why cancelling it failed changes nothing.
      await response.body?.cancel().catch(() => {})
    },
  }
  return answer
}

/** The pieces of a body within its pace. */
async function* watchedBody(response: Response, opened: Opened, totalMsMax: number | undefined): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (!response.body) return
  const { call, ended, timeout, now, pace, unreachable } = opened
  try {
    yield* readAnswer(response.body, { pace: { ...pace, totalMsMax }, timeout, now, end: () => ended.abort() })
  } catch (error) {
    if (call.signal?.aborted) throw call.signal.reason
    if (error instanceof AnswerTooSlow) throw unreachable(error.message, error)
    throw unreachable(`broke off its answer: ${reasonOf(error)}`, error)
  }
}

/** The problem of an answer that is a failure: the peer's own where it is one. */
async function failure(answer: Answer, method: string, unreachable: Opened['unreachable']): Promise<ProblemError> {
  if (answer.status >= 300 && answer.status < 400) {
    await answer.close()
    return unreachable('redirects elsewhere; use the address of the agent itself')
  }
  const retryAfter = answer.headers.get('retry-after')
  const headers: Record<string, string> = retryAfter === null ? {} : { 'retry-after': retryAfter }
  // RFC 9110 §9.3.2: the answer to HEAD has no body, so only its status speaks.
  const text = method === 'HEAD' ? '' : new TextDecoder().decode(await answer.bytes(PROBLEM_BYTES_MAX, JSON_ANSWER_MS_MAX))
  const document = readAgentProblem(text)
  if (document) return new ProblemError(document, { headers, isFromPeer: true })
  const code = ({ 401: 'unauthenticated', 403: 'forbidden', 404: 'not-found', 412: 'precondition-failed', 416: 'range-not-satisfiable' } as const)[
    answer.status
  ]
  if (code && (method === 'HEAD' || text === ''))
    return new ProblemError(makeProblem(code, `The agent answered ${answer.status}.`), { headers, isFromPeer: true })
  return unreachable(`answered ${answer.status} without a problem document of an agent`)
}

/** The problem document of an agent; undefined for everything else, also for a problem document of another program. */
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

/** Why a connection failed, in the words of this machine: the peer's part in them is its code alone. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = errorCode(error) ?? ''
  return /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO/.test(code) ? `its certificate is not accepted (${code})` : error.message
}
