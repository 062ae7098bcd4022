// The route of events: a JSON page, or a stream of server-sent events that a client can resume.

import { z } from 'zod'
import { eventSchema, severitySchema } from '../../../protocol/event.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EventFilter, EventLog } from '../../contract/work.ts'
import { seenImages } from '../image-mentions.ts'
import type { FindImage } from '../image-mentions.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { isEventSeen, pageOfSeen } from '../seen-work.ts'

/** Most concurrent streams, in total and for one token. */
export const STREAMS_MAX = 100
export const STREAMS_PER_TOKEN_MAX = 10
/** Interval at which a stream is checked, in milliseconds. */
const LOOK_MS = 5000
/** Time after which a stream is closed if its client reads nothing, in milliseconds. */
export const UNREAD_MS_MAX = 60_000
/** Longest time a stream stays open, in milliseconds. Its client reconnects with Last-Event-ID and misses no event. */
export const STREAM_MS_MAX = 3_600_000
/** Most events sent in one piece. A slow client keeps at most two pieces in memory; the rest stays in the log. */
const BATCH_MAX = 100
/** Time without an event after which a comment is sent, in milliseconds, so that neither end considers the connection dead. */
const HEARTBEAT_MS = 15_000
/** Milliseconds after which a browser reconnects. */
const RECONNECT_MS = 3000

const eventIdSchema = z.string().regex(/^\d{1,15}$/, 'must be the id of an event, which is a whole number')
const querySchema = pageQuerySchema.extend({
  cursor: eventIdSchema.optional(),
  since: eventIdSchema.optional(),
  type: z.string().max(100).optional(),
  severity: severitySchema.optional(),
})

export interface EventRoutesDeps {
  readonly events: EventLog
  readonly clock: Clock
  /** Ends the streams when the agent stops. */
  readonly stopping: AbortSignal
  /** Whether a token is still valid: a stream ends when its token expires or is deleted. */
  readonly isTokenValid: (tokenId: string) => boolean
  readonly findImage: FindImage
}

/** Returns the route of /v1/events. */
export function eventRoutes(deps: EventRoutesDeps): Route[] {
  const { events, findImage, clock } = deps
  const streams = createCounts()
  return [
    route({
      method: 'GET',
      path: '/v1/events',
      access: 'viewer',
      summary:
        'Lists the events that the caller may see, newest first; with `since`, lists the events after that id, oldest first. With Accept: text/event-stream, streams new events, starting after Last-Event-ID or `since`',
      query: querySchema,
      answers: { 200: { description: 'A page of events, or the stream', schema: pageSchema(eventSchema), streams: ['text/event-stream'] } },
      async run({ request, query, actor }) {
        const { since, limit, cursor, ...filter } = query
        if (!acceptsStream(request)) {
          const after = (count: number, from: string | undefined): Page<StoreEvent> => pageAfter(events, from ?? since ?? '0', { ...filter, limit: count })
          const list = since === undefined ? (count: number, from: string | undefined) => events.list({ ...filter, limit: count, cursor: from }) : after
          const seen = seenImages(findImage, actor)
          if (seen.isComplete) return answerPage(list(limit, cursor))
          const isSeen = (event: StoreEvent): boolean => isEventSeen(event, seen)
          return answerPage(await pageOfSeen({ list, isSeen, limit, cursor, pause: () => clock.sleep(0) }))
        }
        const from = startOf(request.headers.get('last-event-id') ?? since, events)
        if (deps.stopping.aborted) throw problem('shutting-down', 'The agent is stopping.')
        const leave = streams.enter(actor.tokenId ?? `${actor.name} without a token`)
        const isValid = (): boolean => actor.tokenId === undefined || deps.isTokenValid(actor.tokenId)
        const select = (found: readonly StoreEvent[]): StoreEvent[] => {
          // Rights can change while the stream is open.
          const seen = seenImages(findImage, actor)
          return found.filter((event) => isEventSeen(event, seen))
        }
        const body = streamEvents(deps, { filter, select, from, gone: request.signal, isValid, onEnd: leave })
        return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', Vary: 'Accept' } })
      },
    }),
  ]
}

