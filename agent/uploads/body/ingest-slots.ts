// Ingest slots: how many uploads may put bytes into slices at the same time. A slot is for bytes, not for clients: a client that
// sends none passes it on.

/** A body that is silent for this long releases its slot and its buffers, in milliseconds. */
const PARK_MS = 2000
/** While others wait: silence after which a slot is released, and the longest time one body holds it, in milliseconds. */
export const YIELD_QUIET_MS = 50
const YIELD_HELD_MS = 5000

/** A slot, released when it is disposed. */
export interface IngestSlot extends Disposable {
  /** Monotonic time in milliseconds at which it was acquired. */
  readonly sinceMs: number
}

export interface IngestSlots {
  /** Acquires a slot, after the requests before it. Rejects with the reason of the signal when that aborts. */
  acquire(signal: AbortSignal): Promise<IngestSlot>
  /** Requests that wait. */
  readonly waiting: number
  /** Slots that are held. */
  readonly held: number
  /** Milliseconds since the last slot was released; 0 while one is held. */
  readonly idleMs: number
}

/** All slots of a store. */
export interface SlotPool extends IngestSlots {
  /** Slots that may be held at the same time. */
  readonly count: number
  /**
   * Changes the number of slots, at least 1. More slots go at once to those that wait. Fewer take no slot away from a body that holds one: until enough are
   * released, more than `count` are held.
   */
  resize(count: number): void
}

/** Whether a body must release its slot after being silent for `quietMs` (0 while it flows). */
export function isSlotDue(slots: IngestSlots, slot: IngestSlot, nowMs: number, quietMs: number): boolean {
  if (quietMs >= PARK_MS) return true
  return slots.waiting > 0 && (quietMs >= YIELD_QUIET_MS || nowMs - slot.sinceMs >= YIELD_HELD_MS)
}

/** Creates a number of slots, which are acquired first come, first served. */
export function createIngestSlots(initialCount: number, monotonicMs: () => number): SlotPool {
  let count = initialCount
  let held = 0
  let releasedMs = Number.NEGATIVE_INFINITY
  const waiting = new Set<() => void>()

  const hold = (): IngestSlot => {
    let isReleased = false
    return {
      sinceMs: monotonicMs(),
      [Symbol.dispose]() {
        if (isReleased) return
        isReleased = true
        held--
        releasedMs = monotonicMs()
        admitNext()
      },
    }
  }
  /** Gives free slots to those that wait. */
  const admitNext = (): void => {
    for (const next of waiting) {
      if (held >= count) return
      waiting.delete(next)
      held++
      next()
    }
  }

  return {
    async acquire(signal) {
      signal.throwIfAborted()
      if (held < count) {
        held++
        return hold()
      }
      await new Promise<void>((resolve, reject) => {
        const mine = (): void => {
          signal.removeEventListener('abort', abort)
          resolve()
        }
        const abort = (): void => {
          waiting.delete(mine)
          reject(signal.reason)
        }
        waiting.add(mine)
        signal.addEventListener('abort', abort, { once: true })
      })
      return hold()
    },

    get waiting() {
      return waiting.size
    },

    get held() {
      return held
    },

    get count() {
      return count
    },

    resize(wanted) {
      count = wanted
      admitNext()
    },

    get idleMs() {
      return held > 0 ? 0 : monotonicMs() - releasedMs
    },
  }
}
