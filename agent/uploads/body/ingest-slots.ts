// Places: how many uploads may put bytes into slices at the same time. A place is for bytes, not for clients: who has none
// to give hands it on.

/** A body that is silent for so long gives up its place and its buffers. */
const PARK_MS = 2000
/** While others wait: silence after which a place goes on, and the longest time one body holds it. */
export const YIELD_QUIET_MS = 50
const YIELD_HELD_MS = 5000

/** A place held until disposed. */
export interface Place extends Disposable {
  /** Monotonic time in milliseconds since when it is held. */
  readonly sinceMs: number
}

export interface Places {
  /** Waits in order for a place. Rejects with the signal's reason when aborted. */
  take(signal: AbortSignal): Promise<Place>
  /** How many wait. */
  readonly waiting: number
  /** How many are held. */
  readonly held: number
  /** Milliseconds since the last one was given back; 0 while one is held. */
  readonly idleMs: number
}

/** Whether a place has to be given up by a body that has been silent for `quietMs`, 0 while it flows. */
export function isPlaceDue(places: Places, place: Place, nowMs: number, quietMs: number): boolean {
  if (quietMs >= PARK_MS) return true
  return places.waiting > 0 && (quietMs >= YIELD_QUIET_MS || nowMs - place.sinceMs >= YIELD_HELD_MS)
}

/** Makes a number of places, handed out first come first served. */
export function createPlaces(count: number, monotonicMs: () => number): Places {
  let held = 0
  let releasedMs = Number.NEGATIVE_INFINITY
  const waiting = new Set<() => void>()

  const hold = (): Place => {
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
    async take(signal) {
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
