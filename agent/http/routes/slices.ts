// Routes for other stores and for delta uploads: they list the slices that the caller must send, and send stored slices. A slice that the caller may
// not read and has not uploaded itself is treated as if it were not stored.

import { joinBytes } from '../../../protocol/bytes.ts'
import { tokenOfName } from '../../../protocol/on-behalf.ts'
import { digestBytes } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import { encodeAbsentFrame, encodeEndFrame, encodeFrameHeader, SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import { problem } from '../../../protocol/problems.ts'
import { fetchSlicesSchema, missingSlicesSchema, sliceListSchema } from '../../../protocol/sync/sync.ts'
import type { SliceList } from '../../../protocol/sync/sync.ts'
import type { Actor } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { SliceIngester, SliceProvider } from '../../contract/slices.ts'
import type { OwnSlices, SliceVisibility } from '../../contract/visibility.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import type { PacedStream } from '../content/paced-stream.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import type { TransferGate } from '../content/transfer-gate.ts'

export interface SlicesDeps {
  readonly slices: Pick<SliceProvider, 'readStored'> & Pick<SliceIngester, 'missing'>
  readonly visibility: SliceVisibility
  /** Returns the slices of an actor's own unfinished uploads. */
  readonly ownSlices: (actor: Actor) => Promise<OwnSlices>
  readonly downloads: TransferGate
  readonly clock: Pick<Clock, 'sleep'>
}

/** Frames are joined into pieces of at least this many bytes: a few long pieces are sent faster than many short ones. */
const PIECE_BYTES = 512 * 1024
/** Longest list of digests in bytes: 4,096 digests of 75 characters in JSON with line breaks take 330 kB. */
const SLICE_LIST_BYTES_MAX = 512 * 1024
/** Most slices that are looked up before other work can run: each lookup may read the index, which blocks the event loop. */
const LOOKUPS_MAX = 256
/** Most missing slices that a problem lists. */
const NAMED_MAX = 10

/** Returns the routes POST /v1/slices/missing and /v1/slices/fetch. */
export function sliceRoutes(deps: SlicesDeps): Route[] {
  const { slices, visibility, downloads } = deps
  return [
    route({
      method: 'POST',
      path: '/v1/slices/missing',
      access: 'viewer',
      summary: 'Returns the slices of a list that the caller must send: those that neither an image that it may read nor one of its own uploads contains',
      body: sliceListSchema,
      bodyLengthMax: SLICE_LIST_BYTES_MAX,
      answers: { 200: { description: 'The missing slices', schema: missingSlicesSchema } },
      async run({ body, actor, request }) {
        const digests = rawDigests(body)
        const hidden = await visibility.view(actor).hidden(digests, request.signal)
        const missing = await withoutOwn(deps, actor, digests, hidden)
        return Response.json({ missing: missing.map((i) => body.digests[i]) })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/slices/fetch',
      access: 'viewer',
      granted: true,
      summary:
        'Sends slices as they are stored, in the order of the request. Each slice must be part of an image that the caller may read or of one of its own uploads; with `absent`, the others are frames without bytes',
      problems: ['not-found', 'data-corrupt'],
      body: fetchSlicesSchema,
      bodyLengthMax: SLICE_LIST_BYTES_MAX,
      answers: { 200: { description: 'Frames of slices, followed by an end frame', mediaType: SLICES_MEDIA_TYPE } },
      async run({ body, request, actor, log }) {
        const digests = rawDigests(body)
        const hidden = await visibility.view(actor).hiddenExactly(digests, { imageId: body.image, signal: request.signal })
        const missing = await withoutOwn(deps, actor, digests, hidden)
        if (missing.length > 0 && body.absent !== true) {
          const named = missing.slice(0, NAMED_MAX).map((i) => body.digests[i])
          throw problem('not-found', `${missing.length} of the ${digests.length} slices are not in this store.`, { missing: named })
        }
        const stream = await openPacedStream({
          gate: downloads,
          key: tokenOfName(actor.name),
          signal: request.signal,
          ...frameSource(slices, digests, new Set(missing)),
          ended: () => {},
          failed: async (error) => log.error('failed to send slices', { error }),
        })
        return new Response(stream, { headers: { 'Content-Type': SLICES_MEDIA_TYPE, 'Cache-Control': 'no-store' } })
      },
    }),
  ]
}

/**
 * Returns the indexes of the slices that the caller does not get: hidden slices that it did not upload itself, and slices that the store does not
 * have. Looks up visible slices only, so that a hidden slice takes the same time as one that is not stored.
 */
async function withoutOwn(
  { slices, ownSlices, clock }: SlicesDeps,
  actor: Actor,
  digests: readonly Uint8Array[],
  hidden: readonly number[],
): Promise<number[]> {
  const missing = new Set(hidden)
  if (hidden.length > 0) {
    const own = await ownSlices(actor)
    for (const i of hidden) if (own.has(digests[i] ?? new Uint8Array(0))) missing.delete(i)
  }
  const visible = [...digests.keys()].filter((i) => !missing.has(i))
  for (let at = 0; at < visible.length; at += LOOKUPS_MAX) {
    const some = visible.slice(at, at + LOOKUPS_MAX)
    for (const i of slices.missing(some.map((i) => digests[i] ?? new Uint8Array(0)))) missing.add(some[i] ?? 0)
    await clock.sleep(0)
  }
  return [...digests.keys()].filter((i) => missing.has(i))
}

/** Creates a source of the frames that have not been sent yet and of the end frame. `absent` are the indexes of slices that are not sent. */
function frameSource(slices: SlicesDeps['slices'], digests: readonly Uint8Array[], absent: ReadonlySet<number>): Pick<PacedStream, 'open' | 'isWhole'> {
  let sent = 0
  let isWhole = false
  return {
    isWhole: () => isWhole,
    async *open(signal) {
      let parts: Uint8Array[] = []
      let bytes = 0
      let next = sent
      const takeAbsent = (): void => {
        for (; absent.has(next); next++) parts.push(encodeAbsentFrame(digests[next] ?? new Uint8Array(0)))
      }
      const wanted = digests.filter((_digest, i) => i >= sent && !absent.has(i))
      for await (const frame of slices.readStored(wanted, signal)) {
        takeAbsent()
        parts.push(encodeFrameHeader(frame), frame.stored)
        bytes += frame.stored.byteLength
        next++
        if (bytes < PIECE_BYTES) continue
        sent = next
        yield joinBytes(parts)
        parts = []
        bytes = 0
      }
      takeAbsent()
      if (next !== digests.length) throw new Error(`read ${next} of ${digests.length} slices`)
      isWhole = true
      yield joinBytes([...parts, encodeEndFrame()])
    },
  }
}

function rawDigests(list: SliceList): Uint8Array[] {
  // The schema has validated the digests.
  return list.digests.map((digest) => digestBytes(digest as Digest))
}
