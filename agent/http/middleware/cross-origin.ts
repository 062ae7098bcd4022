// CORS (Fetch standard, "HTTP CORS protocol"): which pages of other origins may call the agent from a browser, and what they
// may send and read.

import { createMiddleware } from 'hono/factory'
import type { Authenticator } from '../../contract/access.ts'
import type { AppEnvironment } from '../environment.ts'
import { CREDENTIAL_LENGTH_MAX } from './authenticate.ts'

/** Methods of all routes that pages may call. This list grants nothing: the credential decides what a caller may do. */
const METHODS = 'GET, HEAD, POST, PATCH, DELETE, OPTIONS'
/** Headers that a page may send: those of uploads, and those of reading content by ranges. */
const REQUEST_HEADERS = [
  'Authorization',
  'Content-Disposition',
  'Content-Digest',
  'Content-Type',
  'If-Match',
  'If-Modified-Since',
  'If-None-Match',
  'If-Range',
  'If-Unmodified-Since',
  'Range',
  'Repr-Digest',
  'Tus-Resumable',
  'Upload-Checksum',
  'Upload-Complete',
  'Upload-Concat',
  'Upload-Defer-Length',
  'Upload-Draft-Interop-Version',
  'Upload-Length',
  'Upload-Metadata',
  'Upload-Offset',
  'X-HTTP-Method-Override',
  'X-Request-Id',
  'X-Requested-With',
].join(', ')
/** Headers that a page may read in addition to the safelisted ones. */
const ANSWER_HEADERS = [
  'Accept-Patch',
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Location',
  'Content-Range',
  'ETag',
  'Location',
  'Repr-Digest',
  'Retry-After',
  'Tus-Checksum-Algorithm',
  'Tus-Extension',
  'Tus-Max-Size',
  'Tus-Resumable',
  'Tus-Version',
  'Upload-Complete',
  'Upload-Concat',
  'Upload-Defer-Length',
  'Upload-Draft-Interop-Version',
  'Upload-Expires',
  'Upload-Length',
  'Upload-Limit',
  'Upload-Metadata',
  'Upload-Offset',
  'X-Request-Id',
].join(', ')
/** How long a browser caches the answer to a preflight, in seconds. */
const PREFLIGHT_SECONDS = 86_400

/**
 * Lets pages of these origins (`*` for any) read the answers of routes that are `crossOrigin`, including refusals and preflights. A request with an upload link
 * may also come from the page for which the link was made. Never allows credentials mode: the cookie of the
 * page counts on the page only, whose routes are not `crossOrigin`.
 */
export function crossOrigin(origins: readonly string[], authenticator: Pick<Authenticator, 'originOfLink'>) {
  const isAllowed = async (origin: string, url: string): Promise<boolean> => {
    if (origins.includes(origin) || origins.includes('*')) return true
    const link = new URL(url).searchParams.get('link')
    return link !== null && link.length <= CREDENTIAL_LENGTH_MAX && (await authenticator.originOfLink?.(link)) === origin
  }
  return createMiddleware<AppEnvironment>(async (context, next) => {
    await next()
    if (!context.var.pathRoutes?.some((route) => route.crossOrigin)) return
    const { headers } = context.res
    const origin = context.req.header('origin')
    if (origins.length > 0 || origin !== undefined) headers.append('Vary', 'Origin')
    if (origin === undefined || !(await isAllowed(origin, context.req.url))) return
    headers.set('Access-Control-Allow-Origin', origin)
    headers.set('Access-Control-Expose-Headers', ANSWER_HEADERS)
    headers.set('Cross-Origin-Resource-Policy', 'cross-origin')
    if (context.req.method !== 'OPTIONS') return
    headers.set('Access-Control-Allow-Methods', METHODS)
    headers.set('Access-Control-Allow-Headers', REQUEST_HEADERS)
    headers.set('Access-Control-Max-Age', String(PREFLIGHT_SECONDS))
  })
}
