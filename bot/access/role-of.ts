// Which role a person of Slack has at a place: the whole fleet, a zone or a store, asked for in a channel. Pure.

import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'

/** A role that was given to a user or a group of Slack. An empty zone, store or channel does not limit it. */
export interface RoleGrant {
  /** `user:U024BE7LH` or `group:S0614TZR7`. */
  readonly subject: string
  readonly role: Role
  readonly zone: string
  readonly store: string
  readonly channel: string
}

/** A person by Slack id, with the ids of the groups that the person is in. */
export interface Person {
  readonly user: string
  readonly groups: ReadonlySet<string>
}

/** Where a role is needed. Without a store it concerns the whole fleet, or a whole zone. */
export interface Place {
  readonly channel?: string | undefined
  readonly zone?: string | undefined
  readonly store?: string | undefined
}

/** Returns the highest role of the grants that apply; `viewer` when none does. Names of stores ignore case, as the registry does. */
export function roleOf(grants: readonly RoleGrant[], { user, groups }: Person, place: Place): Role {
  let best: Role = 'viewer'
  for (const { subject, role, zone, store, channel } of grants) {
    const isMeant = subject === `user:${user}` || (subject.startsWith('group:') && groups.has(subject.slice('group:'.length)))
    const applies =
      isMeant &&
      (zone === '' || zone === place.zone) &&
      (store === '' || store.toLowerCase() === place.store?.toLowerCase()) &&
      (channel === '' || channel === place.channel)
    if (applies && roleIncludes(role, best)) best = role
  }
  return best
}
