// A stream of server-sent events: events of the store as they arrive and, on request, the state of the store.

import type { StoreEvent } from '../../../protocol/event.ts'
import type { StoreState } from '../../../protocol/store-state.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EventFilter, EventLog } from '../../contract/work.ts'

/** Interval at which a stream is checked, in milliseconds. */
const LOOK_MS = 5000
/** Time after which a stream is closed if its client reads nothing, in milliseconds. */
const UNREAD_MS_MAX = 60_000
/** Longest time a stream stays open, in milliseconds. Its client reconnects with Last-Event-ID and misses no event. */
const STREAM_MS_MAX = 3_600_000
/** Most events sent in one piece. A slow client keeps at most two pieces in memory; the rest stays in the log. */
const BATCH_MAX = 100
/** Time without an event after which a comment is sent, in milliseconds, so that neither end considers the connection dead. */
const HEARTBEAT_MS = 15_000
/** Milliseconds after which a browser reconnects. */
const RECONNECT_MS = 3000
/** Longest time between two states of a stream that sends them, in milliseconds: a client that gets none for longer knows that the agent is silent. */
const STATE_MS_MAX = 20_000
/** Shortest time between two states of a stream, in milliseconds: many events in a row cause one state. */
const STATE_MS_MIN = 1000

export interface EventStreamDeps {
  readonly events: EventLog
  readonly clock: Clock
  /** Ends the streams when the agent stops. */
  readonly stopping: AbortSignal
}

export interface EventStream {
  readonly filter: Omit<EventFilter, 'limit' | 'cursor'>
  /** Returns those of the events that the client may see now. */
  readonly select: (events: readonly StoreEvent[]) => StoreEvent[]
  /** Reads the state as the client may see it; undefined for a stream of events only. */
  readonly readState: (() => Promise<StoreState>) | undefined
  /** Id of the event before the first one to send. */
  readonly from: string
  /** The signal of the request. */
  readonly gone: AbortSignal
  /** Whether the client may still read. */
  readonly isValid: () => boolean
  /** Called once when the stream ends or is cancelled. */
  readonly onEnd: () => void
}

/** Returns the stream. It reads the event log only when the client has read the previous piece, so that nothing accumulates for a slow client. */
export function streamEvents({ events, clock, stopping }: EventStreamDeps, stream: EventStream): ReadableStream<Uint8Array> {
  const { gone, isValid, onEnd } = stream
  const encoder = new TextEncoder()
  const end = new AbortController()
  const startMs = clock.monotonicMs()
  const feed = createFeed({ ...stream, events, clock, end: end.signal })
  /** Time since which a piece waits for the client to read it. */
  let unreadMs: number | undefined
  let output: ReadableStreamDefaultController<Uint8Array> | undefined
  const finish = (): void => {
    if (end.signal.aborted) return
    end.abort()
    feed[Symbol.dispose]()
    watch[Symbol.dispose]()
    stopping.removeEventListener('abort', finish)
    gone.removeEventListener('abort', finish)
    onEnd()
  }
  const watch = clock.every(LOOK_MS, () => {
    const nowMs = clock.monotonicMs()
    if (unreadMs !== undefined && nowMs - unreadMs >= UNREAD_MS_MAX) {
      finish()
      output?.error(new Error(`the client read no event for ${UNREAD_MS_MAX / 1000} s`))
    } else if (nowMs - startMs >= STREAM_MS_MAX || !isValid()) finish()
  })
  stopping.addEventListener('abort', finish)
  gone.addEventListener('abort', finish)
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, text: string): void => {
    unreadMs = clock.monotonicMs()
    controller.enqueue(encoder.encode(text))
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      output = controller
      send(controller, `retry: ${RECONNECT_MS}\n\n`)
    },
    async pull(controller) {
      // The client has read the previous piece.
      unreadMs = undefined
      const text = await feed.next()
      if (text === undefined) controller.close()
      else send(controller, text)
    },
    cancel: finish,
  })
}

interface FeedDeps extends Pick<EventStreamDeps, 'events' | 'clock'>, Pick<EventStream, 'filter' | 'select' | 'readState' | 'from'> {
  readonly end: AbortSignal
}

interface Feed extends Disposable {
  /** Returns the text to send next: a state, events, or a comment after a silence; undefined when the stream has ended. */
  next(): Promise<string | undefined>
}

/** Creates the feed of one stream: the events after an id, as they arrive. A state is sent first, after events, and after STATE_MS_MAX without events. */
function createFeed({ events, clock, filter, select, readState, from, end }: FeedDeps): Feed {
  let cursor = from
  let wake = (): void => {}
  let isStateDue = readState !== undefined
  let stateMs = Number.NEGATIVE_INFINITY
  const listening = events.onEvent(() => wake())

  /** Returns the next events as text; an empty text when the client may see none of them, undefined when there are none. */
  const nextEvents = (): string | undefined => {
    const latest = events.latestId()
    const batch = events.after(cursor, { ...filter, limit: BATCH_MAX })
    // Skips the events that the filter excludes. They can change the state all the same.
    const reached = batch.length === BATCH_MAX ? (batch.at(-1)?.id ?? latest) : latest
    if (reached !== cursor) isStateDue = readState !== undefined
    cursor = reached
    const seen = select(batch)
    return batch.length > 0 ? seen.map(formatEvent).join('') : undefined
  }

  /** Waits for an event, at most this long; returns which came first. */
  const silence = async (ms: number): Promise<'event' | 'silence'> => {
    const patience = new AbortController()
    const outcome = await Promise.race([
      new Promise<'event'>((resolve) => (wake = () => resolve('event'))),
      // Rejects when an event arrives first; the result is not used then.
      clock.sleep(ms, patience.signal).then(
        () => 'silence' as const,
        () => 'event' as const,
      ),
    ])
    patience.abort()
    return outcome
  }

  return {
    async next() {
      for (;;) {
        if (end.aborted) return undefined
        if (readState && isStateDue && clock.monotonicMs() - stateMs >= STATE_MS_MIN) {
          isStateDue = false
          stateMs = clock.monotonicMs()
          const state = await readState()
          return end.aborted ? undefined : formatState(state)
        }
        const text = nextEvents()
        if (text === '') {
          // A long stretch of events that the client may not see must not block other work.
          await clock.sleep(0)
          continue
        }
        if (text !== undefined) return text
        const untilStateMs = stateMs + (isStateDue ? STATE_MS_MIN : STATE_MS_MAX) - clock.monotonicMs()
        if ((await silence(readState ? untilStateMs : HEARTBEAT_MS)) === 'event') continue
        if (!readState) return ':\n\n'
        isStateDue = true
      }
    },
    [Symbol.dispose]() {
      listening[Symbol.dispose]()
      wake()
    },
  }
}

/** Formats an event as a server-sent event of HTML; its JSON contains no line ends. */
function formatEvent(event: StoreEvent): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`
}

/** Formats a state. It has no id, so that a client that is cut off resumes after the last event that it got. */
function formatState(state: StoreState): string {
  return `event: state\ndata: ${JSON.stringify(state)}\n\n`
}
