// An agent of version 1 of the protocol between stores, as a source: it answers with what such an agent answered, recorded in recorded.json, and it
// refuses what such an agent refused. It imports nothing of the protocol, so that it stays as it is when the protocol changes.

import recorded from './recorded.json'

/** The image that the agent has: its id, its name, and the SHA-256 of its content. */
export const VERSION_1_IMAGE = { id: recorded.image.body.id, name: recorded.image.body.name, sha256: recorded.contentSha256 }

export interface Version1Source extends AsyncDisposable {
  readonly url: string
  /** Requests so far, as method and path. */
  readonly requests: readonly string[]
}

export interface Version1Options {
  /** Versions that the agent announces in GET /v1/store; by default it announces none, as agents of version 1 do. */
  readonly announced?: readonly number[]
  /** Index of the slices that the agent does not have. */
  readonly lacks?: readonly number[]
}

/** Starts the agent. */
export function startVersion1Source({ announced, lacks = [] }: Version1Options = {}): Version1Source {
  const requests: string[] = []
  const frames = new Map(Object.entries(recorded.frames as Record<string, string>).filter((_frame, i) => !lacks.includes(i)))
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url)
      requests.push(`${request.method} ${pathname}`)
      const [, , noun = '', id = '', part] = pathname.split('/')
      if (noun === 'store') return jsonAnswer({ ...recorded.store, body: { ...recorded.store.body, ...(announced ? { protocol: { sync: announced } } : {}) } })
      if (noun === 'images' && id !== VERSION_1_IMAGE.id && id !== VERSION_1_IMAGE.name) return jsonAnswer(recorded.noImage)
      if (noun === 'images' && part === undefined) return jsonAnswer(recorded.image)
      if (noun === 'images') return bytesAnswer(recorded.manifest.type, [Buffer.from(recorded.manifest.base64, 'base64')])
      const body = (await request.json()) as { digests: string[] }
      const known = id === 'fetch' ? ['digests', 'image'] : ['digests']
      if (Object.keys(body).some((member) => !known.includes(member))) return jsonAnswer(recorded.unknownMember)
      const missing = body.digests.filter((digest) => !frames.has(digest))
      if (id === 'missing') return Response.json({ missing })
      if (missing.length > 0) return jsonAnswer({ ...recorded.notFound, body: { ...recorded.notFound.body, missing: missing.slice(0, 10) } })
      return bytesAnswer(recorded.slicesType, [...body.digests.map((digest) => Buffer.from(frames.get(digest) ?? '', 'base64')), Buffer.alloc(48)])
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, requests, [Symbol.asyncDispose]: () => server.stop(true) }
}

function jsonAnswer({ status, type, body }: { readonly status: number; readonly type: string; readonly body: unknown }): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': type } })
}

function bytesAnswer(type: string, parts: readonly Buffer[]): Response {
  return new Response(Buffer.concat(parts), { headers: { 'content-type': type } })
}
