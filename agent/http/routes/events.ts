// Events: a JSON page, or a stream of server-sent events that goes on where the client left it.

import { z } from 'zod'
import { eventSchema, severitySchema } from '../../../protocol/event.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EventFilter, EventLog } from '../../contract/work.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Streams at the same time. */
const STREAMS_MAX = 100
/** Events sent in one piece. A client that reads slowly holds no more than two pieces in memory: the rest stays in the log. */
const BATCH_MAX = 100
/** A comment is sent after this silence in milliseconds, so that neither end takes the other for dead. */
const HEARTBEAT_MS = 15_000
/** After how many milliseconds a browser connects again. */
const RECONNECT_MS = 3000

const eventIdSchema = z.string().regex(/^\d{1,15}$/, 'must be the id of an event, a whole number')
const querySchema = pageQuerySchema.extend({ since: eventIdSchema.optional(), type: z.string().max(100).optional(), severity: severitySchema.optional() })

export interface EventRoutesDeps {
  readonly events: EventLog
  readonly clock: Clock
  /** Ends the streams when the agent stops. */
  readonly stopping: AbortSignal
}

/** The route of /v1/events. */
export function eventRoutes(deps: EventRoutesDeps): Route[] {
  const { events } = deps
  let streams = 0
  return [
    route({
      method: 'GET',
      path: '/v1/events',
      access: 'viewer',
      summary:
        'Lists events, newest first; with `since` those after that id, oldest first. With Accept: text/event-stream a stream of new ones, after Last-Event-ID or `since` where given',
      query: querySchema,
      answers: { 200: { description: 'One page of events, or the stream', schema: pageSchema(eventSchema) } },
      run({ request, query }) {
        const { since, limit, cursor, ...filter } = query
        if (!acceptsStream(request)) {
          if (since === undefined) return answerPage(events.list({ ...filter, limit, cursor }))
          const found = events.after(cursor ?? since, { ...filter, limit: limit + 1 })
          const items = found.slice(0, limit)
          return answerPage({ items, next: found.length > limit ? (items.at(-1)?.id ?? null) : null })
        }
        const from = startOf(request.headers.get('last-event-id') ?? since, events)
        if (streams >= STREAMS_MAX) throw problem('limit-reached', `${STREAMS_MAX} clients follow the events already.`)
        if (deps.stopping.aborted) throw problem('shutting-down', 'The agent is stopping.')
        streams++
        const body = streamEvents(deps, filter, from, request.signal, () => streams--)
        return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', Vary: 'Accept' } })
      },
    }),
  ]
}

function answerPage(page: { items: StoreEvent[]; next: string | null }): Response {
  return Response.json(page, { headers: { Vary: 'Accept' } })
}

function acceptsStream(request: Request): boolean {
  return (request.headers.get('accept') ?? '').toLowerCase().includes('text/event-stream')
}

/** The id after which a stream begins. One beyond the newest is of a log that is gone: then everything is new. */
function startOf(given: string | undefined, events: EventLog): string {
  if (given === undefined || given === '') return events.latestId()
  const id = eventIdSchema.safeParse(given)
  if (!id.success) throw problem('invalid-input', 'Last-Event-ID must be the id of an event, a whole number.')
  return Number(id.data) > Number(events.latestId()) ? '0' : id.data
}

/** The stream itself: it reads the log when the client has room, so nothing piles up for a slow one. */
function streamEvents(
  { events, clock, stopping }: EventRoutesDeps,
  filter: Omit<EventFilter, 'limit' | 'cursor'>,
  from: string,
  gone: AbortSignal,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const end = new AbortController()
  let cursor = from
  let wake = (): void => {}
  const listening = events.onEvent(() => wake())
  const finish = (): void => {
    if (end.signal.aborted) return
    end.abort()
    listening[Symbol.dispose]()
    stopping.removeEventListener('abort', finish)
    gone.removeEventListener('abort', finish)
    onEnd()
    wake()
  }
  stopping.addEventListener('abort', finish)
  gone.addEventListener('abort', finish)

  /** What to send next, or undefined when the stream has ended. */
  const next = async (): Promise<string | undefined> => {
    for (;;) {
      if (end.signal.aborted) return undefined
      const latest = events.latestId()
      const batch = events.after(cursor, { ...filter, limit: BATCH_MAX })
      // Events that the filter leaves out need not be looked at again.
      cursor = batch.length === BATCH_MAX ? (batch.at(-1)?.id ?? latest) : latest
      if (batch.length > 0) return batch.map(formatEvent).join('')
      const silence = new AbortController()
      const outcome = await Promise.race([
        new Promise<'event'>((resolve) => (wake = () => resolve('event'))),
        // Aborted when an event came first: then nobody asks how the sleep ended.
        clock.sleep(HEARTBEAT_MS, silence.signal).then(
          () => 'silence' as const,
          () => 'event' as const,
        ),
      ])
      silence.abort()
      if (outcome === 'silence') return ':\n\n'
    }
  }

  return new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(`retry: ${RECONNECT_MS}\n\n`)),
    async pull(controller) {
      const text = await next()
      if (text === undefined) controller.close()
      else controller.enqueue(encoder.encode(text))
    },
    cancel: finish,
  })
}

/** One event in the format of HTML's "Server-sent events"; JSON has no line ends of its own. */
function formatEvent(event: StoreEvent): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`
}
