// Stores what a confirmation or a form does when it is submitted, and who opened it. A modal contains only the opaque id. authorise.ts
// decides whether a submission is allowed.

import type { Role } from '../../protocol/access.ts'
import { roleSchema } from '../../protocol/access.ts'
import type { FormValues } from '../../protocol/views/form-field.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'

/** How long a modal can be submitted, in milliseconds: the plan that it shows becomes outdated. */
export const MODAL_LIFE_MS = 3_600_000
/** Most modals that are stored; the oldest are deleted first. */
const MODALS_MAX = 2_000

export interface OpenModal {
  /** The command that a submission completes. */
  readonly command: string
  /** The lowest role that may run it. */
  readonly role: Role
  /** The name to type; empty for a form. */
  readonly name: string
  /** The channel where the command was typed: the answer goes there. */
  readonly channel: string
  /** Slack id of the person who opened it and who alone can submit it. */
  readonly user: string
  /** Absent for a confirmation. */
  readonly form?: OpenForm
}

/** What a form was opened with, without secrets. */
export interface OpenForm {
  readonly values: FormValues
  readonly before: FormValues
}

export interface OpenModals {
  /** Stores a modal and returns its opaque id. */
  register(modal: OpenModal): string
  /** Finds a modal without changing it; undefined when it is unknown, has expired or was submitted. */
  find(id: string): OpenModal | undefined
  /** Stores a modal again that was submitted and asks for other values. */
  restore(id: string, modal: OpenModal): void
  /** Deletes a submitted modal; returns false when it was submitted before. */
  spend(id: string): boolean
}

type Row = Omit<OpenModal, 'role' | 'form'> & { role: string; form: string; expires_ms: number }

/** Opens the stored modals, which survive a restart of the bot. */
export function createOpenModals(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): OpenModals {
  const insert = database.query<null, Record<keyof OpenModal | 'id', string> & { expires: number }>(
    `INSERT OR REPLACE INTO modals (id, command, role, name, channel, user, form, expires_ms)
     VALUES ($id, $command, $role, $name, $channel, $user, $form, $expires)`,
  )
  const find = database.query<Row, { id: string }>('SELECT command, role, name, channel, user, form, expires_ms FROM modals WHERE id = $id')
  const spend = database.query<{ id: string }, { id: string }>('DELETE FROM modals WHERE id = $id RETURNING id')
  const expire = database.query<null, { now: number; max: number }>(
    `DELETE FROM modals WHERE expires_ms < $now
     OR rowid <= (SELECT COALESCE(MAX(rowid), 0) - $max FROM modals)`,
  )
  const put = (id: string, { form, ...modal }: OpenModal): void =>
    void insert.run({ id, ...modal, form: form ? JSON.stringify(form) : '', expires: clock.nowMs() + MODAL_LIFE_MS })
  return {
    register(modal) {
      expire.run({ now: clock.nowMs(), max: MODALS_MAX })
      const id = crypto.randomUUID()
      put(id, modal)
      return id
    },
    restore: put,
    find(id) {
      const row = find.get({ id })
      if (!row || row.expires_ms < clock.nowMs()) return undefined
      const { command, role, name, channel, user, form } = row
      return { command, role: roleSchema.parse(role), name, channel, user, ...(form === '' ? {} : { form: JSON.parse(form) as OpenForm }) }
    },
    spend: (id) => spend.all({ id }).length > 0,
  }
}
