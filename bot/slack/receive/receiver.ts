// Receives Slack's HTTP requests with Hono and passes them to Bolt. The raw body is parsed only after its signature and timestamp were
// verified. Bolt's own receivers accept timestamps in the future; this one does not. A repeated request is acknowledged and not run.

import { verifySlackRequest } from '@slack/bolt'
import { joinBytes } from '../../../protocol/bytes.ts'
import type { App, Receiver, ReceiverEvent } from '@slack/bolt'
import { Hono } from 'hono'
import type { Context } from 'hono'
import { z } from 'zod'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import { REQUEST_PATH } from '../../commands/slack/app-manifest.ts'
import type { Repeats } from './repeats.ts'

/** Largest difference between the timestamp of a request and the clock here, in seconds, in both directions. */
export const TIMESTAMP_SKEW_MAX_S = 300
/** The longest body in bytes. */
export const BODY_LENGTH_MAX = 1024 * 1024
/** Time in milliseconds after which Slack stops waiting for the answer. */
const ACK_TIMEOUT_MS = 3_000

export interface HonoReceiver extends Receiver {
  /** Routes to mount: POST /slack/events. */
  readonly routes: Hono
}

export interface ReceiverDeps {
  readonly signingSecret: string
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly log: Log
  readonly repeats: Repeats
}

const bodySchema = z.looseObject({ type: z.string().optional(), challenge: z.string().optional(), ssl_check: z.string().optional() })
type Body = z.infer<typeof bodySchema>

/** Creates a receiver for Bolt whose requests come through Hono. */
export function createHonoReceiver(deps: ReceiverDeps): HonoReceiver {
  let app: App | undefined
  const routes = new Hono()
  routes.post(REQUEST_PATH, async (c) => {
    const raw = await readBody(c.req.raw)
    if (raw === undefined) return c.text('The body is too long.', 413)
    const refusal = verify(deps, c, raw)
    if (refusal !== undefined) {
      deps.log.warn('a request was refused', { reason: refusal })
      return c.text(refusal, 401)
    }
    const body = parseBody(raw, c.req.header('content-type') ?? '')
    if (!body) return c.text('The body is neither JSON nor a form of Slack.', 400)
    if (body.ssl_check !== undefined) return c.body(null, 200)
    if (body.type === 'url_verification') return c.json({ challenge: body.challenge ?? '' })
    if (!app) return c.text('The bot is not ready yet.', 503)
    switch (deps.repeats.check(`signature ${c.req.header('x-slack-signature') ?? ''}`)) {
      case 'repeated':
        deps.log.warn('a repeated request was not run again', { retry: c.req.header('x-slack-retry-num') })
        return c.body(null, 200)
      case 'full':
        return c.text('Too many requests in the last minutes.', 503)
      case 'new':
    }
    return dispatch(app, deps, body, c)
  })
  return {
    routes,
    init: (bolt) => {
      app = bolt
    },
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  }
}

/** Returns the body; undefined when it is longer than BODY_LENGTH_MAX. */
async function readBody(request: Request): Promise<string | undefined> {
  if (Number(request.headers.get('content-length') ?? 0) > BODY_LENGTH_MAX) return undefined
  const pieces: Uint8Array[] = []
  let length = 0
  // Nothing is verified yet: a body without a declared length must not fill the memory.
  for await (const piece of request.body ?? []) {
    length += piece.byteLength
    if (length > BODY_LENGTH_MAX) return undefined
    pieces.push(piece)
  }
  return new TextDecoder().decode(joinBytes(pieces))
}

/** Why a request is refused; undefined when Slack signed it. */
function verify(deps: ReceiverDeps, c: Context, raw: string): string | undefined {
  const signature = c.req.header('x-slack-signature')
  const timestamp = c.req.header('x-slack-request-timestamp')
  if (signature === undefined || timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return 'The signature or its timestamp is missing.'
  const nowMs = deps.clock.nowMs()
  if (Math.abs(Math.floor(nowMs / 1000) - Number(timestamp)) > TIMESTAMP_SKEW_MAX_S)
    return 'The timestamp of the signature differs from the time here by more than 5 minutes.'
  try {
    verifySlackRequest({
      signingSecret: deps.signingSecret,
      body: raw,
      headers: { 'x-slack-signature': signature, 'x-slack-request-timestamp': Number(timestamp) },
      nowMilliseconds: nowMs,
    })
    return undefined
  } catch {
    return 'The signature does not match.'
  }
}

function parseBody(raw: string, type: string): Body | undefined {
  let value: unknown
  try {
    if (type.startsWith('application/json')) value = JSON.parse(raw)
    else {
      const form = new URLSearchParams(raw)
      const payload = form.get('payload')
      value = payload === null ? Object.fromEntries(form) : JSON.parse(payload)
    }
  } catch {
    return undefined
  }
  const parsed = bodySchema.safeParse(value)
  return parsed.success ? parsed.data : undefined
}

/** Passes the event to Bolt; the first acknowledgement is the answer. */
async function dispatch(app: App, { clock, log }: ReceiverDeps, body: Body, c: Context): Promise<Response> {
  const { promise, resolve } = Promise.withResolvers<Response>()
  const retryNum = c.req.header('x-slack-retry-num')
  const retryReason = c.req.header('x-slack-retry-reason')
  const event: ReceiverEvent = {
    body,
    ...(retryNum === undefined ? {} : { retryNum: Number(retryNum) }),
    ...(retryReason === undefined ? {} : { retryReason }),
    ack: (answer?: unknown) => {
      if (answer === undefined || answer === '') resolve(c.body(null, 200))
      else if (typeof answer === 'string') resolve(c.text(answer))
      else resolve(Response.json(answer))
      return Promise.resolve()
    },
  }
  const stop = new AbortController()
  const late = clock.sleep(ACK_TIMEOUT_MS, stop.signal).then(
    () => c.text('Nothing handles this request.', 404),
    () => promise,
  )
  app.processEvent(event).catch((error: unknown) => {
    log.error('an event of Slack failed', { error })
    resolve(c.text('The request failed.', 500))
  })
  const answer = await Promise.race([promise, late])
  stop.abort()
  return answer
}
