// Finds the origin that a client used to reach the agent, for absolute URLs that the client may pass on.

/**
 * Returns the origin of a link that the client passes on to whom reads or sends content: the first address of the data network, if there is one. A client
 * behind a reverse proxy gets the origin of the proxy, because those behind it may not reach the data network.
 */
export function contentOrigin(request: Request, dataUrls: readonly string[]): string {
  const isProxied = request.headers.has('x-forwarded-host') || request.headers.has('x-forwarded-proto')
  const origin = publicOrigin(request)
  return isProxied || dataUrls.includes(origin) ? origin : (dataUrls[0] ?? origin)
}

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
