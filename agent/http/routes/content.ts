// Routes of the content of images, with ranges and strong validators. Bytes are verified before they are sent. If a slice cannot be read, the
// connection breaks, so that the client notices that the content is incomplete.

import { z } from 'zod'
import { conversionTargetSchema } from '../../../protocol/images/export.ts'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { formatDigestField } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../content/conditions.ts'
import type { Validators } from '../content/conditions.ts'
import { CONTENT_HEADERS, CONTENT_RANGE, formatDisposition, IMAGE_MEDIA_TYPES, imageContentType, imageFileName } from '../content/content-headers.ts'
import { openContent, readImage, readParamsSchema, SMALL_BODY_MAX, validatorsOf, wholeBody } from '../content/open-content.ts'
import type { ContentDeps, FoundImage } from '../content/open-content.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import { parseRange } from '../content/ranges.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'
import { sendConverted } from './converted-content.ts'
import { manifestRoute } from './manifest.ts'

const CONTENT_PROBLEMS: readonly ProblemCode[] = [
  'unsafe-image',
  'limit-reached',
  'conflict',
  'wrong-status',
  'precondition-failed',
  'range-not-satisfiable',
  'data-corrupt',
  'origin-unreachable',
  'insufficient-storage',
  'store-disabled',
  'feature-disabled',
]
const contentQuerySchema = z.object({ as: conversionTargetSchema.optional() })
type ContentContext = RouteContext<{ id: string }, z.output<typeof contentQuerySchema>>

/** Returns the routes of the content and of the manifest. */
export function contentRoutes(deps: ContentDeps): Route[] {
  const answers = {
    200: { description: 'The complete content', mediaType: 'application/octet-stream', streams: IMAGE_MEDIA_TYPES, headers: CONTENT_HEADERS },
    206: {
      description: 'One range of the content',
      mediaType: 'application/octet-stream',
      streams: IMAGE_MEDIA_TYPES,
      headers: [...CONTENT_HEADERS, CONTENT_RANGE],
    },
    304: { description: 'The content has not changed', headers: CONTENT_HEADERS },
  }
  const content = {
    path: '/v1/images/:id/content',
    access: { role: 'viewer', link: 'download' },
    description: 'With `as`, the content is converted into another format while it is sent; a VMDK has no length and no ranges.',
    params: readParamsSchema,
    query: contentQuerySchema,
    answers,
    crossOrigin: true,
    problems: CONTENT_PROBLEMS,
  } as const
  return [
    route({ ...content, method: 'GET', summary: 'Sends the bytes of an image', run: (context) => answerContent(deps, context, false) }),
    route({
      ...content,
      method: 'HEAD',
      summary: 'Shows the length and validators of the bytes of an image',
      run: (context) => answerContent(deps, context, true),
    }),
    manifestRoute(deps),
  ]
}

/** Answers with the content as it is, or converted. */
function answerContent(deps: ContentDeps, context: ContentContext, isHead: boolean): Promise<Response> | Response {
  const target = context.query.as
  if (target !== undefined) return answerConverted(deps, context, target, isHead)
  return isHead ? showContent(deps, context) : sendContent(deps, context)
}

/** Answers with the content in another format. An image that only an origin has is converted while it is fetched, and kept. */
async function answerConverted(deps: ContentDeps, context: ContentContext, target: ConversionTarget, isHead: boolean): Promise<Response> {
  const { image, isHere } = await readImage(deps, context, 'export')
  return sendConverted(deps, context, { image, isHere, target, isHead, open: () => openContent(deps, { image, isHere }, 'content') })
}

/** The head of an answer to GET or HEAD, with the headers of the complete content. */
interface ContentHead extends FoundImage {
  readonly validators: Validators
  readonly headers: Headers
  readonly isNotModified: boolean
}

async function headOf(deps: ContentDeps, context: RouteContext<{ id: string }>): Promise<ContentHead> {
  const { images } = deps
  const { request } = context
  const { image, isHere } = await readImage(deps, context)
  const validators = validatorsOf(image)
  const outcome = evaluateConditions(request.headers, validators)
  if (outcome === 'failed')
    throw problem('precondition-failed', `The ETag of the content of ${image.name} is ${validators.etag}.`, {}, { headers: { ETag: validators.etag } })
  const digest = isHere ? images.verifiedDigest(image.id) : null
  return { image, isHere, validators, headers: headersOf(image, validators, digest), isNotModified: outcome === 'not-modified' }
}

async function showContent(deps: ContentDeps, context: RouteContext<{ id: string }>): Promise<Response> {
  const { image, headers, isNotModified } = await headOf(deps, context)
  if (isNotModified) return new Response(null, { status: 304, headers })
  headers.set('Content-Length', String(image.length))
  return new Response(null, { headers })
}

async function sendContent(deps: ContentDeps, context: RouteContext<{ id: string }>): Promise<Response> {
  const { request } = context
  const { image, isHere, validators, headers, isNotModified } = await headOf(deps, context)
  if (isNotModified) return new Response(null, { status: 304, headers })
  const range = rangeApplies(request.headers, validators) ? parseRange(request.headers.get('range'), image.length) : ({ kind: 'whole' } as const)
  if (range.kind === 'unsatisfiable') {
    throw problem(
      'range-not-satisfiable',
      `The content of ${image.name} is ${image.length} bytes long.`,
      {},
      { headers: { 'Content-Range': `bytes */${image.length}` } },
    )
  }
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: image.length }
  if (range.kind === 'part') headers.set('Content-Range', `bytes ${start}-${end - 1}/${image.length}`)
  const body = await bodyOf(deps, context, { image, isHere }, { start, end })
  // Set for streams too: the agent's server sends it, while Bun's own server would send chunks.
  headers.set('Content-Length', String(end - start))
  return new Response(body, { status: range.kind === 'part' ? 206 : 200, headers })
}

function headersOf(image: Image, { etag, lastModifiedMs }: Validators, digest: Digest | null): Headers {
  const headers = new Headers({
    ETag: etag,
    'Last-Modified': formatHttpDate(lastModifiedMs),
    'Accept-Ranges': 'bytes',
    'Content-Type': imageContentType(image.format),
    'Content-Disposition': formatDisposition(imageFileName(image.name, image.format)),
    // no-transform: the digest would not match bytes that a proxy has transformed.
    'Cache-Control': 'private, no-cache, no-transform',
  })
  if (digest !== null) headers.set('Repr-Digest', formatDigestField(digest))
  return headers
}

async function bodyOf(
  deps: ContentDeps,
  context: RouteContext,
  found: FoundImage,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const { images, downloads } = deps
  const { image } = found
  const { request, actor, log } = context
  const content = await openContent(deps, found, 'content')
  const failed = async (error: unknown): Promise<void> => {
    log.error('failed to send the content of an image', { image: image.id, error })
    if (error instanceof SliceUnreadable && found.isHere)
      await images.markDamaged([`image ${image.id}`], `${error.message}. Sync the image again from a store that has it.`)
  }
  if (end - start <= SMALL_BODY_MAX) {
    try {
      return await wholeBody(content.read(start, end, request.signal), end - start)
    } catch (error) {
      if (!request.signal.aborted) await failed(error)
      throw error
    } finally {
      content[Symbol.dispose]()
    }
  }
  let position = start
  return openPacedStream({
    gate: downloads,
    key: actor.name,
    signal: request.signal,
    failed,
    ended: () => content[Symbol.dispose](),
    async *open(signal) {
      for await (const piece of content.read(position, end, signal)) {
        position += piece.byteLength
        yield piece
      }
    },
    isWhole: () => position === end,
  })
}
