// Pending work on images: inspections and digests that wait or run, for lists of tasks and for the reason of an image that is being created.

import type { Clock } from '../../contract/runtime.ts'

export type PendingKind = 'inspect' | 'digest'

/** Work on one image. Times are in milliseconds since 1970. */
export interface PendingWork {
  readonly imageId: string
  readonly kind: PendingKind
  readonly queuedAtMs: number
  /** Null while it waits. */
  readonly startedAtMs: number | null
  /** Bytes that were hashed. */
  readonly done: number
  /** Bytes that a compressed file has unpacked to so far; null when none is being unpacked. */
  readonly unpackedBytes: number | null
  /** Why the last attempt failed; null before. It is tried again. */
  readonly failure: { readonly reason: string; readonly atMs: number; readonly attempt: number } | null
}

export interface PendingWorks {
  /** Iterates over pending work, the oldest first. An image has at most one. */
  list(): Iterable<PendingWork>
  of(imageId: string): PendingWork | undefined
  /** Notes that work was queued. Work of the same kind that is pending already stays as it is. */
  queue(imageId: string, kind: PendingKind): void
  /** Notes that work has started; it ends when disposed. */
  start(imageId: string, kind: PendingKind): Disposable
  hashed(imageId: string, bytes: number): void
  /** Notes how far a compressed file is unpacked; null once it is. */
  unpacked(imageId: string, bytes: number | null): void
  failed(imageId: string, reason: string, attempt: number): void
}

/** Creates an empty list of pending work. */
export function createPendingWorks(clock: Pick<Clock, 'nowMs'>): PendingWorks {
  const works = new Map<string, PendingWork>()
  const change = (imageId: string, changes: Partial<PendingWork>): void => {
    const work = works.get(imageId)
    if (work) works.set(imageId, { ...work, ...changes })
  }
  const queue: PendingWorks['queue'] = (imageId, kind) => {
    if (works.get(imageId)?.kind === kind) return
    works.delete(imageId)
    works.set(imageId, { imageId, kind, queuedAtMs: clock.nowMs(), startedAtMs: null, done: 0, unpackedBytes: null, failure: null })
  }
  return {
    list: () => works.values(),
    of: (imageId) => works.get(imageId),
    queue,
    start(imageId, kind) {
      queue(imageId, kind)
      change(imageId, { startedAtMs: clock.nowMs() })
      const started = works.get(imageId)
      return {
        [Symbol.dispose]() {
          // Work of another kind may have been queued meanwhile.
          const now = works.get(imageId)
          if (now?.kind === kind && now.queuedAtMs === started?.queuedAtMs) works.delete(imageId)
        },
      }
    },
    hashed: (imageId, bytes) => change(imageId, { done: (works.get(imageId)?.done ?? 0) + bytes }),
    unpacked: (imageId, unpackedBytes) => change(imageId, { unpackedBytes }),
    failed: (imageId, reason, attempt) => change(imageId, { done: 0, unpackedBytes: null, failure: { reason, atMs: clock.nowMs(), attempt } }),
  }
}
