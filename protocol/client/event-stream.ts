// Reads a stream of server-sent events (HTML, section 9.2) from an agent, with a bound on the length of one event.

import { eventSchema } from '../event.ts'
import type { StoreEvent } from '../event.ts'
import { problem } from '../problems.ts'
import type { ProblemError } from '../problems.ts'
import { storeStateSchema } from '../store-state.ts'
import type { StoreState } from '../store-state.ts'
import { AnswerInvalid, exchange } from './exchange.ts'
import type { Peer } from './exchange.ts'

/** Most characters of one server-sent event with its field names. An event of an agent has at most 20,000, a state fewer than 100,000. */
export const STREAMED_LENGTH_MAX = 128 * 1024
/** Longest silence within a stream, in milliseconds: an agent sends something every 20 s. */
const STREAM_SILENCE_MS = 120_000

export type StreamedItem = { readonly kind: 'state'; readonly state: StoreState } | { readonly kind: 'event'; readonly event: StoreEvent }

export interface FollowOptions {
  /** The stream begins with the event after this one; without it, with the next new event. */
  readonly lastEventId?: string | undefined
  readonly signal?: AbortSignal
  /** Called with the number of bytes of each piece before it is parsed. What it throws ends the stream. */
  readonly onBytes?: (bytes: number) => void
}

/**
 * Follows the events of an agent and the state of its store. The first item is a state. Ends when the agent ends the stream. Throws ProblemError: the
 * refusal of the agent, or `peer-unreachable` with the cause AnswerInvalid for a stream that is cut off or that an agent would not send.
 */
export async function* followEvents(peer: Peer, { lastEventId, signal, onBytes }: FollowOptions = {}): AsyncGenerator<StreamedItem> {
  const patient: Peer = { ...peer, stallTimeoutMs: STREAM_SILENCE_MS, pace: { bytesPerSecondMin: 0 } }
  const headers = { accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) }
  const answer = await exchange(patient, { path: ['v1', 'events'], query: { state: true }, headers, ...(signal ? { signal } : {}) })
  const invalid = (what: string): ProblemError =>
    problem('peer-unreachable', `${new URL(peer.baseUrl).origin} ${what} (GET /v1/events).`, {}, { cause: new AnswerInvalid('not-an-agent', what) })
  if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    await answer.close()
    throw invalid('answered without a stream of events')
  }
  for await (const sent of readServerSentEvents(answer.body(), {
    onBytes,
    tooLong: () => invalid(`sent an event longer than ${STREAMED_LENGTH_MAX} characters`),
  })) {
    if (sent.type !== 'state' && sent.type !== 'message') continue
    const value = parseJson(sent.data)
    if (sent.type === 'state') {
      const state = storeStateSchema.safeParse(value)
      if (!state.success) throw invalid('sent a state that does not match the schema of an agent')
      yield { kind: 'state', state: state.data }
    } else {
      const event = eventSchema.safeParse(value)
      if (!event.success || !/^\d{1,15}$/.test(event.data.id)) throw invalid('sent an event that does not match the schema of an agent')
      yield { kind: 'event', event: event.data }
    }
  }
}

export interface ServerSentEvent {
  /** `message` unless the server names another one. */
  readonly type: string
  readonly data: string
}

interface Reading {
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** Returns the error of an event longer than STREAMED_LENGTH_MAX. */
  readonly tooLong: () => Error
}

/** Yields the server-sent events of a body. Comments and unknown fields are skipped; an event without its blank line is dropped, as the standard says. */
export async function* readServerSentEvents(pieces: AsyncIterable<Uint8Array>, { onBytes, tooLong }: Reading): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let text = ''
  /** Characters of `text` in which no line end was found. */
  let searched = 0
  /** Characters of the lines of the event in progress. */
  let length = 0
  let type = ''
  let data: string[] = []
  for await (const piece of pieces) {
    onBytes?.(piece.byteLength)
    text += decoder.decode(piece, { stream: true })
    let start = 0
    for (let end = lineEnd(text, searched); end; end = lineEnd(text, start)) {
      const line = text.slice(start, end.at)
      start = end.next
      length += line.length
      if (length > STREAMED_LENGTH_MAX) throw tooLong()
      if (line === '') {
        length = 0
        const sent = { type: type === '' ? 'message' : type, data: data.join('\n') }
        const isEmpty = data.length === 0
        type = ''
        data = []
        if (!isEmpty) yield sent
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
      if (field === 'event') type = value
      else if (field === 'data') data.push(value)
    }
    text = text.slice(start)
    searched = Math.max(0, text.length - 1)
    if (length + text.length > STREAMED_LENGTH_MAX) throw tooLong()
  }
}

/** Returns where the next line ends and the one after it begins; undefined when the line is not complete. A line ends with CR, LF or both. */
function lineEnd(text: string, from: number): { at: number; next: number } | undefined {
  for (let i = from; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character === 10) return { at: i, next: i + 1 }
    if (character !== 13) continue
    // The LF of a CR LF may be in the next piece.
    if (i + 1 === text.length) return undefined
    return { at: i, next: text.charCodeAt(i + 1) === 10 ? i + 2 : i + 1 }
  }
  return undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
