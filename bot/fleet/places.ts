// A bounded number of places for work in progress: who finds none waits for its turn.

export interface Places {
  /** Waits for a place; the returned function frees it and may be called again. Rejects with the reason of the signal. */
  take(signal: AbortSignal): Promise<() => void>
}

/** Creates places. */
export function createPlaces(count: number): Places {
  let free = count
  const waiting = new Set<() => void>()
  const release = (): void => {
    const [next] = waiting
    if (!next) {
      free++
      return
    }
    waiting.delete(next)
    next()
  }
  return {
    async take(signal) {
      signal.throwIfAborted()
      if (free > 0) free--
      else
        await new Promise<void>((resolve, reject) => {
          const turn = (): void => {
            signal.removeEventListener('abort', leave)
            resolve()
          }
          const leave = (): void => {
            waiting.delete(turn)
            reject(signal.reason)
          }
          waiting.add(turn)
          signal.addEventListener('abort', leave, { once: true })
        })
      let isTaken = true
      return () => {
        if (isTaken) release()
        isTaken = false
      }
    },
  }
}
