// Imports over http and https: follows redirects with every check, learns what the server says about the source, and reads it with one or several
// connections.

import { problem, ProblemError } from '../../../protocol/problems.ts'
import { SourceInterrupted } from '../source.ts'
import type { ImportScheme, OpenSource, SourceCredentials, SourceFacts } from '../source.ts'
import type { HttpConnection } from './connection.ts'
import { contentRange, factsOf, ifRange, requireContent, validatorOf } from './facts.ts'
import { checkServer, createHttpRequests, redirectOf, REDIRECTS_MAX, refuseTooManyRedirects } from './http-requests.ts'
import type { HttpRequests, HttpRequestsOptions } from './http-requests.ts'
import { RANGE_BYTES, readRanges } from './read-ranges.ts'
import type { Lane } from './read-ranges.ts'
import type { HttpResponse } from './response.ts'

export interface HttpSchemeOptions extends HttpRequestsOptions {
  /** Connections to read one source with, 1 to 16; used when its server supports ranges. */
  readonly concurrency: number
}

/** Creates the scheme for http and https. */
export function createHttpScheme(options: HttpSchemeOptions): ImportScheme {
  return {
    accepts: (location) => location.kind === 'url' && /^https?:/i.test(location.url),
    async check(location) {
      try {
        await checkServer(options.guard, urlOf(location))
      } catch (error) {
        // A name that cannot be resolved now may resolve when the task runs. If not, the task reports it.
        if (!(error instanceof SourceInterrupted)) throw error
      }
    },
    source: (location, credentials) => ({ open: (signal) => open(options, urlOf(location), credentials, signal) }),
  }
}

function urlOf(location: Parameters<ImportScheme['check']>[0]): URL {
  if (location.kind !== 'url') throw new Error('a path has no address')
  return new URL(location.url)
}

/** Where the source is after all redirects, and what is known of it. */
interface Found {
  readonly url: URL
  readonly isRedirected: boolean
  readonly facts: SourceFacts
}

async function open(options: HttpSchemeOptions, start: URL, credentials: SourceCredentials, signal: AbortSignal): Promise<OpenSource> {
  const closing = new AbortController()
  const requests = createHttpRequests(options, start, credentials, AbortSignal.any([signal, closing.signal]))
  const found = await find(requests, start)
  return {
    facts: found.facts,
    read: (offset, readSignal) => read(options, { start, credentials, found }, offset, readSignal),
    async [Symbol.asyncDispose]() {
      closing.abort()
    },
  }
}

/** Follows redirects to the source, and asks for its first byte: the answer tells whether ranges are supported. */
async function find(requests: HttpRequests, start: URL): Promise<Found> {
  let url = start
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    using connection = await requests.connect(url)
    const response = await connection.get(url, requests.headers(url, { Range: 'bytes=0-0' }))
    const next = redirectOf(response, url)
    if (!next) return { url, isRedirected: url !== start, facts: describe(response, url) }
    url = next
  }
  throw refuseTooManyRedirects()
}

function describe(response: HttpResponse, url: URL): SourceFacts {
  // RFC 9110 §15.5.17: an empty source has no first byte.
  const isEmpty = response.status === 416 && /^bytes \*\/0$/i.test(response.headers.get('content-range') ?? '')
  if (isEmpty) return { ...factsOf({ ...response, length: 0 }, url), canResume: false }
  requireContent(response)
  return factsOf(response, url)
}

interface ReadOrder {
  readonly start: URL
  readonly credentials: SourceCredentials
  readonly found: Found
}

async function* read(options: HttpSchemeOptions, { start, credentials, found }: ReadOrder, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { length, canResume } = found.facts
  if (length === 0) return
  const ended = new AbortController()
  const requests = createHttpRequests(options, start, credentials, AbortSignal.any([signal, ended.signal]))
  try {
    const lanes = length === null || !canResume ? 1 : Math.min(options.concurrency, Math.ceil((length - offset) / RANGE_BYTES))
    if (lanes > 1 && length !== null) {
      yield* readRanges({ start: offset, end: length, lanes: Array.from({ length: lanes }, () => createLane(requests, found)) })
      return
    }
    using connection = await requests.connect(found.url)
    yield* await ask(requests, connection, found, canResume && length !== null ? { start: offset, end: length } : undefined)
  } finally {
    ended.abort()
  }
}

function createLane(requests: HttpRequests, found: Found): Lane {
  let connection: HttpConnection | undefined
  return {
    async read(start, end) {
      if (!connection?.isIdle) {
        connection?.[Symbol.dispose]()
        connection = await requests.connect(found.url)
      }
      return Array.fromAsync(await ask(requests, connection, found, { start, end }))
    },
    [Symbol.dispose]: () => connection?.[Symbol.dispose](),
  }
}

/**
 * Asks for a range of the source, or without one for the whole source, and returns its bytes. Throws SourceInterrupted when the answer is of another
 * version of the source, which opening it again will tell.
 */
async function ask(
  requests: HttpRequests,
  connection: HttpConnection,
  { url, isRedirected, facts }: Found,
  range: { readonly start: number; readonly end: number } | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  const condition = range && facts.validator !== null ? { Range: `bytes=${range.start}-${range.end - 1}`, 'If-Range': ifRange(facts.validator) } : {}
  const response = await connection.get(url, requests.headers(url, condition))
  if (response.status >= 300 && response.status < 400) throw new SourceInterrupted('it moved')
  try {
    requireContent(response)
  } catch (error) {
    // The address behind a redirect is often valid for a short time only.
    if (isRedirected && error instanceof ProblemError) throw new SourceInterrupted('the address that it redirected to is no longer valid')
    throw error
  }
  if (validatorOf(response.headers) !== facts.validator) throw new SourceInterrupted('it changed')
  if (!range) {
    if (response.status !== 200 || response.length !== facts.length) throw new SourceInterrupted('it changed')
    return response.body
  }
  const answered = contentRange(response)
  // RFC 9110 §14.2: a server may send less than was asked for, and the whole source when it changed.
  if (answered?.start !== range.start || answered.end !== range.end || answered.total !== facts.length) throw new SourceInterrupted('it changed')
  return exactly(response.body, range.end - range.start)
}

/** Yields a body that must have a length. A chunked one could be longer, even endless. */
async function* exactly(body: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let left = length
  for await (const piece of body) {
    left -= piece.byteLength
    if (left < 0) break
    yield piece
  }
  if (left !== 0) throw problem('source-refused', 'The server of the source sends ranges of other lengths than it says.')
}
