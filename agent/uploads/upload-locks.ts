// Turns: who may work on an upload. One holder at a time, the others wait in order; whoever waits asks the holder to
// stop, because a client that comes back has given up its earlier request (tus 1.0.0 leaves locking to the server).

import type { Clock } from '../contract/runtime.ts'

/** Requests that wait for one upload at most; a client that comes back needs one. */
const WAITERS_MAX = 32

/** The right to work on one upload until disposed. */
export interface Turn extends Disposable {
  /** Aborts once somebody else waits for this upload. */
  readonly asked: AbortSignal
}

export interface Turns {
  /** Waits for the turn; undefined when it could not be had in time. */
  take(id: string, waitMs: number): Promise<Turn | undefined>
  /** The turn when nobody has it now, else undefined; asks nobody to stop. */
  tryTake(id: string): Turn | undefined
  /** Uploads that somebody works on. */
  readonly held: number
  /** Resolves when nobody works on any upload. */
  idle(): Promise<void>
}

interface Queue {
  asked: AbortController
  readonly waiting: Set<() => void>
}

/** Makes the turns of all uploads of a store. A wait costs one timer and no work. */
export function createTurns(clock: Pick<Clock, 'sleep'>): Turns {
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

  const hold = (id: string, queue: Queue): Turn => {
    queue.asked = new AbortController()
    if (queue.waiting.size > 0) queue.asked.abort()
    let isReleased = false
    return {
      asked: queue.asked.signal,
      [Symbol.dispose]() {
        if (isReleased) return
        isReleased = true
        release(id, queue)
      },
    }
  }

  const tryTake = (id: string): Turn | undefined => {
    if (queues.has(id)) return undefined
    const queue: Queue = { asked: new AbortController(), waiting: new Set() }
    queues.set(id, queue)
    return hold(id, queue)
  }

  return {
    tryTake,

    async take(id, waitMs) {
      const queue = queues.get(id)
      if (!queue) return tryTake(id)
      if (queue.waiting.size >= WAITERS_MAX) return undefined
      const timeout = new AbortController()
      const got = await new Promise<boolean>((resolve) => {
        const mine = (): void => resolve(true)
        queue.waiting.add(mine)
        queue.asked.abort()
        clock.sleep(waitMs, timeout.signal).then(
          () => queue.waiting.delete(mine) && resolve(false),
          // Aborted because the turn came: nothing to do.
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
