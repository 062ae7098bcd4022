// What buttons and modals do, kept by the bot under opaque ids: a message holds no command that could be changed, and an
// old one does nothing once its time is over.

import type { Role } from '../../protocol/access.ts'
import { roleSchema } from '../../protocol/access.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Press } from '../views/blocks.ts'

/** Life of a button in milliseconds: state may have moved on since. */
export const BUTTON_LIFE_MS = 24 * 3_600_000
/** Buttons kept at most; the oldest go first. */
const BUTTONS_MAX = 20_000

export interface Buttons {
  /** Gives the opaque id. A single-use one does its work once. */
  register(press: Press, isSingleUse: boolean): string
  /** What a pressed button does; the reason when it does nothing. */
  press(id: string): { readonly kind: 'press'; readonly press: Press } | { readonly kind: 'expired' } | { readonly kind: 'used' }
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

/** Makes the memory of buttons; it survives a restart of the bot. */
export function createButtons(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Buttons {
  const insert = database.query<null, { id: string; command: string; role: Role; expires: number }>(
    'INSERT INTO buttons (id, command, role, expires_ms) VALUES ($id, $command, $role, $expires)',
  )
  const find = database.query<Row, { id: string }>('SELECT * FROM buttons WHERE id = $id')
  const use = database.query<{ id: string }, { id: string }>('UPDATE buttons SET used = 1 WHERE id = $id AND used = 0 RETURNING id')
  const sweep = database.query<null, { now: number; max: number }>(
    `DELETE FROM buttons WHERE expires_ms < $now
     OR rowid <= (SELECT COALESCE(MAX(rowid), 0) - $max FROM buttons)`,
  )
  let registered = 0
  return {
    register(press, single) {
      if (registered++ % 100 === 0) sweep.run({ now: clock.nowMs(), max: BUTTONS_MAX })
      const id = crypto.randomUUID()
      const kept: Kept = { command: press.command, page: press.page, single, ...(press.opens ? { opens: press.opens } : {}) }
      insert.run({ id, command: JSON.stringify(kept), role: press.role, expires: clock.nowMs() + BUTTON_LIFE_MS })
      return id
    },
    press(id) {
      const row = find.get({ id })
      if (!row || row.expires_ms < clock.nowMs()) return { kind: 'expired' }
      const kept = JSON.parse(row.command) as Kept
      if (kept.single && use.all({ id }).length === 0) return { kind: 'used' }
      return {
        kind: 'press',
        press: { command: kept.command, page: kept.page, role: roleSchema.parse(row.role), ...(kept.opens ? { opens: kept.opens } : {}) },
      }
    },
  }
}
