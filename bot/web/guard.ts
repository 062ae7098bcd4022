// What every request to the page must fulfil before anything reads it, and what every answer says to the browser.

import type { Context, MiddlewareHandler } from 'hono'
import { joinBytes } from '../../protocol/bytes.ts'

/** The longest body of a form in bytes. */
export const BODY_LENGTH_MAX = 64 * 1024
/** Most fields of a form. */
const FIELDS_MAX = 200

/**
 * No script, style or image but our own, no frame around the page, no form that leads elsewhere. Only this origin learns where a person comes from: with no
 * referrer at all, browsers send no usable Origin with a form.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
}

/** Returns the origin that a request is addressed to; undefined for a name that is not the page's, which a rebound name in somebody's DNS could be. */
export function ownOrigin(host: string | undefined, publicUrl: string | undefined): string | undefined {
  if (host === undefined) return undefined
  if (publicUrl !== undefined && new URL(publicUrl).host === host.toLowerCase()) return publicUrl
  const url = URL.parse(`http://${host}`)
  if (!url || url.pathname !== '/' || url.search !== '' || url.username !== '') return undefined
  const isAddress = /^\[.*\]$|^\d+(?:\.\d+){3}$/.test(url.hostname)
  return isAddress || url.hostname === 'localhost' ? url.origin : undefined
}

/** Whether a request may change something as far as its headers tell. Browsers say where a form comes from; programs without these headers need the token as well. */
export function isOwnForm(headers: { get(name: string): string | null }, origin: string): boolean {
  const site = headers.get('sec-fetch-site')
  const from = headers.get('origin')
  return (site === null || site === 'same-origin') && (from === null || from === origin)
}

/** Sets the headers of every answer, and refuses foreign names and foreign forms. */
export function guard(publicUrl: string | undefined): MiddlewareHandler {
  return async (c, next): Promise<Response | undefined> => {
    const origin = ownOrigin(c.req.header('host'), publicUrl)
    if (origin === undefined) {
      return c.text('This name is not the address of the page. Open the link that the command web prints, or set SLIPWAY_WEB_URL.', 421, SECURITY_HEADERS)
    }
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    if (!isRead && !isOwnForm(c.req.raw.headers, origin))
      return c.text('This form comes from another site. Nothing was changed. Open the page itself and try again.', 403, SECURITY_HEADERS)
    await next()
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) if (!c.res.headers.has(name)) c.res.headers.set(name, value)
    return undefined
  }
}

/** Returns the fields of a form in their order; or why it cannot be read, as a status. */
export async function readForm(c: Context): Promise<readonly (readonly [string, string])[] | 400 | 413 | 415> {
  const { raw } = c.req
  if (!/^application\/x-www-form-urlencoded(?:;|$)/i.test(raw.headers.get('content-type') ?? '')) return 415
  if (Number(raw.headers.get('content-length') ?? 0) > BODY_LENGTH_MAX) return 413
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of raw.body ?? []) {
    length += piece.byteLength
    if (length > BODY_LENGTH_MAX) return 413
    pieces.push(piece)
  }
  const fields = [...new URLSearchParams(new TextDecoder().decode(joinBytes(pieces)))]
  return fields.length > FIELDS_MAX ? 400 : fields
}
