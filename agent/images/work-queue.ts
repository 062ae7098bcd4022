// A queue for work behind the scenes: a bounded number at once, urgent work first, nothing twice.

export interface WorkQueue extends AsyncDisposable {
  /** Queues work under a key; a key that waits already is not queued again. Failures are the work's own to report. */
  add(key: string, run: (signal: AbortSignal) => Promise<void>, options?: { readonly urgent?: boolean }): void
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>
}

/** Disposing aborts what runs, drops what waits, and resolves when all has ended. */
export function createWorkQueue(concurrency: number, onFailure: (key: string, error: unknown) => void): WorkQueue {
  const waiting = new Map<string, { run: (signal: AbortSignal) => Promise<void>; urgent: boolean }>()
  const ended = new AbortController()
  let running = 0
  let whenIdle: PromiseWithResolvers<void> | undefined

  const next = (): void => {
    while (running < concurrency && !ended.signal.aborted) {
      const found = [...waiting].find(([, work]) => work.urgent) ?? waiting.entries().next().value
      if (!found) break
      const [key, { run }] = found
      waiting.delete(key)
      running++
      void run(ended.signal)
        .catch((error: unknown) => {
          if (!ended.signal.aborted) onFailure(key, error)
        })
        .finally(() => {
          running--
          next()
        })
    }
    if (running === 0 && waiting.size === 0) whenIdle?.resolve()
  }
  const idle = (): Promise<void> => {
    if (running === 0 && waiting.size === 0) return Promise.resolve()
    whenIdle ??= Promise.withResolvers()
    const { promise } = whenIdle
    return promise.finally(() => (whenIdle = undefined))
  }
  return {
    add(key, run, { urgent = false } = {}) {
      if (ended.signal.aborted) return
      if (waiting.has(key)) urgent ||= waiting.get(key)?.urgent ?? false
      waiting.set(key, { run, urgent })
      next()
    },
    idle,
    async [Symbol.asyncDispose]() {
      ended.abort()
      waiting.clear()
      await idle()
    },
  }
}
