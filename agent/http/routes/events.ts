// The route of events: a JSON page, or a stream of server-sent events that a client can resume.

import { z } from 'zod'
import { eventSchema, severitySchema } from '../../../protocol/event.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import type { StoreState } from '../../../protocol/store-state.ts'
import type { Actor } from '../../contract/access.ts'
import type { EventFilter, EventLog } from '../../contract/work.ts'
import { streamEvents } from '../events/event-stream.ts'
import type { EventStreamDeps } from '../events/event-stream.ts'
import { createStreamCounts } from '../events/stream-counts.ts'
import { seenImages } from '../visible/image-mentions.ts'
import type { FindImage } from '../visible/image-mentions.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { isEventSeen, pageOfSeen } from '../visible/seen-work.ts'

/** The id of an event, which is also the cursor of their list. */
export const eventIdSchema = z.string().regex(/^\d{1,15}$/, 'must be the id of an event, which is a whole number')
const querySchema = pageQuerySchema.extend({
  cursor: eventIdSchema.optional(),
  since: eventIdSchema.optional(),
  type: z.string().max(100).optional(),
  severity: severitySchema.optional(),
  state: z.enum(['true', 'false']).default('false'),
})

export interface EventRoutesDeps extends EventStreamDeps {
  /** Whether a token is still valid: a stream ends when its token expires or is deleted. */
  readonly isTokenValid: (tokenId: string) => boolean
  readonly findImage: FindImage
  /** Reads the state of the store as this caller may see it. */
  readonly readState: (actor: Actor) => Promise<StoreState>
}

/** Returns the route of /v1/events. */
export function eventRoutes(deps: EventRoutesDeps): Route[] {
  const { events, findImage, clock, readState } = deps
  const streams = createStreamCounts()
  return [
    route({
      method: 'GET',
      path: '/v1/events',
      access: 'viewer',
      summary:
        'Lists the events that the caller may see, newest first; with `since`, lists the events after that id, oldest first. With Accept: text/event-stream, streams new events, starting after Last-Event-ID or `since`',
      description:
        'A stream with `state=true` begins with a server-sent event `state`: health, store and tasks in progress, and the id of an event whose changes it includes. It is sent again after events, and at the latest after 20 s.',
      query: querySchema,
      answers: { 200: { description: 'A page of events, or the stream', schema: pageSchema(eventSchema), streams: ['text/event-stream'] } },
      async run({ request, query, actor }) {
        const { since, limit, cursor, state, ...filter } = query
        const hasState = state === 'true'
        if (!acceptsStream(request)) {
          if (hasState)
            throw problem('invalid-input', 'Only a stream has the state of the store.', { action: 'Send Accept: text/event-stream, or leave out state.' })
          const after = (count: number, from: string | undefined): Page<StoreEvent> => pageAfter(events, from ?? since ?? '0', { ...filter, limit: count })
          const list = since === undefined ? (count: number, from: string | undefined) => events.list({ ...filter, limit: count, cursor: from }) : after
          const seen = seenImages(findImage, actor)
          if (seen.isComplete) return answerPage(list(limit, cursor))
          const isSeen = (event: StoreEvent): boolean => isEventSeen(event, seen)
          return answerPage(await pageOfSeen({ list, isSeen, limit, cursor, pause: () => clock.sleep(0) }))
        }
        const from = startOf(request.headers.get('last-event-id') ?? since, events)
        if (deps.stopping.aborted) throw problem('shutting-down', 'The agent is stopping.')
        const leave = streams.enter(actor.tokenId ?? `${actor.name} without a token`, hasState)
        const isValid = (): boolean => actor.tokenId === undefined || deps.isTokenValid(actor.tokenId)
        const select = (found: readonly StoreEvent[]): StoreEvent[] => {
          // Rights can change while the stream is open.
          const seen = seenImages(findImage, actor)
          return found.filter((event) => isEventSeen(event, seen))
        }
        const body = streamEvents(deps, {
          filter,
          select,
          readState: hasState ? () => readState(actor) : undefined,
          from,
          gone: request.signal,
          isValid,
          onEnd: leave,
        })
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
