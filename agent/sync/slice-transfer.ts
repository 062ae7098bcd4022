// Transfers slices of one image from the source: finds the missing slices, fetches them in batches and verifies each one.

import type { AgentClient } from '../../protocol/client.ts'
import { formatDigest } from '../../protocol/digest.ts'
import { FRAME_HEADER_BYTES, FrameInvalid } from '../../protocol/frames.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceIngester, SliceReceiver } from '../contract/slices.ts'
import { retrying } from './peer.ts'
import { createBatcher, sliceWindows } from './plan.ts'
import type { NamedSlice } from './plan.ts'

/** Counters of a pull. `bytesMoved` counts frames as sent over the wire. */
export interface PullCounts {
  slicesMoved: number
  slicesPresent: number
  bytesMoved: number
}

export interface TransferDeps {
  readonly clock: Clock
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'>
}

/** Returns the digests and lengths of slices as two lists. */
export function columns(slices: readonly NamedSlice[]): [Uint8Array[], number[]] {
  return [slices.map(({ digest }) => digest), slices.map(({ length }) => length)]
}

/**
 * Yields batches of missing slices in one pass over the manifest, and pins present slices briefly. A gc in progress may have listed the leases
 * before this lease was acquired, but it keeps all slices pinned since it started. A later gc finds the lease.
 */
export async function* missingBatches({ clock, slices }: TransferDeps, manifest: Manifest, counts: PullCounts): AsyncGenerator<NamedSlice[]> {
  const budget = createLoopBudget(clock)
  const batcher = createBatcher()
  for await (const block of manifest.blocks()) {
    for (const window of sliceWindows(block)) {
      const absent = await pinned(slices, window)
      counts.slicesPresent += window.length - absent.length
      for (const slice of absent) {
        const full = batcher.add(slice)
        if (full) yield full
      }
      await budget.spend()
    }
  }
  const rest = batcher.rest()
  if (rest.length > 0) yield rest
}

/** Pins the present slices briefly and returns the missing ones. */
async function pinned(slices: TransferDeps['slices'], window: readonly NamedSlice[]): Promise<NamedSlice[]> {
  await using receiver = slices.receive()
  const absent = new Set(receiver.pin(...columns(window)))
  return window.filter((_slice, i) => absent.has(i))
}

export interface BatchFetch {
  readonly clock: Clock
  readonly client: AgentClient
  /** Pins and stores the slices. */
  readonly receiver: SliceReceiver
  /** Id of the image whose slices are fetched. */
  readonly image: string
  readonly counts: PullCounts
  /** Called with the uncompressed bytes of slices that are stored now. */
  readonly onMoved: (bytes: number) => void
  readonly signal: AbortSignal
}

/** Fetches the slices of one batch, with retries. An attempt that stored a slice does not count as failed. */
export async function fetchBatch({ clock, client, receiver, image, counts, onMoved, signal }: BatchFetch, batch: readonly NamedSlice[]): Promise<void> {
  let rest = batch
  // A parallel fetch, an upload or another sync may have stored some of the slices in the meantime.
  const skipPresent = (): void => {
    const absent = new Set(receiver.pin(...columns(rest)))
    for (const [i, { length }] of rest.entries()) if (!absent.has(i)) onMoved(length)
    rest = rest.filter((_slice, i) => absent.has(i))
  }
  await retrying({ clock, signal, url: client.baseUrl }, async (progressed) => {
    skipPresent()
    if (rest.length === 0) return
    const requested = rest
    const lengthMax = requested.reduce((most, { length }) => Math.max(most, length), 0)
    const digests = requested.map(({ digest }) => formatDigest(digest))
    let received = 0
    for await (const frame of client.slices.fetch(digests, { image, signal, lengthMax })) {
      const wanted = requested[received]
      if (!wanted || !isSame(frame.digest, wanted.digest) || frame.length !== wanted.length)
        throw new FrameInvalid('the source sent a slice that was not requested')
      await receiver.put(frame)
      counts.slicesMoved++
      counts.bytesMoved += FRAME_HEADER_BYTES + frame.stored.byteLength
      received++
      rest = requested.slice(received)
      onMoved(frame.length)
      progressed()
    }
    if (received < requested.length) throw new FrameInvalid(`${requested.length - received} slices are missing in the response`)
  })
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}
