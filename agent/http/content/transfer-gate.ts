// Gate for downloads: a limited number of transfers send at a time, and the others wait for a turn. A turn ends when its transfer has sent its share
// or its client stops reading, so that a waiting transfer need not wait for another one to complete.

import { problem } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'

/** Bytes after which a turn ends while others wait. */
export const TURN_BYTES = 32 * 1024 * 1024
/** Time without progress after which a turn ends while others wait, in milliseconds; also the interval of that check. */
export const IDLE_MS = 1000
/** Most transfers that wait. */
export const WAITING_MAX = 1000

/** Permission to send bytes now. */
export interface Turn extends Disposable {
  /** Whether the turn has not ended. It does not end between `begin` and `end`. */
  readonly isValid: boolean
  /** Called before a piece is read and sent. */
  begin(): void
  /** Called after a piece was sent. Time that the client then takes to read it counts as idle. */
  end(bytes: number): void
}

export interface TransferGate {
  /** Waits for a turn. Turns rotate between the keys of the callers that wait. Throws `limit-reached` when too many wait. */
  enter(key: string, signal?: AbortSignal): Promise<Turn>
  state(): { readonly active: number; readonly waiting: number }
}

interface Waiter {
  readonly key: string
  readonly admit: () => void
}

interface ActiveTurn extends Turn {
  isValid: boolean
  readonly isIdle: boolean
}

/** Creates a gate that serves `limit` transfers at a time. */
export function createTransferGate({ clock, limit }: { readonly clock: Clock; readonly limit: number }): TransferGate {
  const active = new Set<ActiveTurn>()
  const waiters = new Set<Waiter>()
  // Sequence number of the last turn of each key.
  const served = new Map<string, number>()
  let turns = 0
  let watch: Disposable | undefined

  const leave = (turn: ActiveTurn): void => {
    turn.isValid = false
    if (active.delete(turn)) admitNext()
  }
  const admitNext = (): void => {
    while (active.size < limit && waiters.size > 0) {
      const next = longestUnserved(waiters, served)
      if (!next) return
      waiters.delete(next)
      next.admit()
    }
    if (waiters.size > 0) watch ??= clock.every(IDLE_MS, endIdleTurns)
    else {
      watch?.[Symbol.dispose]()
      watch = undefined
      served.clear()
    }
  }
  const endIdleTurns = (): void => {
    for (const turn of active) if (turn.isIdle) leave(turn)
  }
  const open = (key: string): Turn => {
    served.set(key, ++turns)
    const turn = createTurn(clock, { leave, isWanted: () => waiters.size > 0 })
    active.add(turn)
    return turn
  }

  return {
    enter: (key, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        if (active.size < limit && waiters.size === 0) return resolve(open(key))
        if (waiters.size >= WAITING_MAX) return reject(problem('limit-reached', `${WAITING_MAX} transfers are already waiting.`))
        const abort = (): void => {
          waiters.delete(waiter)
          reject(signal?.reason)
        }
        const waiter: Waiter = {
          key,
          admit() {
            signal?.removeEventListener('abort', abort)
            resolve(open(key))
          },
        }
        waiters.add(waiter)
        signal?.addEventListener('abort', abort, { once: true })
        admitNext()
      }),
    state: () => ({ active: active.size, waiting: waiters.size }),
  }
}

/** Returns the waiter whose key had its last turn longest ago. */
function longestUnserved(waiters: Iterable<Waiter>, served: ReadonlyMap<string, number>): Waiter | undefined {
  let next: Waiter | undefined
  for (const waiter of waiters) if (!next || (served.get(waiter.key) ?? 0) < (served.get(next.key) ?? 0)) next = waiter
  return next
}

/** Creates a turn. It ends by itself after its share if `isWanted` returns that others wait. */
function createTurn(clock: Clock, { leave, isWanted }: { readonly leave: (turn: ActiveTurn) => void; readonly isWanted: () => boolean }): ActiveTurn {
  let isMoving = false
  let sinceMs = clock.monotonicMs()
  let moved = 0
  const turn: ActiveTurn = {
    isValid: true,
    get isIdle() {
      return !isMoving && clock.monotonicMs() - sinceMs >= IDLE_MS
    },
    begin: () => void (isMoving = true),
    end(bytes) {
      isMoving = false
      sinceMs = clock.monotonicMs()
      moved += bytes
      if (moved < TURN_BYTES) return
      moved = 0
      if (isWanted()) leave(turn)
    },
    [Symbol.dispose]: () => leave(turn),
  }
  return turn
}
