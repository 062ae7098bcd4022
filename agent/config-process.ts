// Reads the settings of this process from its environment: what systemd, an operator or a test passes to it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { errorCode, errorText, hasCode } from '../protocol/errors.ts'
import type { LogLevel } from './contract/runtime.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Settings of this process, from systemd, an operator or a test. */
export interface ProcessSettings {
  /** First admin token, from the credential `admin-token` or SLIPWAY_ADMIN_TOKEN. */
  readonly adminToken: string | undefined
  readonly logLevel: LogLevel
  readonly notifySocket: string | undefined
  readonly watchdogMs: number | undefined
  /** Crash point at which a test ends this process (SLIPWAY_CRASH_POINT). */
  readonly crashPoint: string | undefined
}

/** Reads the settings from an environment, and adds a sentence to `complaints` for each error. */
export function readProcessSettings(environment: Environment, complaints: string[]): ProcessSettings {
  const logLevel = z.enum(['debug', 'info', 'warn', 'error']).safeParse(environment['SLIPWAY_LOG_LEVEL'] ?? 'info')
  if (!logLevel.success) complaints.push('SLIPWAY_LOG_LEVEL must be one of debug, info, warn, error.')
  const watchdogUs = Number(environment['WATCHDOG_USEC'] ?? Number.NaN)
  const isWatchdogOurs = environment['WATCHDOG_PID'] === undefined || environment['WATCHDOG_PID'] === String(process.pid)
  return {
    adminToken: readAdminToken(environment, complaints),
    logLevel: logLevel.data ?? 'info',
    notifySocket: environment['NOTIFY_SOCKET'],
    watchdogMs: isWatchdogOurs && watchdogUs > 0 ? watchdogUs / 1000 : undefined,
    crashPoint: environment['SLIPWAY_CRASH_POINT'],
  }
}

/** Returns the first admin token. The systemd credential `admin-token` (systemd.exec(5), LoadCredential=) takes precedence over the variable. */
function readAdminToken(environment: Environment, complaints: string[]): string | undefined {
  const folder = environment['CREDENTIALS_DIRECTORY']
  let token = environment['SLIPWAY_ADMIN_TOKEN']
  if (folder !== undefined && folder !== '') {
    try {
      token = readFileSync(join(folder, 'admin-token'), 'utf8')
    } catch (error) {
      if (!hasCode(error, 'ENOENT'))
        complaints.push(`The credential admin-token cannot be read (${errorCode(error) ?? errorText(error)}). Check LoadCredential= of the unit.`)
    }
  }
  token = token?.trim()
  if (token === undefined || token === '') return undefined
  if (!/^[\x21-\x7e]{1,512}$/.test(token))
    complaints.push('The admin token must be at most 512 printable characters without spaces. Create one with: openssl rand -hex 32')
  return token
}
