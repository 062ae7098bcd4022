// Places for requests of uploads: each may hold a connection for hours, here and at an agent.

/** Most requests of uploads at the same time, and most of one link: the second of a link ends the first, so more are not needed. */
export const REQUESTS_MAX = 512
export const REQUESTS_PER_LINK_MAX = 8

export interface BodySlots {
  /** Takes a place until it is disposed; undefined when there is none. */
  take(key: string): Disposable | undefined
}

/** Creates the places of a process. */
export function createBodySlots(): BodySlots {
  const taken = new Map<string, number>()
  let total = 0
  return {
    take(key) {
      const own = taken.get(key) ?? 0
      if (total >= REQUESTS_MAX || own >= REQUESTS_PER_LINK_MAX) return undefined
      total++
      taken.set(key, own + 1)
      return {
        [Symbol.dispose]() {
          total--
          const left = (taken.get(key) ?? 1) - 1
          if (left === 0) taken.delete(key)
          else taken.set(key, left)
        },
      }
    },
  }
}
