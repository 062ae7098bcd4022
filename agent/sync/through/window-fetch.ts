// Fetches the windows of an image that is pulled, once for all that wait for them, within the space that was promised.

import { problem } from '../../../protocol/problems.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Clock, CrashPoint } from '../../contract/runtime.ts'
import type { SliceIngester, SliceProvider } from '../../contract/slices.ts'
import type { Space } from '../../contract/space.ts'
import type { RateShare } from '../limits/rate-limiter.ts'
import { spaceNeeded } from '../plan.ts'
import type { NamedSlice } from '../plan.ts'
import { promiseKey } from '../pull.ts'
import { moveBatches } from '../sources/move-batches.ts'
import type { SourcePool } from '../sources/source-pool.ts'
import { createSharedFetch } from './shared-fetch.ts'
import type { FetchWindow } from './shared-fetch.ts'

/** Requests of readers of one image for slices that are not here yet, at the same time. */
const READER_FETCHES_MAX = 4

export interface WindowFetchDeps {
  readonly clock: Clock
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'> & Pick<SliceProvider, 'read'>
  readonly space: Space
  readonly crashPoint: CrashPoint
}

/** Space that a pull still needs: uncompressed bytes of slices, those of them that are written, and bytes of the manifest. */
export interface PromisedSpace {
  bytes: number
  readonly others: number
  done: number
}

/** Promises the space that a pull still needs. Throws `insufficient-storage`. */
export async function promiseSpace(space: Space, image: Image, { bytes, others, done }: PromisedSpace): Promise<void> {
  const needed = spaceNeeded(Math.max(0, bytes - done), image) + others
  if (await space.promise(promiseKey(image), needed)) return
  throw problem('insufficient-storage', `Image ${image.name} cannot be kept: it needs up to ${needed} bytes, which exceeds the space above the reserve.`)
}

export interface WindowFetch {
  fetch(window: FetchWindow): Promise<void>
  /** Like `fetch`, but at most READER_FETCHES_MAX at a time. */
  forReader(window: FetchWindow): Promise<void>
}

interface WindowFetchParts {
  readonly image: Image
  readonly signal: AbortSignal
  readonly pool: SourcePool
  readonly share: RateShare
  readonly promised: PromisedSpace
  /** Counts a slice that is stored, and its bytes on the wire. */
  readonly stored: (slice: NamedSlice, wireBytes: number) => void
}

/** Creates the fetch of the windows of one image. It fails with `insufficient-storage` when the free space falls below the reserve. */
export function createWindowFetch(deps: WindowFetchDeps, { image, signal, pool, share, promised, stored }: WindowFetchParts): WindowFetch {
  const { clock, slices, space, crashPoint } = deps
  const fetch = createSharedFetch({
    slices,
    fetch: (wanted) =>
      moveBatches({ clock, slices, crashPoint }, once(wanted), {
        pool,
        image: image.id,
        batchesMax: 1,
        signal,
        pace: (wireBytes) => share.take(wireBytes, signal),
        onStored: stored,
        async beforeBatch() {
          if (await space.isBelowReserve())
            throw problem('insufficient-storage', `The free space fell below the reserve while image ${image.name} was being read.`)
        },
        onDurable: () => promiseSpace(space, image, promised),
      }),
  })
  let running = 0
  const waiting: (() => void)[] = []
  return {
    fetch: ({ slices: wanted }) => fetch(wanted),
    async forReader({ slices: wanted }) {
      // Most windows are here already: these need no turn.
      if (slices.missing(wanted.map(({ digest }) => digest)).length === 0) return
      while (running >= READER_FETCHES_MAX) await new Promise<void>((resolve) => void waiting.push(resolve))
      running++
      try {
        await fetch(wanted)
      } finally {
        running--
        waiting.shift()?.()
      }
    },
  }
}

async function* once<T>(batch: T): AsyncGenerator<T> {
  yield batch
}
