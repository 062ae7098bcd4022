// The one-time code with which a person of Slack becomes the first admin: printed on the console of the bot, where only its owner reads it. The database has
// its hash only.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { hashOf } from '../system/secret.ts'
import type { Roles } from './roles.ts'

/** How long a code is valid, in milliseconds. */
export const CODE_LIFE_MS = 3_600_000
/** Wrong codes after which the right one is no longer accepted. The code has 60 random bits. */
export const ATTEMPTS_MAX = 5

/** The 32 letters of Crockford's Base32, which has neither I, L, O nor U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_LENGTH = 12
const GROUP_LENGTH = 4

export interface IssuedCode {
  /** `7K2M-Q9XA-TR4C`. */
  readonly code: string
  readonly expiresMs: number
}

/** `none`: there is no code that could be used, because it expired, was used, or was missed too often. */
export type ClaimOutcome = 'granted' | 'wrong' | 'none'

export interface FirstAdminCodes {
  /** Makes a code; an earlier one is no longer valid. */
  issue(): IssuedCode
  /** Makes the user an admin of the whole fleet, once. A wrong code counts as an attempt. */
  claim(code: string, user: string, name: string): ClaimOutcome
}

/** Creates the codes on the bot's database. */
export function createFirstAdminCodes(database: BotDatabase, clock: Pick<Clock, 'nowMs'>, roles: Pick<Roles, 'grant'>): FirstAdminCodes {
  const put = database.query<null, { hash: string; expires: number }>(
    'INSERT OR REPLACE INTO first_admin_code (id, hash, expires_ms, missed) VALUES (1, $hash, $expires, 0)',
  )
  const find = database.query<{ hash: string }, { now: number }>(`SELECT hash FROM first_admin_code WHERE expires_ms > $now AND missed < ${ATTEMPTS_MAX}`)
  const miss = database.query('UPDATE first_admin_code SET missed = missed + 1')
  const remove = database.query('DELETE FROM first_admin_code')
  return {
    issue() {
      const code = randomCode()
      const expiresMs = clock.nowMs() + CODE_LIFE_MS
      put.run({ hash: codeHash(code), expires: expiresMs })
      return { code, expiresMs }
    },
    claim: database.transaction((code: string, user: string, name: string): ClaimOutcome => {
      const kept = find.get({ now: clock.nowMs() })
      if (!kept) return 'none'
      if (kept.hash !== codeHash(code)) {
        miss.run()
        return 'wrong'
      }
      remove.run()
      roles.grant({ subject: `user:${user}`, role: 'admin', zone: '', store: '', channel: '' }, `${name}, by a one-time code`, clock.nowMs())
      return 'granted'
    }).immediate,
  }
}

function randomCode(): string {
  const letters = [...crypto.getRandomValues(new Uint8Array(CODE_LENGTH))].map((byte) => ALPHABET.charAt(byte % ALPHABET.length))
  return letters.join('').replaceAll(new RegExp(`(.{${GROUP_LENGTH}})(?=.)`, 'g'), '$1-')
}

/** The hash of a code. Case, dashes, and letters that are mistaken for 0 and 1 do not matter. */
function codeHash(code: string): string {
  const letters = code
    .toUpperCase()
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
    .replaceAll(/[^0-9A-Z]/g, '')
  return hashOf(letters)
}
