// The roles in the bot's database, and those that the environment gives. The highest role of both counts: a command never lowers what the environment gives.

import type { Role } from '../../protocol/access.ts'
import type { BotDatabase } from '../system/database.ts'
import type { RoleGrant } from './role-of.ts'

/** Most grants in the database; each decision reads all of them. */
export const GRANTS_MAX = 1000
/** Most groups that grants name: each is asked for at Slack. */
export const GROUPS_MAX = 20

/** A grant with its origin. */
export interface StoredGrant extends RoleGrant {
  readonly source: 'command' | 'environment'
  /** Who granted it; empty for the environment. */
  readonly grantedBy: string
  /** Milliseconds since 1970; null for the environment. */
  readonly grantedMs: number | null
}

/** Roles of users as SLIPWAY_SLACK_ADMINS and SLIPWAY_SLACK_OPERATORS give them. */
export interface EnvironmentRoles {
  readonly admins: ReadonlySet<string>
  readonly operators: ReadonlySet<string>
}

export type GrantOutcome = 'granted' | 'unchanged' | 'last-admin' | 'too-many' | 'too-many-groups'
export type RevokeOutcome = 'revoked' | 'not-found' | 'last-admin' | 'environment'

export interface Roles {
  /** All grants: those of the environment first, then by subject. */
  list(): StoredGrant[]
  /** The ids of the groups that grants name. */
  groups(): string[]
  /** Whether any user is admin of the whole fleet, from every channel. A group does not count: its members are not in the hands of the bot. */
  hasAdmin(): boolean
  /** Gives a role at a place, in place of the role that the subject had at exactly this place. */
  grant(grant: RoleGrant, grantedBy: string, nowMs: number): GrantOutcome
  revoke(grant: Omit<RoleGrant, 'role'>): RevokeOutcome
}

interface Row {
  subject: string
  role: Role
  zone: string
  store: string
  channel: string
  granted_by: string
  granted_ms: number
}

const NOBODY: EnvironmentRoles = { admins: new Set(), operators: new Set() }
type Spot = { subject: string; zone: string; store: string; channel: string }

/** Creates the roles on the bot's database; a change is durable when the call returns. */
export function createRoles(database: BotDatabase, environment: EnvironmentRoles = NOBODY): Roles {
  const all = database.query<Row, []>('SELECT * FROM role_grants ORDER BY subject, zone, store, channel')
  const find = database.query<Row, Spot>('SELECT * FROM role_grants WHERE subject = $subject AND zone = $zone AND store = $store AND channel = $channel')
  const put = database.query<null, Spot & { role: string; by: string; now: number }>(
    `INSERT OR REPLACE INTO role_grants (subject, zone, store, channel, role, granted_by, granted_ms)
     VALUES ($subject, $zone, $store, $channel, $role, $by, $now)`,
  )
  const remove = database.query<null, Spot>('DELETE FROM role_grants WHERE subject = $subject AND zone = $zone AND store = $store AND channel = $channel')
  const fromEnvironment: StoredGrant[] = [
    ...[...environment.admins].map((user) => environmentGrant(user, 'admin')),
    ...[...environment.operators].filter((user) => !environment.admins.has(user)).map((user) => environmentGrant(user, 'operator')),
  ]
  const list = (): StoredGrant[] => [...fromEnvironment, ...all.all().map(toGrant)]
  const groupsOf = (): string[] => [...new Set(list().flatMap(({ subject }) => (subject.startsWith('group:') ? [subject.slice('group:'.length)] : [])))]
  /** Whether an admin is left without the grant at this spot. */
  const keepsAdmin = (spot: Spot): boolean => list().some((grant) => isFleetAdmin(grant) && !(grant.source === 'command' && isAt(grant, spot)))

  return {
    list,
    groups: groupsOf,
    hasAdmin: () => list().some(isFleetAdmin),
    grant: database.transaction(({ subject, role, zone, store, channel }: RoleGrant, by: string, nowMs: number): GrantOutcome => {
      const spot = { subject, zone, store, channel }
      const before = find.get(spot)
      if (before?.role === role) return 'unchanged'
      if (before && isFleetAdmin(toGrant(before)) && !keepsAdmin(spot)) return 'last-admin'
      if (!before && all.all().length >= GRANTS_MAX) return 'too-many'
      const groups = groupsOf()
      if (subject.startsWith('group:') && !groups.includes(subject.slice('group:'.length)) && groups.length >= GROUPS_MAX) return 'too-many-groups'
      put.run({ ...spot, role, by, now: nowMs })
      return 'granted'
    }).immediate,
    revoke: database.transaction(({ subject, zone, store, channel }: Omit<RoleGrant, 'role'>): RevokeOutcome => {
      const spot = { subject, zone, store, channel }
      const before = find.get(spot)
      if (!before) return fromEnvironment.some((grant) => isAt(grant, spot)) ? 'environment' : 'not-found'
      if (isFleetAdmin(toGrant(before)) && !keepsAdmin(spot)) return 'last-admin'
      remove.run(spot)
      return 'revoked'
    }).immediate,
  }
}

function environmentGrant(user: string, role: Role): StoredGrant {
  return { subject: `user:${user}`, role, zone: '', store: '', channel: '', source: 'environment', grantedBy: '', grantedMs: null }
}

function toGrant({ subject, role, zone, store, channel, granted_by: grantedBy, granted_ms: grantedMs }: Row): StoredGrant {
  return { subject, role, zone, store, channel, source: 'command', grantedBy, grantedMs }
}

function isFleetAdmin({ subject, role, zone, store, channel }: RoleGrant): boolean {
  return role === 'admin' && subject.startsWith('user:') && zone === '' && store === '' && channel === ''
}

function isAt(grant: Omit<RoleGrant, 'role'>, spot: Spot): boolean {
  const isStore = grant.store.toLowerCase() === spot.store.toLowerCase()
  return grant.subject === spot.subject && grant.zone === spot.zone && isStore && grant.channel === spot.channel
}
