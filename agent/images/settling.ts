// Settling: inspects images with status `creating`, which makes them available or errors, and computes the digests of available images. Both run
// in the background, and the next start resumes work that a crash interrupted.

import { errorText } from '../../protocol/errors.ts'
import { problemOf } from '../contract/failures.ts'
import type { CrashPoint, Log } from '../contract/runtime.ts'
import { SliceUnreadable } from '../contract/slices.ts'
import type { EmitEvent } from '../contract/work.ts'
import { rootName, SLICES_ACTION } from './damage/slice-damage.ts'
import { createYieldToUploads } from './digest/yield-to-uploads.ts'
import { computeWholeDigest } from './digest/whole-digest.ts'
import { examineImage } from './damage/examination.ts'
import type { ExaminationDeps } from './damage/examination.ts'
import { concluded, givenUp, lacksDigest, neverHadContent, withDigest } from './records/image-states.ts'
import { createPendingWorks } from './pending/pending-works.ts'
import type { PendingWorks } from './pending/pending-works.ts'
import { unpackFirst } from './unpack-first.ts'
import type { UnpackFirstDeps } from './unpack-first.ts'
import { createWorkQueue } from './pending/work-queue.ts'
import type { WorkQueue } from './pending/work-queue.ts'

/** Images inspected in parallel: an inspection reads a few hundred kilobytes. */
const INSPECTIONS_MAX = 2
/** Estimated time of an inspection in milliseconds, for alternating between owners. */
const INSPECTION_MS = 100
/** Bytes hashed per millisecond, for estimating how long a digest takes. */
const HASHED_BYTES_PER_MS = 1_000_000
/** Images unpacked in parallel: each takes a worker, a core, and at most 64 MiB for its dictionary or window. */
const UNPACKS_MAX = 1
/** Compressed bytes unpacked per millisecond, for alternating between owners. */
const UNPACKED_BYTES_PER_MS = 20_000
/** Images of at least this length are verified in a separate queue: their digests take minutes, and verifications are not interrupted. */
export const LONG_IMAGE_BYTES = 32 * 1024 ** 3
/** Maximum attempts at an inspection that fails because of disk errors, and the wait between them in milliseconds. */
const ATTEMPTS_MAX = 10
const ATTEMPT_WAIT_MS = 30_000

export interface SettlingDeps extends ExaminationDeps, UnpackFirstDeps {
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** Returns the milliseconds since an upload last received a body at full speed, 0 while one does. Digests that no client waits for pause. */
  readonly quietMs: () => number
}

export interface Settling extends AsyncDisposable {
  /** Queues the pending work of an image: its inspection while it is `creating`, its digest once it is available. */
  resume(id: string): void
  /** Inspects an image without queueing. Resolves when it is no longer `creating`. */
  settle(id: string): Promise<void>
  /** Inspections and digests that wait or run. */
  readonly works: PendingWorks
  /** Resolves when no inspection or digest is pending. */
  settled(): Promise<void>
}

interface SettlingParts extends SettlingDeps {
  readonly works: PendingWorks
}

/** Creates the queues. Disposing aborts running work. */
export function createSettling(deps: SettlingDeps): Settling {
  const { clock, log, keeper } = deps
  const onFailure = (key: string, error: unknown): void => {
    // Work on an image that has since been removed may fail.
    if (keeper.table.get(key)) log.error('work on an image failed', { image: key, error })
  }
  const createQueue = (concurrency: number): WorkQueue => createWorkQueue({ clock, concurrency, onFailure })
  const inspections = createQueue(INSPECTIONS_MAX)
  // Digests that a client waits for must not wait for other digests, nor for an image of a terabyte.
  const verifications = createQueue(1)
  const longVerifications = createQueue(1)
  const digests = createQueue(1)
  const unpacks = createQueue(UNPACKS_MAX)
  const queues = [unpacks, inspections, verifications, longVerifications, digests]
  const ended = new AbortController()
  const works = createPendingWorks(clock)
  const parts: SettlingParts = { ...deps, works }

  const settle = async (id: string, signal: AbortSignal): Promise<void> => {
    {
      using _work = works.start(id, 'inspect')
      await settleImage(parts, id, signal)
    }
    resume(id)
  }
  const resume: Settling['resume'] = (id) => {
    const stored = keeper.table.get(id)
    if (!stored) return
    const { length, owner } = stored.image
    const account = owner ?? ''
    if (stored.image.status === 'creating' && stored.life.compressed !== null) {
      works.queue(id, 'inspect')
      unpacks.add(id, (signal) => settle(id, signal), { account, costMs: INSPECTION_MS + length / UNPACKED_BYTES_PER_MS })
    } else if (stored.image.status === 'creating') {
      const isVerified = stored.life.declared.digest !== null
      const queue = !isVerified ? inspections : length < LONG_IMAGE_BYTES ? verifications : longVerifications
      works.queue(id, 'inspect')
      queue.add(id, (signal) => settle(id, signal), { account, costMs: INSPECTION_MS + (isVerified ? length / HASHED_BYTES_PER_MS : 0) })
    } else if (lacksDigest(stored)) {
      const yieldToUploads = createYieldToUploads({ clock, quietMs: deps.quietMs })
      works.queue(id, 'digest')
      digests.add(id, (signal) => computeDigest(parts, id, yieldToUploads, signal), { account, costMs: length / HASHED_BYTES_PER_MS })
    }
  }
  return {
    resume,
    works,
    settle: (id) => settle(id, ended.signal),
    async settled() {
      // An inspection may queue a digest, so the queue of digests is last.
      for (const queue of queues) await queue.idle()
    },
    async [Symbol.asyncDispose]() {
      ended.abort()
      await Promise.all(queues.map((queue) => queue[Symbol.asyncDispose]()))
    },
  }
}

