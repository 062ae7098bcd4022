// A queue for background work. Runs a bounded number of items in parallel and queues each key at most once. Short items run first, but items age,
// and the items of one account are spread out, so that neither a long item nor a busy account delays all others.

import type { Clock } from '../../contract/runtime.ts'

/** Determines when an item runs. */
export interface WorkOptions {
  /** Estimated run time in milliseconds. Default: 0. */
  readonly costMs?: number
  /** Items of one account are due one after another. Without an account, only the cost of the item determines when it is due. */
  readonly account?: string
}

export interface WorkQueue extends AsyncDisposable {
  /**
   * Adds work under a key. Replaces work already waiting under this key, which keeps its due time. An item is due once its cost has passed
   * since it was added, or since the previous item of the same account was due. The item that is due first runs first, so an item waits only
   * for items due before it, no matter how many shorter ones are added later. Reports failures to `onFailure`.
   */
  add(key: string, run: (signal: AbortSignal) => Promise<void>, options?: WorkOptions): void
  /** Resolves when no item is waiting or running. */
  idle(): Promise<void>
}

export interface WorkQueueDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Items that run in parallel. */
  readonly concurrency: number
  readonly onFailure: (key: string, error: unknown) => void
}

interface Item {
  run: (signal: AbortSignal) => Promise<void>
  readonly dueMs: number
  readonly account: string | undefined
}

/** Creates an empty queue. Disposing aborts running items, discards waiting ones, and resolves once no item is running. */
export function createWorkQueue({ clock, concurrency, onFailure }: WorkQueueDeps): WorkQueue {
  const waiting = new Map<string, Item>()
  /** Number of waiting items per account, and when the last one is due. */
  const accounts = new Map<string, { items: number; lastDueMs: number }>()
  const ended = new AbortController()
  let running = 0
  let whenIdle: PromiseWithResolvers<void> | undefined

  /** Adds an item to its account and returns when the item is due. */
  const enter = (account: string | undefined, costMs: number): number => {
    const nowMs = clock.monotonicMs()
    if (account === undefined) return nowMs + costMs
    const known = accounts.get(account) ?? { items: 0, lastDueMs: 0 }
    const lastDueMs = Math.max(nowMs, known.lastDueMs) + costMs
    accounts.set(account, { items: known.items + 1, lastDueMs })
    return lastDueMs
  }
  const leave = (account: string | undefined): void => {
    const known = account === undefined ? undefined : accounts.get(account)
    if (account === undefined || !known) return
    if (known.items === 1) accounts.delete(account)
    else known.items--
  }
  const next = (): void => {
    while (running < concurrency && !ended.signal.aborted) {
      const found = firstDue(waiting)
      if (!found) break
      const [key, { run, account }] = found
      waiting.delete(key)
      leave(account)
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
    add(key, run, { costMs = 0, account } = {}) {
      if (ended.signal.aborted) return
      const known = waiting.get(key)
      if (known) known.run = run
      else waiting.set(key, { run, account, dueMs: enter(account, costMs) })
      next()
    },
    idle,
    async [Symbol.asyncDispose]() {
      ended.abort(new Error('the agent is stopping'))
      waiting.clear()
      accounts.clear()
      await idle()
    },
  }
}

/** Returns the item that is due first; if several are due at the same time, the one added first. */
function firstDue(waiting: ReadonlyMap<string, Item>): [string, Item] | undefined {
  let first: [string, Item] | undefined
  for (const entry of waiting) if (!first || entry[1].dueMs < first[1].dueMs) first = entry
  return first
}
