// Routes of the content and the manifest of images, with ranges and strong validators. Bytes are verified before they are sent. If a slice cannot be
// read, the connection breaks, so that the client notices that the content is incomplete.

import { z } from 'zod'
import { conversionTargetSchema } from '../../../protocol/images/export.ts'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { formatDigestField } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import type { Right } from '../../../protocol/images/grant.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { MANIFEST_MEDIA_TYPE, manifestLength } from '../../../protocol/slices/manifest.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { isServed } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import type { ImageConverter } from '../../contract/convert.ts'
import type { PulledContent, PullThrough } from '../../contract/origins.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../content/conditions.ts'
import type { Validators } from '../content/conditions.ts'
import { CONTENT_HEADERS, CONTENT_RANGE, ETAG, formatDisposition, IMAGE_MEDIA_TYPES, imageContentType, imageFileName } from '../content/content-headers.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import { parseRange } from '../content/ranges.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'
import type { TransferGate } from '../content/transfer-gate.ts'
import { sendConverted } from './converted-content.ts'
import { imageOfOrigin, imageWithDigest } from '../content/read-image.ts'
import type { ReadableImages } from '../content/read-image.ts'
import { visibleImage } from '../visible/visible-image.ts'
import type { ImageAccess, NamedImages } from '../visible/visible-image.ts'

/** Longest body in bytes that is sent in one piece, without waiting for a turn. */
export const SMALL_BODY_MAX = 1024 * 1024

/** The parts of the catalogue that these routes use. */
export interface ContentImages extends ReadableImages {
  /** Opens the manifest of an image. Its slices are pinned until it is disposed. */
  open(id: string): Promise<Disposable & { readonly manifest: Manifest }>
  /** Returns the SHA-256 of the complete file; null until it has been computed from the bytes. */
  verifiedDigest(id: string): Digest | null
  markDamaged(roots: readonly string[], reason: string): Promise<void>
}

export interface ContentDeps {
  readonly images: ContentImages
  readonly slices: SliceProvider
  readonly converter: ImageConverter
  /** Images of origins; undefined without origins. */
  readonly through?: PullThrough | undefined
  readonly downloads: TransferGate
}

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
const paramsSchema = z.object({ id: z.string().min(1).max(255) })
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
    params: paramsSchema,
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
    route({
      method: 'GET',
      path: '/v1/images/:id/manifest',
      access: 'viewer',
      granted: true,
      summary: 'Sends the manifest of an image',
      params: paramsSchema,
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
    }),
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

/** An image, and whether its content is here or at an origin. */
interface FoundImage {
  readonly image: Image
  readonly isHere: boolean
}

/** Returns the image of a read, here or at an origin. Throws what `servedImage` throws, and `origin-unreachable`. */
async function readImage(
  { images, through }: ContentDeps,
  { params, request, actor }: RouteContext<{ id: string }>,
  right: Right = 'read',
): Promise<FoundImage> {
  const { id: idOrDigest } = params
  const withRight = (image: Image): Image => visibleImage({ named: () => [image] }, idOrDigest, actor, right)
  const here = imageWithDigest({ images, idOrDigest, actor })
  if (here) return { image: withRight(here), isHere: true }
  // While an image is pulled, its copy here is not served yet.
  const isServedHere = images.named(idOrDigest).some((image) => isServed(image))
  const there = isServedHere ? undefined : await imageOfOrigin({ images, through, request, idOrDigest, actor })
  if (there) return { image: withRight(there), isHere: false }
  return { image: servedImage(images, idOrDigest, actor, right), isHere: true }
}

/** Opens the content of an image, here or at an origin. An image that was pulled to its end meanwhile is read here. */
async function openContent({ images, slices, through }: ContentDeps, { image, isHere }: FoundImage, what: 'manifest' | 'content'): Promise<PulledContent> {
  const pulled = isHere ? undefined : await through?.open(image, what)
  if (pulled) return pulled
  const content = await images.open(image.id)
  return {
    manifest: content.manifest,
    read: (start, end, signal) => readHere(slices, content.manifest, { start, end, signal }),
    [Symbol.dispose]: () => content[Symbol.dispose](),
  }
}

async function* readHere(
  slices: SliceProvider,
  manifest: Manifest,
  { start, end, signal }: { readonly start: number; readonly end: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  yield* slices.read(manifest, start, end, signal)
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

/** Returns an image on which the actor has a right. Throws ProblemError `not-found`, `conflict`, `forbidden`, or `wrong-status` while its content is not served. */
export function servedImage(images: NamedImages, idOrName: string, actor: Actor, right: Right | ImageAccess = 'read'): Image {
  const image = visibleImage(images, idOrName, actor, right)
  if (isServed(image)) return image
  const why = image.statusReason === null ? '' : ` ${image.statusReason}`
  throw problem('wrong-status', `Image ${image.name} is ${image.status}.${why}`)
}

function validatorsOf(image: Image): Validators {
  return { etag: `"${image.manifestDigest}"`, lastModifiedMs: Date.parse(image.availableAt ?? image.createdAt) }
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

async function wholeBody(pieces: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  let filled = 0
  for await (const piece of pieces) {
    bytes.set(piece, filled)
    filled += piece.byteLength
  }
  if (filled !== length) throw new Error(`the slices have ${filled} bytes of ${length}`)
  return bytes
}
