// `GET /live?for=ADDRESS`: what changes on an open page, as server-sent events. The script of the page reads it; without the script nobody asks for it.

import type { Hono } from 'hono'
import type { PageVariables } from '../session-context.ts'
import type { Live } from './live.ts'

/** Longest address, and longest mark or version, in characters; and most parts of a page. */
export const ADDRESS_LENGTH_MAX = 2_000
const MARK_LENGTH_MAX = 32
const PARTS_MAX = 8
/** Seconds after which a browser that found no place should try again. */
const FULL_SECONDS = 30

/** Adds the route. */
export function addLive(app: Hono<{ Variables: PageVariables }>, live: Live): void {
  app.get('/live', (c) => {
    const query = new URL(c.req.url).searchParams
    const address = query.get('for') ?? ''
    const mark = query.get('mark') ?? ''
    const versions = query.getAll('has')
    // An address of this page, and of nothing else.
    const url = address.length <= ADDRESS_LENGTH_MAX && /^\/(?![/\\])/.test(address) ? URL.parse(address, c.req.url) : null
    const isBounded = versions.length <= PARTS_MAX && [mark, ...versions].every((text) => text.length <= MARK_LENGTH_MAX)
    if (!url || !isBounded) return c.text('The address of the page is missing or too long. Load the page again.', 400)
    const answer = live.open({ session: c.get('session'), token: c.get('token'), actor: c.get('actor'), url, mark, versions })
    if (answer.kind === 'full') return c.text(answer.text, 503, { 'Retry-After': String(FULL_SECONDS) })
    return c.body(answer.body, 200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
  })
}
