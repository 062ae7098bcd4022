// Activity of the bodies that are being read, by upload: whether a body waits for a slot, and how fast its bytes arrive. Kept in memory only; it
// shows operators why an upload does not move.

import type { Clock } from '../../contract/runtime.ts'
import type { IngestSlots } from './ingest-slots.ts'

/** Bytes older than this do not count for the rate, in milliseconds. */
const RATE_WINDOW_MS = 10_000
/** Time between two samples of the received bytes, in milliseconds. */
const SAMPLE_MS = 1000

/** The body of one upload. */
export interface BodyActivity extends Disposable {
  /** The slots, through which this body is seen to wait. */
  readonly slots: IngestSlots
  /** Called several times a second with the bytes received so far. */
  note(received: number): void
}

/** What a body does now. */
export interface SeenBody {
  /** Wall-clock time since when it waits for a slot; null while it does not. */
  readonly waitingSinceMs: number | null
  /** Wall-clock time at which bytes were last seen to have arrived; null before the first. */
  readonly activeAtMs: number | null
  /** Bytes per second during the last seconds. */
  readonly rate: number
}

export interface BodyActivities {
  /** Starts to watch the body of an upload. An upload has one body at a time. */
  start(uploadId: string, slots: IngestSlots): BodyActivity
  /** Returns what the body of an upload does; undefined while it has none. */
  of(uploadId: string): SeenBody | undefined
}

interface Watched {
  waitingSinceMs: number | null
  activeAtMs: number | null
  samples: { readonly atMs: number; readonly received: number }[]
}

/** Creates the activities of a store. They need no disposal once every body has ended. */
export function createBodyActivities(clock: Pick<Clock, 'nowMs' | 'monotonicMs'>): BodyActivities {
  const all = new Map<string, Watched>()
  return {
    start(uploadId, slots) {
      const watched: Watched = { waitingSinceMs: null, activeAtMs: null, samples: [{ atMs: clock.monotonicMs(), received: 0 }] }
      all.set(uploadId, watched)
      return {
        slots: watchedSlots(slots, watched, () => clock.nowMs()),
        note(received) {
          const atMs = clock.monotonicMs()
          const last = watched.samples.at(-1)
          if (last && atMs - last.atMs < SAMPLE_MS) return
          if (received > (last?.received ?? 0)) watched.activeAtMs = clock.nowMs()
          watched.samples = [...watched.samples.filter((sample) => atMs - sample.atMs <= RATE_WINDOW_MS), { atMs, received }]
        },
        [Symbol.dispose]() {
          if (all.get(uploadId) === watched) all.delete(uploadId)
        },
      }
    },
    of(uploadId) {
      const watched = all.get(uploadId)
      return watched && { waitingSinceMs: watched.waitingSinceMs, activeAtMs: watched.activeAtMs, rate: rateOf(watched.samples) }
    },
  }
}

/** Returns the bytes per second between the first and the last sample; 0 while there is only one. */
function rateOf(samples: Watched['samples']): number {
  const first = samples[0]
  const last = samples.at(-1)
  if (!first || !last || last.atMs <= first.atMs) return 0
  return Math.round(((last.received - first.received) * 1000) / (last.atMs - first.atMs))
}

/** Returns the same slots, which record since when the body waits for one. */
function watchedSlots(slots: IngestSlots, watched: Watched, nowMs: () => number): IngestSlots {
  return {
    async acquire(signal) {
      watched.waitingSinceMs = nowMs()
      try {
        return await slots.acquire(signal)
      } finally {
        watched.waitingSinceMs = null
      }
    },
    get waiting() {
      return slots.waiting
    },
    get held() {
      return slots.held
    },
    get idleMs() {
      return slots.idleMs
    },
  }
}
