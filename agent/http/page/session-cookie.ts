// The cookie with the session of the agent's page.

import { parse, serialize } from 'hono/utils/cookie'
import { publicOrigin } from '../public-origin.ts'

/** Returns the name of the cookie of a store. Browsers do not separate cookies by port, and several agents may run on one host. */
export function sessionCookieName(storeId: string): string {
  return `slipway-agent-${storeId.slice(0, 8)}`
}

/** Returns the secret of the session in a request; undefined without one. */
export function readSessionCookie(request: Request, name: string): string | undefined {
  const header = request.headers.get('cookie')
  if (header === null) return undefined
  const full = nameFor(request, name)
  const secret = parse(header, full)[full]
  return secret === undefined || secret === '' ? undefined : secret
}

/** Returns the value of Set-Cookie that keeps a session; of a session that has ended, with an empty secret. */
export function writeSessionCookie(request: Request, name: string, secret: string, maxAgeSeconds: number): string {
  // Strict would not send it when a person follows a link to the page. The page only reads, and its forms prove where they come from.
  const maxAge = secret === '' ? 0 : maxAgeSeconds
  return serialize(nameFor(request, name), secret, { path: '/', httpOnly: true, sameSite: 'Lax', secure: isSecure(request), maxAge })
}

/** With TLS, the prefix keeps other hosts of the domain from setting the cookie (RFC 6265bis §4.1.3.2). */
function nameFor(request: Request, name: string): string {
  return isSecure(request) ? `__Host-${name}` : name
}

/** Whether the browser used TLS, as a proxy says. Who forges the header of a proxy changes its own cookie only. */
function isSecure(request: Request): boolean {
  return publicOrigin(request).startsWith('https:')
}
