// The image of a read and its content, here or at an origin: what the routes of the content and of the manifest share.

import { z } from 'zod'
import type { Digest } from '../../../protocol/slices/digest.ts'
import type { Right } from '../../../protocol/images/grant.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import { isServed } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import type { ImageConverter } from '../../contract/convert.ts'
import type { PulledContent, PullThrough } from '../../contract/origins.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import type { RouteContext } from '../route.ts'
import { visibleImage } from '../visible/visible-image.ts'
import type { ImageAccess, NamedImages } from '../visible/visible-image.ts'
import type { Validators } from './conditions.ts'
import { imageOfOrigin, imageWithDigest } from './read-image.ts'
import type { ReadableImages } from './read-image.ts'
import type { TransferGate } from './transfer-gate.ts'

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

/** Parameters of the path of a read. */
export const readParamsSchema = z.object({ id: z.string().min(1).max(255) })

/** An image, and whether its content is here or at an origin. */
export interface FoundImage {
  readonly image: Image
  readonly isHere: boolean
}

/** Returns the image of a read, here or at an origin. Throws what `servedImage` throws, and `origin-unreachable`. */
export async function readImage(
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
export async function openContent(
  { images, slices, through }: ContentDeps,
  { image, isHere }: FoundImage,
  what: 'manifest' | 'content',
): Promise<PulledContent> {
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

/** Returns an image on which the actor has a right. Throws ProblemError `not-found`, `conflict`, `forbidden`, or `wrong-status` while its content is not served. */
export function servedImage(images: NamedImages, idOrName: string, actor: Actor, right: Right | ImageAccess = 'read'): Image {
  const image = visibleImage(images, idOrName, actor, right)
  if (isServed(image)) return image
  const why = image.statusReason === null ? '' : ` ${image.statusReason}`
  throw problem('wrong-status', `Image ${image.name} is ${image.status}.${why}`)
}

/** Returns the validators of the content of an image, which are those of its manifest too. */
export function validatorsOf(image: Image): Validators {
  return { etag: `"${image.manifestDigest}"`, lastModifiedMs: Date.parse(image.availableAt ?? image.createdAt) }
}

/** Returns a body as one piece. Throws if the pieces are shorter than it. */
export async function wholeBody(pieces: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  let filled = 0
  for await (const piece of pieces) {
    bytes.set(piece, filled)
    filled += piece.byteLength
  }
  if (filled !== length) throw new Error(`the slices have ${filled} bytes of ${length}`)
  return bytes
}
