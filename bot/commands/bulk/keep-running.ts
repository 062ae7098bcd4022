// The service carries out bulk runs: those that people of Slack begin, and those that a killed process left.

import type { CommandActor, CommandContext } from '../command.ts'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import type { BulkDraft, BulkRun } from '../../bulk/bulk-run.ts'
import type { BulkRuns } from '../../bulk/bulk-runs.ts'
import { carryOut } from './carry-out.ts'

/** How often the runs are looked at, in milliseconds: another process may have left or reopened one. */
export const BULK_POLL_MS = 500

export interface KeepRunningDeps {
  readonly bulkRuns: BulkRuns
  readonly clock: Clock
  readonly context: (actor: CommandActor, surface: CommandContext['surface']) => CommandContext
  readonly log: Log
  /** The runs to carry out: those begun in Slack or in the console. */
  readonly surface: BulkDraft['surface']
  /** Whether a run of another process is taken over at once: only the service carries out what was begun in Slack. A console is waited for until its lease ends. */
  readonly takesOver: boolean
  /** Returns who runs it, with the roles that count now. */
  readonly actorOf: (run: BulkRun) => Promise<CommandActor>
}

/** Starts to carry out runs, each beside the others; disposing waits for the items in progress, but not for their tasks. */
export function keepRunning({ bulkRuns: runs, clock, context: open, log, surface, takesOver, actorOf }: KeepRunningDeps): AsyncDisposable {
  const owner = crypto.randomUUID()
  const stop = new AbortController()
  const working = new Map<number, Promise<void>>()

  const begin = (run: BulkRun): void => {
    const context = async (): Promise<CommandContext> => ({ ...open(await actorOf(run), surface), channel: run.channel })
    const work = carryOut({ runs, context, owner, stop: stop.signal }, run)
      .then(() => {})
      .catch((error: unknown) => log.error('a bulk run failed', { error, run: run.id }))
    working.set(run.id, work)
    void work.finally(() => working.delete(run.id))
  }
  const look = (): void => {
    for (const run of runs.left(surface, owner, clock.nowMs())) {
      if (!working.has(run.id) && runs.acquire({ id: run.id, owner }, clock.nowMs(), takesOver)) begin(run)
    }
  }
  const loop = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const changed = runs.changed()
      try {
        look()
      } catch (error) {
        log.error('looking for bulk runs failed', { error })
      }
      await Promise.race([changed, clock.sleep(BULK_POLL_MS, stop.signal).catch(() => {})])
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await loop
      await Promise.all(working.values())
    },
  }
}
