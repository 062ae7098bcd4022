// Places for long requests, such as uploads and downloads: each may hold a connection for hours, here and at an agent.

export interface SlotBounds {
  /** Most places that are taken at the same time, and most of one key. */
  readonly max: number
  readonly perKeyMax: number
}

export interface Slots {
  /** Takes a place until it is disposed, a second time without effect; undefined when there is none. */
  take(key: string): Disposable | undefined
}

/** Creates the places of a process. */
export function createSlots({ max, perKeyMax }: SlotBounds): Slots {
  const taken = new Map<string, number>()
  let total = 0
  return {
    take(key) {
      const own = taken.get(key) ?? 0
      if (total >= max || own >= perKeyMax) return undefined
      total++
      taken.set(key, own + 1)
      let isHeld = true
      return {
        [Symbol.dispose]() {
          if (!isHeld) return
          isHeld = false
          total--
          const left = (taken.get(key) ?? 1) - 1
          if (left === 0) taken.delete(key)
          else taken.set(key, left)
        },
      }
    },
  }
}
