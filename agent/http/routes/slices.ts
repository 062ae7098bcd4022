// Slices for other stores and for clients that send only what is missing: which of them are not here, and their bytes.

import { digestBytes } from '../../../protocol/digest.ts'
import type { Digest } from '../../../protocol/digest.ts'
import { encodeEndFrame, encodeFrameHeader, SLICES_MEDIA_TYPE } from '../../../protocol/frames.ts'
import { problem } from '../../../protocol/problems.ts'
import { missingSlicesSchema, sliceListSchema } from '../../../protocol/sync.ts'
import type { SliceList } from '../../../protocol/sync.ts'
import type { SliceIngester, SliceProvider } from '../../contract/slices.ts'
import { openPacedStream } from '../paced-stream.ts'
import type { PacedStream } from '../paced-stream.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import type { TransferGate } from '../transfer-gate.ts'

export interface SlicesDeps {
  readonly slices: Pick<SliceProvider, 'readStored'> & Pick<SliceIngester, 'missing'>
  readonly downloads: TransferGate
}

/** Frames are gathered to pieces of at least this many bytes: a few long pieces are sent faster than many short ones. */
const PIECE_BYTES = 512 * 1024
/** Longest list of digests in bytes: 4,096 digests of 75 characters in JSON with line breaks take 330 kB. */
const SLICE_LIST_BYTES_MAX = 512 * 1024
/** Missing slices that the detail of a problem names. */
const NAMED_MAX = 10

/** POST /v1/slices/missing and /v1/slices/fetch. */
export function sliceRoutes({ slices, downloads }: SlicesDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/slices/missing',
      access: 'viewer',
      summary: 'Tells which of some slices the store does not have',
      body: sliceListSchema,
      bodyLengthMax: SLICE_LIST_BYTES_MAX,
      answers: { 200: { description: 'Those that are missing', schema: missingSlicesSchema } },
      run: ({ body }) => Response.json({ missing: slices.missing(rawDigests(body)).map((i) => body.digests[i]) }),
    }),
    route({
      method: 'POST',
      path: '/v1/slices/fetch',
      access: 'viewer',
      summary: 'Sends slices as they are stored, in the order asked for',
      body: sliceListSchema,
      bodyLengthMax: SLICE_LIST_BYTES_MAX,
      answers: { 200: { description: 'Frames of slices, ended by an end frame', mediaType: SLICES_MEDIA_TYPE } },
      async run({ body, request, actor, log }) {
        const digests = rawDigests(body)
        const missing = slices.missing(digests)
        if (missing.length > 0) {
          const named = missing.slice(0, NAMED_MAX).map((i) => body.digests[i])
          throw problem('not-found', `${missing.length} of the ${digests.length} slices are not in this store.`, { missing: named })
        }
        const stream = await openPacedStream({
          gate: downloads,
          key: actor.name,
          signal: request.signal,
          ...frameSource(slices, digests),
          ended: () => {},
          failed: async (error) => log.error('slices could not be sent', { error }),
        })
        return new Response(stream, { headers: { 'Content-Type': SLICES_MEDIA_TYPE, 'Cache-Control': 'no-store' } })
      },
    }),
  ]
}

/** Gives the frames that were not given yet, and the end frame at the end. */
function frameSource(slices: SlicesDeps['slices'], digests: readonly Uint8Array[]): Pick<PacedStream, 'open' | 'isWhole'> {
  let sent = 0
  let isWhole = false
  return {
    isWhole: () => isWhole,
    async *open(signal) {
      let parts: Uint8Array[] = []
      let length = 0
      for await (const frame of slices.readStored(digests.slice(sent), signal)) {
        parts.push(encodeFrameHeader(frame), frame.stored)
        length += frame.stored.byteLength
        if (length < PIECE_BYTES) continue
        sent += parts.length / 2
        yield concatenate(parts)
        parts = []
        length = 0
      }
      if (sent + parts.length / 2 !== digests.length) throw new Error(`of ${digests.length} slices not all were read`)
      isWhole = true
      yield concatenate([...parts, encodeEndFrame()])
    },
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

function rawDigests(list: SliceList): Uint8Array[] {
  // The schema has seen that each is the text of a digest.
  return list.digests.map((digest) => digestBytes(digest as Digest))
}
