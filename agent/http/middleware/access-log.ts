// One log line and one observation for the metrics for each answered request.

import { createMiddleware } from 'hono/factory'
import type { Clock } from '../../contract/runtime.ts'
import type { AppEnvironment } from '../environment.ts'

/** A request whose answer has begun. `route` is the pattern instead of the path, so that the number of values is limited. */
export interface ObservedRequest {
  /** The method that the request was routed by. */
  readonly method: string
  readonly route: string
  readonly status: number
  /** From the first byte of the request to the head of the answer. */
  readonly seconds: number
}

/** Paths that machines request every few seconds: successful answers are logged at debug level. */
const FREQUENT_PATHS: ReadonlySet<string> = new Set(['/v1/health', '/metrics'])

/** Logs the method that ran, the path (never the query, which may contain a link), the status, the duration and the caller. */
export function accessLog(deps: { readonly clock: Clock; readonly observe?: ((request: ObservedRequest) => void) | undefined }) {
  return createMiddleware<AppEnvironment>(async (context, next) => {
    const startMs = deps.clock.monotonicMs()
    await next()
    const { status } = context.res
    const { path } = context.req
    const method = context.var.method ?? context.req.method
    const durationMs = deps.clock.monotonicMs() - startMs
    const route = context.var.route?.path ?? context.var.pathRoutes?.[0]?.path ?? 'unmatched'
    deps.observe?.({ method, route, status, seconds: durationMs / 1000 })
    const level = status >= 500 ? 'warn' : FREQUENT_PATHS.has(path) && status < 400 ? 'debug' : 'info'
    context.var.log[level]('request', {
      method,
      path,
      status,
      durationMs: Math.round(durationMs * 10) / 10,
      actor: context.var.actor?.name,
      remote: context.env?.connection?.remoteAddress,
    })
  })
}
