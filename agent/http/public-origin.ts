// Finds the origin that a client used to reach the agent, for absolute URLs that the client may pass on.

/**
 * Returns the scheme and host that the client used. A reverse proxy sends them in X-Forwarded-Proto and X-Forwarded-Host, of which the first value is
 * used. The URL is returned only to the sender of the request, so a forged header affects no other client.
 */
export function publicOrigin(request: Request): string {
  const url = new URL(request.url)
  const first = (name: string): string | undefined => request.headers.get(name)?.split(',')[0]?.trim()
  const scheme = first('x-forwarded-proto')
  const host = first('x-forwarded-host')
  if (scheme === 'http' || scheme === 'https') url.protocol = `${scheme}:`
  if (host !== undefined && /^[\w.-]+(?::\d{1,5})?$|^\[[\da-f:]+\](?::\d{1,5})?$/i.test(host)) {
    url.port = ''
    url.host = host
  }
  return url.origin
}
