// The memory of buttons: a message carries only an opaque id, so nobody can change the command behind it. Whether a press
// is allowed is decided in authorise.ts.

import type { Role } from '../../protocol/access.ts'
import { roleSchema } from '../../protocol/access.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Press } from '../views/blocks.ts'

/** How long a button works, in milliseconds: the state it was shown for may have changed since. */
export const BUTTON_LIFE_MS = 24 * 3_600_000
/** Buttons kept at most; the oldest are deleted first. */
const BUTTONS_MAX = 20_000
/** Registrations between two deletions of expired buttons. */
const SWEEP_EVERY = 100

/** A button that has not expired. */
export interface KeptButton {
  readonly press: Press
  readonly isSingleUse: boolean
  readonly isSpent: boolean
}

export interface Buttons {
  /** Keeps what a button does and gives its opaque id. */
  register(press: Press, isSingleUse: boolean): string
  /** Looks a button up and changes nothing; undefined when it is unknown or has expired. */
  find(id: string): KeptButton | undefined
  /** Marks a button as used; false when somebody else used it first. */
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
  readonly single: boolean
}

/** Creates the memory of buttons; it survives a restart of the bot. */
export function createButtons(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Buttons {
  const insert = database.query<null, { id: string; command: string; role: Role; expires: number }>(
    'INSERT INTO buttons (id, command, role, expires_ms) VALUES ($id, $command, $role, $expires)',
  )
  const find = database.query<Row, { id: string }>('SELECT command, role, used, expires_ms FROM buttons WHERE id = $id')
  const spend = database.query<{ id: string }, { id: string }>('UPDATE buttons SET used = 1 WHERE id = $id AND used = 0 RETURNING id')
  const sweep = database.query<null, { now: number; max: number }>(
    `DELETE FROM buttons WHERE expires_ms < $now
     OR rowid <= (SELECT COALESCE(MAX(rowid), 0) - $max FROM buttons)`,
  )
  let registered = 0
  return {
    register(press, single) {
      if (registered++ % SWEEP_EVERY === 0) sweep.run({ now: clock.nowMs(), max: BUTTONS_MAX })
      const id = crypto.randomUUID()
      const kept: Kept = { command: press.command, page: press.page, single, ...(press.opens ? { opens: press.opens } : {}) }
      insert.run({ id, command: JSON.stringify(kept), role: press.role, expires: clock.nowMs() + BUTTON_LIFE_MS })
      return id
    },
    find(id) {
      const row = find.get({ id })
      if (!row || row.expires_ms < clock.nowMs()) return undefined
      const { command, page, single, opens } = JSON.parse(row.command) as Kept
      const press: Press = { command, page, role: roleSchema.parse(row.role), ...(opens ? { opens } : {}) }
      return { press, isSingleUse: single, isSpent: row.used === 1 }
    },
    spend: (id) => spend.all({ id }).length > 0,
  }
}
