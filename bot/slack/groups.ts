// Who is in the groups of Slack that grants of roles name. Members are asked for at Slack when the last answer is older than a minute, and stored, so that a restart
// or a Slack that does not answer for a moment takes no roles away. Members that are not known for sure have no role by the group.

import { z } from 'zod'
import { errorText } from '../../protocol/errors.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'

/** Age up to which members are used without asking Slack, in milliseconds: somebody who left a group keeps its role for at most this long. */
export const GROUP_FRESH_MS = 60_000
/** Age up to which members are used while Slack does not answer, in milliseconds. */
export const GROUP_AGE_MS_MAX = 600_000
/** How long a decision waits for Slack, in milliseconds: the trigger of a modal expires after three seconds. */
const GROUP_WAIT_MS = 1_500
/** Most members of a group that are used; those of a larger group are not. */
export const MEMBERS_MAX = 10_000

/** The part of Slack's Web API that groups need. */
export interface GroupPort {
  /** The ids of the members of a group (usergroups.users.list), or the error with which Slack refuses. Throws when Slack does not answer. */
  groupMembers(group: string): Promise<{ readonly members: string[] } | { readonly error: string }>
}

export interface Groups {
  /** Asks Slack for groups whose members are older than GROUP_FRESH_MS; returns after GROUP_WAIT_MS at the latest. Never throws. */
  refresh(groups: readonly string[]): Promise<void>
  /** The groups that a user is in. */
  groupsOf(user: string): ReadonlySet<string>
}

export interface GroupsDeps {
  readonly database: BotDatabase
  readonly port: GroupPort
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly log: Log
}

interface Row {
  id: string
  members: string
  fetched_ms: number
}

const membersSchema = z.array(z.string())

/** Creates the groups of one workspace on the bot's database. */
export function createGroups({ database, port, clock, log }: GroupsDeps): Groups {
  const put = database.query<null, { id: string; members: string; now: number; error: string }>(
    'INSERT OR REPLACE INTO slack_groups (id, members, fetched_ms, error) VALUES ($id, $members, $now, $error)',
  )
  const list = database.query<Row, []>('SELECT id, members, fetched_ms FROM slack_groups')
  const inProgress = new Map<string, Promise<void>>()

  const fetchMembers = async (id: string): Promise<void> => {
    try {
      const answer = await port.groupMembers(id)
      const isTooLarge = 'members' in answer && answer.members.length > MEMBERS_MAX
      const error = 'error' in answer ? answer.error : isTooLarge ? `more than ${MEMBERS_MAX} members` : ''
      if (error !== '') log.warn('the members of a group are not known, so it gives no role', { group: id, reason: error })
      put.run({ id, members: JSON.stringify('members' in answer && !isTooLarge ? answer.members : []), now: clock.nowMs(), error })
    } catch (error) {
      log.warn('Slack did not tell the members of a group', { group: id, reason: errorText(error) })
    }
  }
  const begin = (id: string): Promise<void> => {
    const running = inProgress.get(id) ?? fetchMembers(id).finally(() => inProgress.delete(id))
    inProgress.set(id, running)
    return running
  }
  return {
    async refresh(groups) {
      const nowMs = clock.nowMs()
      const fetched = new Map(list.all().map((row) => [row.id, row.fetched_ms]))
      const old = groups.filter((id) => !isWithin(nowMs, fetched.get(id), GROUP_FRESH_MS))
      const stop = new AbortController()
      await Promise.race([Promise.all(old.map(begin)), clock.sleep(GROUP_WAIT_MS, stop.signal).catch(() => {})])
      stop.abort()
    },
    groupsOf(user) {
      const nowMs = clock.nowMs()
      const usable = list.all().filter((row) => isWithin(nowMs, row.fetched_ms, GROUP_AGE_MS_MAX))
      return new Set(usable.filter(({ members }) => membersSchema.parse(JSON.parse(members)).includes(user)).map(({ id }) => id))
    },
  }
}

/** Whether a time is at most so long ago. A time in the future is not: the clock was set back. */
function isWithin(nowMs: number, thenMs: number | undefined, ageMs: number): boolean {
  return thenMs !== undefined && thenMs <= nowMs && nowMs - thenMs <= ageMs
}
