// Compresses pages for browsers that take gzip: tables of a fleet shrink to a tenth.

import type { MiddlewareHandler } from 'hono'

/** Shorter answers are sent as they are, in bytes. */
const COMPRESSED_LENGTH_MIN = 1024

/** Compresses texts. */
export const compressed: MiddlewareHandler = async (c, next) => {
  await next()
  const type = c.res.headers.get('content-type') ?? ''
  if (!/^(?:text\/(?:html|css|javascript)|application\/json)/.test(type) || !/\bgzip\b/.test(c.req.header('accept-encoding') ?? '')) return
  const { status } = c.res
  const body = new Uint8Array(await c.res.arrayBuffer())
  const headers = new Headers(c.res.headers)
  headers.set('Vary', 'Accept-Encoding')
  if (body.byteLength >= COMPRESSED_LENGTH_MIN) headers.set('Content-Encoding', 'gzip')
  const sent = body.byteLength >= COMPRESSED_LENGTH_MIN ? Bun.gzipSync(body) : body
  c.res = undefined
  c.res = new Response(sent, { status, headers })
}