/** Inspects an image, with retries. */
async function settleImage(deps: SettlingParts, id: string, signal: AbortSignal): Promise<void> {
  const { clock, log, keeper, crashPoint, works } = deps
  for (let attempt = 1; keeper.table.get(id)?.image.status === 'creating'; attempt++) {
    const wasCompressed = keeper.table.get(id)?.life.compressed !== null
    try {
      const found =
        (await unpackFirst(deps, id, signal, (bytes) => works.unpacked(id, bytes))) ??
        (await examineImage(deps, id, signal, (bytes) => works.hashed(id, bytes)))
      await keeper.change(id, (stored) => (stored.image.status === 'creating' ? concluded(stored, found, clock.nowMs()) : undefined))
      crashPoint('images:inspected')
      announceOutcome(deps, id)
      if (wasCompressed) await discardRefused(deps, id)
    } catch (error) {
      signal.throwIfAborted()
      if (keeper.table.get(id)?.image.status !== 'creating') return announceOutcome(deps, id)
      log.warn('an image could not be inspected', { image: id, attempt, error })
      works.failed(id, errorText(error), attempt)
      if (attempt === ATTEMPTS_MAX) {
        await giveUp(deps, id, error)
        return
      }
      await clock.sleep(ATTEMPT_WAIT_MS, signal)
    }
  }
}

/** Removes the compressed file of an image that was refused for good. The next start removes what is left by a crash or a disk error. */
async function discardRefused({ keeper, unpacking, log }: SettlingParts, id: string): Promise<void> {
  const stored = keeper.table.get(id)
  if (!stored || !neverHadContent(stored)) return
  await unpacking.discard(id).catch((error: unknown) => log.warn('a refused compressed file could not be removed', { image: id, error }))
}

async function giveUp(deps: SettlingDeps, id: string, cause: unknown): Promise<void> {
  const reason = `The inspection failed: ${errorText(cause)}. Check the mount path, then restore the image to inspect it again.`
  const refusal = { code: problemOf(cause).code, reason }
  await deps.damage.changeStatus(id, (stored) => (stored.image.status === 'creating' ? givenUp(stored, refusal) : undefined))
  announceOutcome(deps, id)
}

/** Emits an event when the image is available or an error. */
export function announceOutcome({ keeper, emit }: Pick<SettlingDeps, 'keeper' | 'emit'>, id: string): void {
  const image = keeper.table.get(id)?.image
  if (image?.status === 'available') emit({ type: 'image.available', severity: 'info', subject: id, message: `Image ${image.name} is available.` })
  else if (image?.status === 'error')
    emit({ type: 'image.failed', severity: 'error', subject: id, message: `Image ${image.name}: ${image.statusReason ?? 'failed'}` })
}

/** Computes the digest of an available image and compares it with the digest that another store reported. */
async function computeDigest(deps: SettlingParts, id: string, yieldToUploads: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  const { clock, slices, keeper, damage, crashPoint, works } = deps
  using _work = works.start(id, 'digest')
  await yieldToUploads(signal)
  const before = keeper.table.get(id)
  if (!before || !lacksDigest(before)) return
  const pause = async (): Promise<void> => {
    await clock.sleep(0)
    await yieldToUploads(signal)
  }
  using opened = await damage.openManifest(id)
  try {
    const digest = await computeWholeDigest(slices, opened.manifest, { isAwaited: false, pause, signal, onHashed: (bytes) => works.hashed(id, bytes) })
    await keeper.change(id, (stored) => (lacksDigest(stored) ? withDigest(stored, digest) : undefined))
    crashPoint('images:digest-written')
    const claimed = before.image.digest
    if (claimed !== null && claimed !== digest) announceOutcome(deps, id)
  } catch (error) {
    if (!(error instanceof SliceUnreadable)) throw error
    await damage.markDamaged([rootName(id)], `${error.message}. ${SLICES_ACTION}`)
  }
}
