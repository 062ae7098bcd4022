// Gives every request an id that stands in its answer, its log lines and its problems.

import { createMiddleware } from 'hono/factory'
import { newId } from '../../../protocol/ids.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { AppEnvironment } from '../environment.ts'

/** Ids from outside go into logs: only what needs no quoting, and not long. */
const FOREIGN_ID = /^[A-Za-z0-9][\w.:-]{0,63}$/

/** Takes X-Request-Id when it is sane, makes one otherwise, and echoes it. */
export function requestId(deps: { readonly clock: Clock; readonly log: Log }) {
  return createMiddleware<AppEnvironment>(async (context, next) => {
    const given = context.req.header('x-request-id')
    const id = given !== undefined && FOREIGN_ID.test(given) ? given : newId('req', deps.clock.nowMs())
    context.set('requestId', id)
    context.set('log', deps.log.child({ requestId: id }))
    await next()
    context.res.headers.set('X-Request-Id', id)
  })
}
