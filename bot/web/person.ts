// Who acts on the page: the person of the session, with the role that counts at this moment.

import { roleOf } from '../access/role-of.ts'
import type { Roles } from '../access/roles.ts'
import type { CommandActor } from '../commands/command.ts'
import type { PagePerson } from '../entry/entry-links.ts'

/** The groups of Slack that people are in. */
export interface PeopleGroups {
  /** Asks Slack for the members of groups that are not known well enough. Never throws. */
  refresh(groups: readonly string[]): Promise<void>
  groupsOf(user: string): ReadonlySet<string>
}

/** Without Slack nobody is in a group. */
export const NO_GROUPS: PeopleGroups = { refresh: () => Promise.resolve(), groupsOf: () => new Set() }

/**
 * Returns the actor of a session. The user of the console is an admin; a person of Slack has the role that the grants give at this moment. A grant for a
 * channel gives nothing here, because the page is in no channel.
 */
export async function actorOf({ id, name }: PagePerson, roles: Pick<Roles, 'list' | 'groups'>, groups: PeopleGroups): Promise<CommandActor> {
  if (id === '') return { name, role: 'admin' }
  await groups.refresh(roles.groups())
  const person = { user: id, groups: groups.groupsOf(id) }
  const grants = roles.list()
  return { id, name, role: roleOf(grants, person, {}), roleIn: (store) => roleOf(grants, person, { zone: store.zone, store: store.name }) }
}
