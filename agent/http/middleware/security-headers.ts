// Headers that keep a browser from doing more with an answer than it should.

import { createMiddleware } from 'hono/factory'
import type { AppEnvironment } from '../environment.ts'

const DEFAULT_HEADERS: readonly (readonly [string, string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; sandbox"],
]

/** Sets the headers a route did not set itself. JSON is about this moment and this caller, so it is not stored. */
export function securityHeaders() {
  return createMiddleware<AppEnvironment>(async (context, next) => {
    await next()
    const { headers } = context.res
    for (const [name, value] of DEFAULT_HEADERS) if (!headers.has(name)) headers.set(name, value)
    if (!headers.has('Cache-Control') && (headers.get('Content-Type') ?? '').includes('json')) headers.set('Cache-Control', 'no-store')
  })
}
