// What capabilities are given of the outside world: time, log, named crash points.

/** Time. Tests inject their own clock; only `agent/system/clock.ts` reads the real one. */
export interface Clock {
  /** Wall time in milliseconds since 1970. */
  nowMs(): number
  /** Monotonic time in milliseconds, for durations. */
  monotonicMs(): number
  /** Resolves after at least this time; 0 lets everything that is due on the event loop run first. Rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back after at least this time until disposed; never keeps the process alive. */
  every(ms: number, run: () => void): Disposable
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Fields of a log line. They never contain secrets, tokens or link signatures. */
export type LogFields = Readonly<Record<string, unknown>>

/** Structured log: one JSON line each. `child` adds fields to every line of a part or a request. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  child(fields: LogFields): Log
}

/**
 * Marks a point where a crash would do the most harm. In production it does nothing; a crash test kills the process there.
 * Every name is listed in `docs/internals/crash-points.md`, and a test kills an agent at each.
 */
export type CrashPoint = (name: string) => void
