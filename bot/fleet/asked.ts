// When each person last asked for the health of the fleet, a zone or a store, so that the next answer says what changed since.

import type { BotDatabase } from '../system/database.ts'

/** Questions that are remembered; the oldest are forgotten. */
const ASKED_MAX = 2_000

/** An earlier question. */
export interface Asked {
  readonly askedMs: number
  /** The newest change of a state at that time. */
  readonly changeId: number
}

export interface AskedBefore {
  /** Remembers this question; returns the earlier one of the same person about the same, undefined when it is the first. */
  ask(person: string, scope: string, now: Asked): Asked | undefined
}

/** Creates the record of questions on the bot's database. */
export function createAskedBefore(database: BotDatabase): AskedBefore {
  const find = database.query<{ asked_ms: number; change_id: number }, { person: string; scope: string }>(
    'SELECT asked_ms, change_id FROM fleet_asked WHERE person = $person AND scope = $scope',
  )
  const write = database.query<null, { person: string; scope: string; asked: number; change: number }>(
    `INSERT INTO fleet_asked (person, scope, asked_ms, change_id) VALUES ($person, $scope, $asked, $change)
     ON CONFLICT (person, scope) DO UPDATE SET asked_ms = $asked, change_id = $change`,
  )
  const trim = database.query<null, { kept: number }>(
    'DELETE FROM fleet_asked WHERE asked_ms < (SELECT asked_ms FROM fleet_asked ORDER BY asked_ms DESC LIMIT 1 OFFSET $kept)',
  )
  const askOnce = database.transaction((person: string, scope: string, now: Asked): Asked | undefined => {
    const before = find.get({ person, scope })
    write.run({ person, scope, asked: now.askedMs, change: now.changeId })
    if (!before) trim.run({ kept: ASKED_MAX - 1 })
    return before ? { askedMs: before.asked_ms, changeId: before.change_id } : undefined
  })
  return { ask: (person, scope, now) => askOnce.immediate(person, scope, now) }
}
