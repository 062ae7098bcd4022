// Upload locks: one request works on an upload at a time, and the others wait in order. A waiting request signals the holder to
// stop, because a client that comes back has given up its earlier request (tus 1.0.0 leaves locking to the server).

import type { Clock } from '../contract/runtime.ts'

/** Most requests that wait for one upload; a client that comes back needs one. */
const WAITERS_MAX = 32

/** The lock of one upload, released when it is disposed. */
export interface UploadLock extends Disposable {
  /** Aborts once another request waits for this upload. */
  readonly contended: AbortSignal
}

export interface UploadLocks {
  /** Acquires a lock. Returns undefined when that takes longer than `waitMs`, or when too many requests wait. */
  acquire(id: string, waitMs: number): Promise<UploadLock | undefined>
  /** Acquires a lock if no request holds it, else returns undefined. Does not signal the holder. */
  tryAcquire(id: string): UploadLock | undefined
  /** Locks that are held. */
  readonly held: number
  /** Resolves when no lock is held. */
  idle(): Promise<void>
}

interface Queue {
  contended: AbortController
  readonly waiting: Set<() => void>
}

/** Creates the locks of all uploads of a store. A waiting request costs one timer. */
export function createUploadLocks(clock: Pick<Clock, 'sleep'>): UploadLocks {
  const queues = new Map<string, Queue>()
  let idlers: (() => void)[] = []

  const release = (id: string, queue: Queue): void => {
    const [next] = queue.waiting
    if (next) {
      queue.waiting.delete(next)
      next()
      return
    }
    queues.delete(id)
    if (queues.size > 0) return
    for (const idler of idlers) idler()
    idlers = []
  }

  const hold = (id: string, queue: Queue): UploadLock => {
    queue.contended = new AbortController()
    if (queue.waiting.size > 0) queue.contended.abort()
    let isReleased = false
    return {
      contended: queue.contended.signal,
      [Symbol.dispose]() {
        if (isReleased) return
        isReleased = true
        release(id, queue)
      },
    }
  }

  const tryAcquire = (id: string): UploadLock | undefined => {
    if (queues.has(id)) return undefined
    const queue: Queue = { contended: new AbortController(), waiting: new Set() }
    queues.set(id, queue)
    return hold(id, queue)
  }

  return {
    tryAcquire,

    async acquire(id, waitMs) {
      const queue = queues.get(id)
      if (!queue) return tryAcquire(id)
      if (queue.waiting.size >= WAITERS_MAX) return undefined
      const timeout = new AbortController()
      const got = await new Promise<boolean>((resolve) => {
        const mine = (): void => resolve(true)
        queue.waiting.add(mine)
        queue.contended.abort()
        clock.sleep(waitMs, timeout.signal).then(
          () => queue.waiting.delete(mine) && resolve(false),
          // Aborted because the lock was acquired.
          () => {},
        )
      })
      timeout.abort()
      return got ? hold(id, queue) : undefined
    },

    get held() {
      return queues.size
    },

    idle: () => (queues.size === 0 ? Promise.resolve() : new Promise((resolve) => idlers.push(resolve))),
  }
}
