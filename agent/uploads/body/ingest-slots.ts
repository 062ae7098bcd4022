// IngestSlots: how many uploads may put bytes into slices at the same time. A slot is for bytes, not for clients: who has none
// to give hands it on.

/** A body that is silent for so long gives up its slot and its buffers. */
const PARK_MS = 2000
/** While others wait: silence after which a slot goes on, and the longest time one body holds it. */
export const YIELD_QUIET_MS = 50
const YIELD_HELD_MS = 5000

/** A slot held until disposed. */
export interface IngestSlot extends Disposable {
  /** Monotonic time in milliseconds since when it is held. */
  readonly sinceMs: number
}

export interface IngestSlots {
  /** Waits in order for a slot. Rejects with the signal's reason when aborted. */
  acquire(signal: AbortSignal): Promise<IngestSlot>
  /** How many wait. */
  readonly waiting: number
  /** How many are held. */
  readonly held: number
  /** Milliseconds since the last one was given back; 0 while one is held. */
  readonly idleMs: number
}

/** Whether a slot has to be given up by a body that has been silent for `quietMs`, 0 while it flows. */
export function isSlotDue(slots: IngestSlots, slot: IngestSlot, nowMs: number, quietMs: number): boolean {
  if (quietMs >= PARK_MS) return true
  return slots.waiting > 0 && (quietMs >= YIELD_QUIET_MS || nowMs - slot.sinceMs >= YIELD_HELD_MS)
}

/** Makes a number of slots, handed out first come first served. */
export function createIngestSlots(count: number, monotonicMs: () => number): IngestSlots {
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
        const [next] = waiting
        if (!next) {
          held--
          releasedMs = monotonicMs()
          return
        }
        waiting.delete(next)
        next()
      },
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

    get idleMs() {
      return held > 0 ? 0 : monotonicMs() - releasedMs
    },
  }
}
