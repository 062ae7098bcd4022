// Bodies of uploads as clients send them: in pieces, cut, as frames of slices, and as frames that lie.

import { BLOCK_PRIMITIVES } from '../../../agent/slices/write/block-primitives.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { createCutter } from '../../../protocol/slices/cutter.ts'
import { encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'

/** Pieces of a body as a client sends them, in bytes. */
const PIECE_BYTES = 8 * 1024

/** Returns the headers that name the image of an upload. */
export function metadataOf(name: string): Record<string, string> {
  return { 'upload-metadata': `filename ${btoa(`${name}.raw`)},name ${btoa(name)}` }
}

/** A body in pieces, which breaks after a number of bytes. */
export function bodyOf(bytes: Buffer, cutAt: number | null): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream(
    {
      pull(controller) {
        if (cutAt !== null && at >= cutAt) {
          controller.error(new Error('the connection was cut'))
          return
        }
        const end = Math.min(bytes.length, at + PIECE_BYTES, cutAt ?? bytes.length)
        if (at >= bytes.length) {
          controller.close()
          return
        }
        controller.enqueue(Uint8Array.from(bytes.subarray(at, end)))
        at = end
      },
    },
    { highWaterMark: 0 },
  )
}

/** Bytes as frames of slices: the first of each slice with its bytes, repeats as references. Of a liar, one byte of each slice is another. */
export function framesOf(bytes: Buffer, isLying: boolean): Buffer {
  const cuts = createCutter(CUTTER_DEFAULT, BLOCK_PRIMITIVES).cut(bytes, true)
  const parts: Uint8Array[] = []
  const sent = new Set<string>()
  let start = 0
  for (const [i, end] of cuts.ends.entries()) {
    const slice = Buffer.from(bytes.subarray(start, end))
    const digest = new Uint8Array(new Bun.CryptoHasher('sha256').update(slice).digest())
    const key = Buffer.from(digest).toString('hex')
    if (isLying) slice[0] = (slice[0] ?? 0) ^ 0x41
    if (cuts.zeros[i]) parts.push(encodeReferenceFrame(null, slice.length))
    else if (sent.has(key)) parts.push(encodeReferenceFrame(digest, slice.length))
    else parts.push(encodeFrameHeader({ digest, length: slice.length, codec: 0, stored: slice }), slice)
    sent.add(key)
    start = end
  }
  return Buffer.concat([...parts, encodeEndFrame()])
}
