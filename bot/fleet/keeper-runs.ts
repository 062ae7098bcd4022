// The run of the service that keeps the fleet's state: commands in other processes answer from that state while it runs, and ask the agents
// themselves when it does not.

import type { BotDatabase } from '../system/database.ts'

/** Interval at which the service says that it runs, in milliseconds. */
export const BEAT_MS = 5_000
/** A service that said nothing for this long does not run, in milliseconds. */
export const BEAT_AGE_MAX_MS = 15_000

export interface KeeperRuns {
  /** Says that the run with this id is in progress. */
  beat(run: string, startedMs: number, nowMs: number): void
  /** Ends the run, unless another one has begun. */
  end(run: string): void
  /** Returns since when the service runs; undefined when it does not. */
  runningSince(nowMs: number): number | undefined
}

/** Creates the record of runs on the bot's database. */
export function createKeeperRuns(database: BotDatabase): KeeperRuns {
  const beat = database.query<null, { run: string; started: number; now: number }>(
    `INSERT INTO fleet_service (one, run, started_ms, beat_ms) VALUES (1, $run, $started, $now)
     ON CONFLICT (one) DO UPDATE SET run = $run, started_ms = $started, beat_ms = $now`,
  )
  const end = database.query<null, { run: string }>('DELETE FROM fleet_service WHERE run = $run')
  const read = database.query<{ started_ms: number; beat_ms: number }, []>('SELECT started_ms, beat_ms FROM fleet_service')
  return {
    beat: (run, startedMs, nowMs) => void beat.run({ run, started: startedMs, now: nowMs }),
    end: (run) => void end.run({ run }),
    runningSince(nowMs) {
      const found = read.get()
      // A time in the future is that of a clock that was set back.
      return found && Math.abs(nowMs - found.beat_ms) <= BEAT_AGE_MAX_MS ? found.started_ms : undefined
    },
  }
}
