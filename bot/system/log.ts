// The bot's log: one JSON line for each entry on standard error, with the member names of pino. It never contains tokens or links.

import { errorCode } from '../../protocol/errors.ts'
import type { Clock } from './clock.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

const LEVELS: Record<LogLevel, number> = { debug: 20, info: 30, warn: 40, error: 50 }

export interface LogDeps {
  readonly clock: Clock
  readonly level: LogLevel
  /** Receives one line without its line end; the default writes to standard error. */
  readonly write?: (line: string) => void
}

/** Creates a log. Errors among the fields are written with name, message, code and stack. */
export function createLog(deps: LogDeps): Log {
  const write = deps.write ?? ((line) => process.stderr.write(`${line}\n`))
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (LEVELS[level] < LEVELS[deps.level]) return
      write(JSON.stringify({ level: LEVELS[level], time: deps.clock.nowMs(), part: 'bot', msg: message, ...fields }, replaceErrors))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function replaceErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  return { name: value.name, message: value.message, code: errorCode(value), stack: value.stack }
}
