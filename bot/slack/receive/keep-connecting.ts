// Connects to Slack however long it takes: without network or DNS the service keeps running, reports it, and retries. It ends only when
// Slack refuses the credentials, because a retry would not change that.

import { formatTime } from '../../../protocol/time.ts'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import { SlackUnreachable } from './slack-unreachable.ts'

/** Delay between two attempts in milliseconds: it doubles from the first value to the maximum. */
const RETRY_FIRST_MS = 2_000
const RETRY_MAX_MS = 60_000
/** How long the start waits for the first attempt, in milliseconds; systemd's own limit is longer. */
const START_WAIT_MS = 30_000
/** How long a stop waits for an attempt in progress, in milliseconds. */
const STOP_WAIT_MS = 2_000

export interface KeepConnectingDeps {
  /** Makes one attempt; throws SlackUnreachable when a retry may succeed. */
  readonly connect: () => Promise<AsyncDisposable>
  readonly clock: Clock
  readonly log: Log
  /** Receives the state in one sentence, for the status of the service. */
  readonly report: (status: string) => void
}

export interface KeptConnection extends AsyncDisposable {
  /** Never resolves; rejects with the error that ended the attempts after the start. */
  readonly failed: Promise<never>
}

/** Resolves after the first attempt, whether it succeeded or will be retried. Throws every other error of `connect`. */
export async function keepConnecting({ connect, clock, log, report }: KeepConnectingDeps): Promise<KeptConnection> {
  const stop = new AbortController()
  const first = Promise.withResolvers<void>()
  const failed = Promise.withResolvers<never>()
  let connection: AsyncDisposable | undefined

  /** Returns why Slack was not reached; undefined when it was. */
  const attempt = async (): Promise<string | undefined> => {
    try {
      const connected = await connect()
      if (stop.signal.aborted) await connected[Symbol.asyncDispose]()
      else connection = connected
      return undefined
    } catch (error) {
      if (error instanceof SlackUnreachable) return error.message
      throw error
    }
  }
  const run = async (): Promise<void> => {
    report('Connecting to Slack')
    const sinceMs = clock.nowMs()
    let delayMs = RETRY_FIRST_MS
    for (let reason = await attempt(); reason !== undefined; reason = await attempt()) {
      const seconds = delayMs / 1000
      log.warn('Slack cannot be reached; retrying', { reason, retryInSeconds: seconds, sinceMs })
      report(`Not connected since ${formatTime(sinceMs)}: ${reason} Retrying in ${seconds} s`)
      first.resolve()
      await clock.sleep(delayMs, stop.signal)
      delayMs = Math.min(RETRY_MAX_MS, delayMs * 2)
    }
    report('Connected to Slack')
    first.resolve()
  }
  const running = run().catch((error: unknown) => {
    if (stop.signal.aborted) return
    first.reject(error)
    failed.reject(error)
  })
  // The failure reaches whichever promise is awaited; the other one must not count as unhandled.
  failed.promise.catch(() => {})
  first.promise.catch(() => {})
  const patience = new AbortController()
  await Promise.race([first.promise, clock.sleep(START_WAIT_MS, patience.signal).catch(() => {})])
  patience.abort()
  return {
    failed: failed.promise,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the bot is stopping'))
      await Promise.race([running, clock.sleep(STOP_WAIT_MS)])
      await connection?.[Symbol.asyncDispose]()
    },
  }
}
