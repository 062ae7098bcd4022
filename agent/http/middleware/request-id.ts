// Assigns an id to every request. The id appears in the answer, the log lines and the problems of the request.

import { createMiddleware } from 'hono/factory'
import { newId } from '../../../protocol/ids.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { AppEnvironment } from '../environment.ts'

/** Ids of clients are written to the log: only short ones that need no quoting are accepted. */
const FOREIGN_ID = /^[A-Za-z0-9][\w.:-]{0,63}$/

/** Uses a valid X-Request-Id or creates an id, and returns it in the answer. */
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
