// Stores what buttons do. A message contains only an opaque id, so the command behind it cannot be changed. authorise.ts decides whether
// a press is allowed.

import type { Role } from '../../protocol/access.ts'
import { roleSchema } from '../../protocol/access.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Press } from '../views/blocks.ts'

/** Lifetime of a button in milliseconds: the state for which it was shown may change. */
export const BUTTON_LIFE_MS = 24 * 3_600_000
/** Most buttons that are stored; the oldest are deleted first. */
const BUTTONS_MAX = 20_000
/** Registrations between two deletions of expired buttons. */
const EXPIRE_EVERY = 100

/** A button that has not expired. */
export interface KeptButton {
  readonly press: Press
  readonly isSingleUse: boolean
  readonly isSpent: boolean
}

export interface Buttons {
  /** Stores what a button does and returns its opaque id. */
  register(press: Press, isSingleUse: boolean): string
  /** Finds a button without changing it; undefined when it is unknown or has expired. */
  find(id: string): KeptButton | undefined
  /** Marks a button as used; returns false when it was used already. */
  spend(id: string): boolean
}

interface Row {
  command: string
  role: string
  used: number
  expires_ms: number
}

interface Kept {
  readonly command: string
  readonly page: number
  readonly opens?: 'modal'
  readonly picks?: Press['picks']
  readonly single: boolean
}

/** Opens the stored buttons, which survive a restart of the bot. */
export function createButtons(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Buttons {
  const insert = database.query<null, { id: string; command: string; role: Role; expires: number }>(
    'INSERT INTO buttons (id, command, role, expires_ms) VALUES ($id, $command, $role, $expires)',
  )
  const find = database.query<Row, { id: string }>('SELECT command, role, used, expires_ms FROM buttons WHERE id = $id')
  const spend = database.query<{ id: string }, { id: string }>('UPDATE buttons SET used = 1 WHERE id = $id AND used = 0 RETURNING id')
  const expire = database.query<null, { now: number; max: number }>(
    `DELETE FROM buttons WHERE expires_ms < $now
     OR rowid <= (SELECT COALESCE(MAX(rowid), 0) - $max FROM buttons)`,
  )
  let registered = 0
  return {
    register(press, single) {
      if (registered++ % EXPIRE_EVERY === 0) expire.run({ now: clock.nowMs(), max: BUTTONS_MAX })
      const id = crypto.randomUUID()
      const kept: Kept = { command: press.command, page: press.page, single, ...optional(press) }
      insert.run({ id, command: JSON.stringify(kept), role: press.role, expires: clock.nowMs() + BUTTON_LIFE_MS })
      return id
    },
    find(id) {
      const row = find.get({ id })
      if (!row || row.expires_ms < clock.nowMs()) return undefined
      const { command, page, single, ...more } = JSON.parse(row.command) as Kept
      const press: Press = { command, page, role: roleSchema.parse(row.role), ...optional(more) }
      return { press, isSingleUse: single, isSpent: row.used === 1 }
    },
    spend: (id) => spend.all({ id }).length > 0,
  }
}

function optional({ opens, picks }: { readonly [Key in 'opens' | 'picks']?: Press[Key] | undefined }): Pick<Press, 'opens' | 'picks'> {
  return { ...(opens ? { opens } : {}), ...(picks ? { picks } : {}) }
}
