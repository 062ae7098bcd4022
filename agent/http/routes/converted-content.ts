// Sends the content of an image in another format, converted while the client reads it. Raw, VHD and qcow2 have a length that is known before, and any
// range of them can be produced; a VMDK is compressed, so its length is known only at its end, and it is sent as a whole.

import type { ConversionTarget } from '../../../protocol/images/export.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { PulledContent } from '../../contract/origins.ts'
import type { Conversion, ImageConverter, Part, SeekableConversion } from '../../contract/convert.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../content/conditions.ts'
import { convertedFileName, formatDisposition, imageContentType } from '../content/content-headers.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import { parseRange } from '../content/ranges.ts'
import type { RouteContext } from '../route.ts'
import type { ContentDeps } from '../content/open-content.ts'

/** Longest piece of zeros that is sent at once. */
const ZERO_PIECE_BYTES = 1024 * 1024
/** Conversions of images of origins that are being opened at the same time in one store; further ones are refused. */
export const OPENING_THROUGH_MAX = 4
/** How many there are, for each store. */
const openingThrough = new WeakMap<ImageConverter, number>()
const ZEROS = new Uint8Array(ZERO_PIECE_BYTES)

/** Parts of the routes of content that a conversion needs. */
type ConvertedDeps = Pick<ContentDeps, 'images' | 'downloads'> & { readonly converter: ImageConverter }

/** What is sent: an image that the caller may read, and the format. */
export interface ConvertedContent {
  readonly image: Image
  /** Whether the content is in this store, not at an origin. */
  readonly isHere: boolean
  readonly target: ConversionTarget
  /** Whether only the head is wanted. */
  readonly isHead: boolean
  /** Opens the content. Reading it fetches what is not here. */
  readonly open: () => Promise<PulledContent>
}

/** Answers GET or HEAD of /v1/images/{id}/content?as=. */
export async function sendConverted(deps: ConvertedDeps, context: RouteContext, wanted: ConvertedContent): Promise<Response> {
  const { image, isHere, target, isHead, open } = wanted
  const { request } = context
  const validators = {
    etag: `"${image.manifestDigest}-${deps.converter.versionOf(target)}"`,
    lastModifiedMs: Date.parse(image.availableAt ?? image.createdAt),
  }
  const outcome = evaluateConditions(request.headers, validators)
  const headers = headersOf(image, target, validators)
  if (outcome === 'failed')
    throw problem('precondition-failed', `The ETag of this conversion is ${validators.etag}.`, {}, { headers: { ETag: validators.etag } })
  if (outcome === 'not-modified') return new Response(null, { status: 304, headers })

  // RFC 9110 §9.3.2: a length that takes the tables of the image may be omitted. To read them, the image would have to be copied.
  if (isHead && !isHere) return new Response(null, { headers })
  using opening = new DisposableStack()
  const content = opening.use(await open())
  const opened = (): Promise<Conversion> => deps.converter.open(image, content, target, request.signal)
  const conversion = isHere ? await openInTurn(deps, context, opened) : await openThrough(deps, opened)
  if (conversion.kind === 'sequential') {
    headers.set('Accept-Ranges', 'none')
    if (isHead) return new Response(null, { headers })
    const held = opening.move()
    return new Response(await streamOf(deps, context, wanted, { conversion, start: 0, end: 0, ended: () => held.dispose() }), { headers })
  }
  const range =
    !isHead && rangeApplies(request.headers, validators) ? parseRange(request.headers.get('range'), conversion.length) : ({ kind: 'whole' } as const)
  if (range.kind === 'unsatisfiable')
    throw problem('range-not-satisfiable', `It is ${conversion.length} bytes long.`, {}, { headers: { 'Content-Range': `bytes */${conversion.length}` } })
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: conversion.length }
  headers.set('Content-Length', String(end - start))
  if (isHead) return new Response(null, { headers })
  if (range.kind === 'part') headers.set('Content-Range', `bytes ${start}-${end - 1}/${conversion.length}`)
  const status = range.kind === 'part' ? 206 : 200
  if (start === end) return new Response(new Uint8Array(0), { status, headers })
  const held = opening.move()
  return new Response(await streamOf(deps, context, wanted, { conversion, start, end, ended: () => held.dispose() }), { status, headers })
}

/** Opens a conversion within a turn of the gate, because that may read all tables of the image. */
async function openInTurn({ downloads }: ConvertedDeps, { actor, request }: RouteContext, open: () => Promise<Conversion>): Promise<Conversion> {
  using turn = await downloads.enter(actor.name, request.signal)
  turn.begin()
  return await open()
}

/** Opens a conversion whose tables may be at an origin. It takes no turn of the gate: downloads of what is here do not wait for an origin. */
async function openThrough({ converter }: ConvertedDeps, open: () => Promise<Conversion>): Promise<Conversion> {
  const running = openingThrough.get(converter) ?? 0
  if (running >= OPENING_THROUGH_MAX)
    throw problem('limit-reached', `${OPENING_THROUGH_MAX} images of origins are being opened for conversion.`, {}, { headers: { 'Retry-After': '5' } })
  openingThrough.set(converter, running + 1)
  try {
    return await open()
  } finally {
    openingThrough.set(converter, (openingThrough.get(converter) ?? 1) - 1)
  }
}

interface ConvertedStream {
  readonly conversion: Conversion
  readonly start: number
  /** Ignored for a conversion without a length. */
  readonly end: number
  readonly ended: () => void
}

async function streamOf(
  deps: ConvertedDeps,
  { actor, request, log }: RouteContext,
  { image, isHere }: ConvertedContent,
  { conversion, start, end, ended }: ConvertedStream,
): Promise<ReadableStream<Uint8Array>> {
  let position = start
  return openPacedStream({
    gate: deps.downloads,
    key: actor.name,
    signal: request.signal,
    ended,
    async failed(error) {
      log.error('failed to send the converted content of an image', { image: image.id, error })
      if (error instanceof SliceUnreadable && isHere)
        await deps.images.markDamaged([`image ${image.id}`], `${error.message}. Sync the image again from a store that has it.`)
    },
    async *open(signal) {
      for await (const piece of piecesOf(conversion, position, end, signal)) {
        position += piece.byteLength
        yield piece
      }
    },
    isWhole: () => (conversion.kind === 'sequential' ? conversion.isDone : position === end),
  })
}

async function* piecesOf(conversion: Conversion, start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const parts = conversion.kind === 'sequential' ? conversion.parts(signal) : seekableParts(conversion, start, end, signal)
  for await (const part of parts) {
    if (part instanceof Uint8Array) yield part
    else for (let left = part.zeros; left > 0; left -= ZERO_PIECE_BYTES) yield ZEROS.subarray(0, Math.min(left, ZERO_PIECE_BYTES))
  }
}

function seekableParts(conversion: SeekableConversion, start: number, end: number, signal: AbortSignal): AsyncGenerator<Part> {
  return conversion.parts(start, end, signal)
}

function headersOf(image: Image, target: ConversionTarget, { etag, lastModifiedMs }: { etag: string; lastModifiedMs: number }): Headers {
  return new Headers({
    ETag: etag,
    'Last-Modified': formatHttpDate(lastModifiedMs),
    'Accept-Ranges': 'bytes',
    'Content-Type': imageContentType(target),
    'Content-Disposition': formatDisposition(convertedFileName(image.name, target)),
    'Cache-Control': 'private, no-cache, no-transform',
  })
}
