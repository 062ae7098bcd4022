// The route of the manifest of an image. A store that copies the image reads it first.

import { MANIFEST_MEDIA_TYPE, manifestLength } from '../../../protocol/slices/manifest.ts'
import { evaluateConditions } from '../content/conditions.ts'
import { ETAG } from '../content/content-headers.ts'
import { openContent, readImage, readParamsSchema, SMALL_BODY_MAX, validatorsOf, wholeBody } from '../content/open-content.ts'
import type { ContentDeps, FoundImage } from '../content/open-content.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'

/** Returns the route of the manifest. */
export function manifestRoute(deps: ContentDeps): Route {
  return route({
    method: 'GET',
    path: '/v1/images/:id/manifest',
    access: 'viewer',
    granted: true,
    summary: 'Sends the manifest of an image',
    params: readParamsSchema,
    problems: ['conflict', 'wrong-status', 'data-corrupt', 'origin-unreachable', 'limit-reached', 'insufficient-storage'],
    answers: { 200: { description: 'The manifest', mediaType: MANIFEST_MEDIA_TYPE, headers: [ETAG] }, 304: { description: 'The manifest has not changed' } },
    async run(context) {
      const { request } = context
      const { image, isHere } = await readImage(deps, context)
      const validators = validatorsOf(image)
      const headers = { ETag: validators.etag, 'Cache-Control': 'private, no-cache', 'Content-Type': MANIFEST_MEDIA_TYPE }
      if (evaluateConditions(request.headers, validators) === 'not-modified') return new Response(null, { status: 304, headers })
      return sendManifest(deps, context, { image, isHere }, headers)
    },
  })
}

/** Sends a manifest. Sends a long manifest block by block as the client reads it, within turns of the gate. */
async function sendManifest(deps: ContentDeps, context: RouteContext<{ id: string }>, found: FoundImage, headers: Record<string, string>): Promise<Response> {
  const { actor, request, log } = context
  const { image } = found
  const content = await openContent(deps, found, 'manifest')
  const { manifest } = content
  const length = manifestLength(manifest.count)
  const sized = { headers: { ...headers, 'Content-Length': String(length) } }
  if (length <= SMALL_BODY_MAX) {
    using _held = content
    return new Response(await wholeBody(manifest.pieces(), length), sized)
  }
  let position = 0
  const stream = await openPacedStream({
    gate: deps.downloads,
    key: actor.name,
    signal: request.signal,
    ended: () => content[Symbol.dispose](),
    failed: async (error) => log.error('failed to send a manifest', { image: image.id, error }),
    async *open(signal) {
      for await (const piece of manifest.pieces(position)) {
        signal.throwIfAborted()
        position += piece.byteLength
        yield piece
      }
    },
    isWhole: () => position === length,
  })
  return new Response(stream, sized)
}
