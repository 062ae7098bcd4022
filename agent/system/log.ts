// The log: one line of JSON for each entry, with the member names of pino so that its viewers work. systemd's journal reads
// the lines from standard error.

import { errorCode } from '../../protocol/errors.ts'
import type { Clock, Log, LogFields, LogLevel } from '../contract/runtime.ts'

const LEVELS: Record<LogLevel, number> = { debug: 20, info: 30, warn: 40, error: 50 }

export interface LogDeps {
  readonly clock: Clock
  readonly level: LogLevel
  /** Writes one line, which is passed without its line feed. The default writes to standard error. */
  readonly write?: (line: string) => void
}

/** Creates a log. Errors among the fields are written with name, message, code, stack and cause. */
export function createLog(deps: LogDeps, fields: LogFields = {}): Log {
  const write = deps.write ?? ((line) => process.stderr.write(`${line}\n`))
  const at =
    (level: LogLevel) =>
    (message: string, more: LogFields = {}) => {
      if (LEVELS[level] < LEVELS[deps.level]) return
      write(JSON.stringify({ level: LEVELS[level], time: deps.clock.nowMs(), msg: message, ...fields, ...more }, replaceErrors))
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => createLog({ ...deps, write }, { ...fields, ...more }),
  }
}

function replaceErrors(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (!(value instanceof Error)) return value
  return { name: value.name, message: value.message, code: errorCode(value), stack: value.stack, cause: value.cause }
}
