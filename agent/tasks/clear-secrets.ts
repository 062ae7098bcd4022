// Agents up to schema 1 stored the token of another store in plain text among the parameters of a sync, for days after its end.
// This file seals or removes those tokens and overwrites the pages that contained them.

import type { Sealer } from '../contract/access.ts'
import type { AgentDatabase } from './database.ts'
import { secretPurpose, SECRET_GONE } from './task-table.ts'

interface ClearRow {
  readonly id: string
  readonly token: string
  readonly ended_ms: number | null
}

/** Seals or removes all secrets in plain text, and returns how many tasks had one. Afterwards no file of the database contains one. */
export async function sealClearSecrets(database: AgentDatabase, sealer: Sealer): Promise<number> {
  const { sql } = database
  const clear = sql.query<ClearRow, []>(
    `SELECT id, json_extract(params, '$.source.token') AS token, ended_ms FROM tasks
     WHERE kind = 'sync' AND params IS NOT NULL AND json_type(params, '$.source.token') = 'text'`,
  )
  const replace = sql.query<unknown, [string, string]>(`UPDATE tasks SET params = json_remove(params, '$.source.token'), secret = ? WHERE id = ?`)
  const rows = clear.all()
  if (rows.length === 0) return 0
  const sealed: [string, string][] = []
  for (const { id, token, ended_ms } of rows) sealed.push([ended_ms === null ? await sealer.seal(token, secretPurpose(id)) : SECRET_GONE, id])
  database.durably(() => {
    for (const [secret, id] of sealed) replace.run(secret, id)
  })
  database.compact()
  return rows.length
}