function answerPage(page: Page<StoreEvent>): Response {
  return Response.json(page, { headers: { Vary: 'Accept' } })
}

/** Returns the events after an id, oldest first. */
function pageAfter(events: EventLog, from: string, { limit, ...filter }: Omit<EventFilter, 'cursor'>): Page<StoreEvent> {
  const found = events.after(from, { ...filter, limit: limit + 1 })
  const items = found.slice(0, limit)
  return { items, next: found.length > limit ? (items.at(-1)?.id ?? null) : null }
}

function acceptsStream(request: Request): boolean {
  return (request.headers.get('accept') ?? '').toLowerCase().includes('text/event-stream')
}

/** Returns the id after which a stream begins. An id beyond the newest belongs to an event log that was lost, so the stream begins with the first event. */
function startOf(given: string | undefined, events: EventLog): string {
  if (given === undefined || given === '') return events.latestId()
  const id = eventIdSchema.safeParse(given)
  if (!id.success) throw problem('invalid-input', 'Last-Event-ID must be the id of an event, which is a whole number.')
  return Number(id.data) > Number(events.latestId()) ? '0' : id.data
}

/** Creates the counts of streams, in total and by token. */
function createCounts(): { enter(key: string): () => void } {
  const counts = new Map<string, number>()
  let total = 0
  return {
    enter(key) {
      const own = counts.get(key) ?? 0
      if (own >= STREAMS_PER_TOKEN_MAX)
        throw problem('limit-reached', `${STREAMS_PER_TOKEN_MAX} clients already follow the events with this token.`, {
          action: 'Close unused streams, or use a separate token for each client.',
        })
      if (total >= STREAMS_MAX) throw problem('limit-reached', `${STREAMS_MAX} clients already follow the events.`)
      total++
      counts.set(key, own + 1)
      return () => {
        total--
        const left = (counts.get(key) ?? 0) - 1
        if (left > 0) counts.set(key, left)
        else counts.delete(key)
      }
    },
  }
}

interface EventStream {
  readonly filter: Omit<EventFilter, 'limit' | 'cursor'>
  /** Returns those of the events that the client may see now. */
  readonly select: (events: readonly StoreEvent[]) => StoreEvent[]
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
function streamEvents({ events, clock, stopping }: EventRoutesDeps, { filter, select, from, gone, isValid, onEnd }: EventStream): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const end = new AbortController()
  const startMs = clock.monotonicMs()
  const feed = createFeed({ events, clock, filter, select, from, end: end.signal })
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

interface FeedDeps extends Pick<EventRoutesDeps, 'events' | 'clock'>, Pick<EventStream, 'filter' | 'select' | 'from'> {
  readonly end: AbortSignal
}

interface Feed extends Disposable {
  /** Returns the text to send next: events, or a comment after a silence; undefined when the stream has ended. */
  next(): Promise<string | undefined>
}

/** Creates the feed of one stream: the events after an id, as they arrive. */
function createFeed({ events, clock, filter, select, from, end }: FeedDeps): Feed {
  let cursor = from
  let wake = (): void => {}
  const listening = events.onEvent(() => wake())
  return {
    async next() {
      for (;;) {
        if (end.aborted) return undefined
        const latest = events.latestId()
        const batch = events.after(cursor, { ...filter, limit: BATCH_MAX })
        // Skips the events that the filter excludes.
        cursor = batch.length === BATCH_MAX ? (batch.at(-1)?.id ?? latest) : latest
        const seen = select(batch)
        if (seen.length > 0) return seen.map(formatEvent).join('')
        if (batch.length > 0) {
          // A long stretch of events that the client may not see must not block other work.
          await clock.sleep(0)
          continue
        }
        const silence = new AbortController()
        const outcome = await Promise.race([
          new Promise<'event'>((resolve) => (wake = () => resolve('event'))),
          // Rejects when an event arrives first; the result is not used then.
          clock.sleep(HEARTBEAT_MS, silence.signal).then(
            () => 'silence' as const,
            () => 'event' as const,
          ),
        ])
        silence.abort()
        if (outcome === 'silence') return ':\n\n'
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
