// Headers that restrict what a browser does with an answer.

import { createMiddleware } from 'hono/factory'
import type { AppEnvironment } from '../environment.ts'

const DEFAULT_HEADERS: readonly (readonly [string, string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; sandbox"],
]

/** Sets the headers that a route did not set. JSON depends on the caller and the current state, so caches must not store it. */
export function securityHeaders() {
  return createMiddleware<AppEnvironment>(async (context, next) => {
    await next()
    const { headers } = context.res
    for (const [name, value] of DEFAULT_HEADERS) if (!headers.has(name)) headers.set(name, value)
    if (!headers.has('Cache-Control') && (headers.get('Content-Type') ?? '').includes('json')) headers.set('Cache-Control', 'no-store')
  })
}
