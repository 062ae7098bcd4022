// Gate for transfers: at most so many are served at any moment, the others wait for their turn. A turn ends when it has
// moved its share or its client takes nothing, so that no transfer waits for the end of another.

import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'

/** Bytes after which a turn ends when others wait. */
export const TURN_BYTES = 32 * 1024 * 1024
/** Time without a byte taken after which a turn ends when others wait, in milliseconds; looked at this often. */
export const IDLE_MS = 1000
/** Transfers that may wait. */
export const WAITING_MAX = 1000

/** The right to move bytes now. */
export interface Turn extends Disposable {
  /** Whether the turn is still one. Between `begin` and `end` it stays one. */
  readonly isValid: boolean
  /** Bytes are being moved. */
  begin(): void
  /** So many bytes were moved; the client may now take its time. */
  end(bytes: number): void
}

export interface TransferGate {
  /** Waits for a turn. `key` is the one who asks: turns go round between those who wait. Throws `limit-reached` when too many wait. */
  enter(key: string, signal?: AbortSignal): Promise<Turn>
  state(): { readonly active: number; readonly waiting: number }
}

interface Waiter {
  readonly key: string
  readonly admit: () => void
}

interface ActiveTurn extends Turn {
  isValid: boolean
  isMoving: boolean
  sinceMs: number
  bytes: number
}

export function createTransferGate(deps: { readonly clock: Clock; readonly limit: number }): TransferGate {
  const { clock, limit } = deps
  const active = new Set<ActiveTurn>()
  const waiters = new Set<Waiter>()
  // When each key had its last turn, counted in turns.
  const served = new Map<string, number>()
  let turns = 0
  let watch: Disposable | undefined

  const leave = (turn: ActiveTurn): void => {
    turn.isValid = false
    if (active.delete(turn)) admitNext()
  }
  const admitNext = (): void => {
    while (active.size < limit && waiters.size > 0) {
      let next: Waiter | undefined
      for (const waiter of waiters) if (!next || (served.get(waiter.key) ?? 0) < (served.get(next.key) ?? 0)) next = waiter
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
    for (const turn of active) if (!turn.isMoving && clock.monotonicMs() - turn.sinceMs >= IDLE_MS) leave(turn)
  }
  const open = (key: string): Turn => {
    served.set(key, ++turns)
    const turn: ActiveTurn = {
      isValid: true,
      isMoving: false,
      sinceMs: clock.monotonicMs(),
      bytes: 0,
      begin: () => void (turn.isMoving = true),
      end(bytes) {
        turn.isMoving = false
        turn.sinceMs = clock.monotonicMs()
        turn.bytes += bytes
        if (turn.bytes < TURN_BYTES) return
        turn.bytes = 0
        if (waiters.size > 0) leave(turn)
      },
      [Symbol.dispose]: () => leave(turn),
    }
    active.add(turn)
    return turn
  }

  return {
    enter: (key, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        if (active.size < limit && waiters.size === 0) return resolve(open(key))
        if (waiters.size >= WAITING_MAX) return reject(problem('limit-reached', `${WAITING_MAX} transfers wait for their turn already.`))
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
