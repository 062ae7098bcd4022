// A log that keeps its lines for a test.

import type { Log, LogFields, LogLevel } from '../../../agent/contract/runtime.ts'

export interface LogLine {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

export interface MemoryLog extends Log {
  readonly lines: readonly LogLine[]
}

/** Creates a log that writes nothing. */
export function createMemoryLog(lines: LogLine[] = [], base: LogFields = {}): MemoryLog {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: { ...base, ...fields } })
  return {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => createMemoryLog(lines, { ...base, ...fields }),
  }
}
