// Copies batches of missing slices from the sources of a pool to this store. Each batch is fetched from the source that is expected to deliver it
// first. What that source does not deliver is fetched from another one. Slices that arrived are kept, so only what was on the way moves twice.

import type { Clock, CrashPoint } from '../../contract/runtime.ts'
import type { SliceIngester, SliceReceiver } from '../../contract/slices.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { columns } from '../plan.ts'
import type { NamedSlice } from '../plan.ts'
import type { SliceSource } from './connect.ts'
import { fetchBatch } from './fetch-batch.ts'
import type { SourcePool } from './source-pool.ts'

/** Another source must be expected to be so many times faster before a batch is taken away from its source. */
const FASTER_TIMES = 3
/** Time that a source has for a batch in any case, in milliseconds of waiting for it. */
const PATIENCE_MS = 2000

export interface MoveDeps {
  readonly clock: Clock
  readonly slices: Pick<SliceIngester, 'receive'>
  readonly crashPoint: CrashPoint
}

export interface MoveOptions {
  readonly pool: SourcePool
  /** Id of the image whose slices are copied, if it is known. */
  readonly image: string | undefined
  /** Number of batches in flight. */
  readonly batchesMax: number
  readonly signal: AbortSignal
  /** Called for each slice when it is stored; `wireBytes` is 0 for one that something else has stored meanwhile. */
  readonly onStored: (slice: NamedSlice, wireBytes: number) => void
  /** Waits until more bytes may arrive after those of a slice. */
  readonly pace?: (wireBytes: number) => Promise<void>
  /** Runs before each batch: may wait, and may refuse the batch by throwing. */
  readonly beforeBatch: (signal: AbortSignal) => Promise<void>
  /** Runs after the slices of a batch are durable. Pins of the batch last until then. */
  readonly onDurable: () => Promise<void>
}

/**
 * Copies all batches. When it resolves, their slices are durable, and something else must protect them from gc. Throws ProblemError: the problem of
 * a source if no source delivers, `not-found` if none has a slice; and what `beforeBatch` and `onDurable` throw.
 */
export async function moveBatches(deps: MoveDeps, batches: AsyncGenerator<readonly NamedSlice[]>, options: MoveOptions): Promise<void> {
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])

  /** Makes a batch durable while its lane fetches the next one. */
  const complete = async (receiver: SliceReceiver): Promise<void> => {
    await using _pins = receiver
    try {
      await receiver.sync()
      deps.crashPoint('sync:batch-synced')
      await options.onDurable()
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }
  const runLane = async (): Promise<void> => {
    let completing: Promise<void> = Promise.resolve()
    try {
      for (;;) {
        const { value: batch, done } = await batches.next()
        if (done) break
        signal.throwIfAborted()
        await options.beforeBatch(signal)
        await using stack = new AsyncDisposableStack()
        const receiver = stack.use(deps.slices.receive())
        await moveBatch(deps, { ...options, signal }, receiver, batch)
        await completing
        stack.move()
        completing = complete(receiver)
        // Its failure aborts the signal, and is thrown where the lane waits for it.
        completing.catch(() => {})
      }
    } finally {
      await completing
    }
  }
  const runUntilFailure = async (): Promise<void> => {
    try {
      await runLane()
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: options.batchesMax }, runUntilFailure))
  await batches.return(undefined)
  options.signal.throwIfAborted()
  if (failed.signal.aborted) throw failed.signal.reason
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** Copies one batch, from as many sources as it takes. */
async function moveBatch({ clock }: MoveDeps, options: MoveOptions, receiver: SliceReceiver, batch: readonly NamedSlice[]): Promise<void> {
  const { pool, signal, image } = options
  const lacking = new Set<SliceSource>()
  let rest = new Set(batch)
  for (;;) {
    signal.throwIfAborted()
    rest = withoutPresent(receiver, rest, options.onStored)
    if (rest.size === 0) return
    const wanted = [...rest]
    const bytes = bytesOf(wanted)
    const choice = pool.choose(bytes, lacking)
    if (choice.kind === 'none') throw choice.error ?? noneHas(wanted.length)
    if (choice.kind === 'wait') {
      await clock.sleep(choice.ms, signal)
      choice.end()
      continue
    }
    using use = choice.use
    const isTooSlow = (wireBytes: number, waitedMs: number): boolean =>
      isGivenUp({ bytes, wireBytes, waitedMs, rateElsewhere: pool.rateElsewhere(use.source, lacking) })
    const onStored: MoveOptions['onStored'] = (slice, wireBytes) => {
      rest.delete(slice)
      options.onStored(slice, wireBytes)
    }
    try {
      const end = await fetchBatch({ clock, use, receiver, image, onStored, pace: options.pace, isTooSlow, signal }, wanted)
      if (end.kind === 'whole' && end.absent.length > 0) lacking.add(use.source)
    } catch (error) {
      signal.throwIfAborted()
      use.failed(error)
    }
  }
}

/** How a source delivers a batch: all its bytes, those that have arrived, the milliseconds of waiting for them, and the rate of the best other source. */
export interface Delivery {
  readonly bytes: number
  readonly wireBytes: number
  readonly waitedMs: number
  /** Bytes per second. */
  readonly rateElsewhere: number
}

/** Returns whether the rest of a batch is asked for elsewhere: its source has had its time, needs more of it, and another one is much faster. */
export function isGivenUp({ bytes, wireBytes, waitedMs, rateElsewhere }: Delivery): boolean {
  if (waitedMs < PATIENCE_MS) return false
  const bytesPerMs = wireBytes / waitedMs
  const remainingMs = (bytes - wireBytes) / bytesPerMs
  return remainingMs > PATIENCE_MS && bytesPerMs * 1000 * FASTER_TIMES < rateElsewhere
}

/** Pins the slices that a parallel batch, an upload or another sync has stored in the meantime. Returns the others. */
function withoutPresent(receiver: SliceReceiver, slices: ReadonlySet<NamedSlice>, onStored: MoveOptions['onStored']): Set<NamedSlice> {
  const all = [...slices]
  const absent = new Set(receiver.pin(...columns(all)))
  for (const [i, slice] of all.entries()) if (!absent.has(i)) onStored(slice, 0)
  return new Set(all.filter((_slice, i) => absent.has(i)))
}

function bytesOf(slices: readonly NamedSlice[]): number {
  return slices.reduce((sum, { length }) => sum + length, 0)
}

function noneHas(count: number): ProblemError {
  return problem('not-found', `No source of the sync has ${count} of the slices that are missing here.`, {
    action: 'Name another store that has the image as a source, then try again.',
  })
}
