// What the commands of roles share: who is meant, and to which place a role is limited.

import { nearestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { RoleGrant } from '../../access/role-of.ts'
import type { CommandContext } from '../command.ts'
import { oneStore } from '../select.ts'

/** Options that name a subject and a place. */
export const ROLE_OPTIONS = {
  user: { about: 'a Slack user: @ada, or the id from the profile ("Copy member ID")', value: 'U024BE7LH' },
  group: { about: 'a Slack user group: @storage, or its id', value: 'S0614TZR7' },
  zone: { about: 'only in the stores of this zone', value: 'Z', subject: 'zone' },
  store: { about: 'only in this store', value: 'S', subject: 'store' },
  channel: { about: 'only for what is asked in this Slack channel: #ops, or its id', value: 'C024BE91L' },
} as const

type Options = Readonly<Partial<Record<keyof typeof ROLE_OPTIONS, string>>>

/** Slack writes `<@U024BE7LH|ada>`, `<!subteam^S0614TZR7|@storage>` and `<#C024BE91L|ops>` for what a person picks. */
const ESCAPED = /^<(?:@|!subteam\^|#)([A-Z0-9]+)(?:\|[^>]*)?>$/
const KINDS = {
  user: { id: /^[UW][A-Z0-9]{2,20}$/, how: 'Pick the person with @ in Slack, or copy the member ID from the profile, such as U024BE7LH.' },
  group: { id: /^S[A-Z0-9]{2,20}$/, how: 'Pick the group with @ in Slack, or copy its id, such as S0614TZR7.' },
  channel: { id: /^[CDG][A-Z0-9]{2,20}$/, how: 'Pick the channel with # in Slack, or copy its id from the details of the channel, such as C024BE91L.' },
} as const

/** The subject and the place of a role as they are written. Throws `invalid-input`. */
export function spotOf(options: Options): Omit<RoleGrant, 'role'> {
  const { user, group, zone, store, channel } = options
  if ((user === undefined) === (group === undefined)) throw problem('invalid-input', 'Name one user or one group.', { action: 'Add user=ID or group=ID.' })
  if (zone !== undefined && store !== undefined)
    throw problem('invalid-input', 'A role is for a zone or for a store.', { action: 'Leave out zone= or store=.' })
  return {
    subject: user === undefined ? `group:${idOf('group', group ?? '')}` : `user:${idOf('user', user)}`,
    zone: zone ?? '',
    store: store ?? '',
    channel: channel === undefined ? '' : idOf('channel', channel),
  }
}

/** Returns the place of a role that is granted, with the name of the store as it is registered. Throws `not-found`. */
export function registeredPlace(context: CommandContext, { zone, store }: Pick<RoleGrant, 'zone' | 'store'>): Pick<RoleGrant, 'zone' | 'store'> {
  if (store !== '') return { zone, store: oneStore(context, store).name }
  const zones = [...new Set(context.fleet.registry.list().map((record) => record.zone))]
  if (zone === '' || zones.includes(zone)) return { zone, store }
  const meant = nearestName(zone, zones)
  throw problem('not-found', `No store is in zone "${zone}".`, { action: meant === undefined ? `Zones: ${zones.join(', ')}.` : `Did you mean zone=${meant}?` })
}

/** Returns the id that a person wrote or picked. Throws `invalid-input`. */
export function idOf(kind: keyof typeof KINDS, text: string): string {
  const id = ESCAPED.exec(text)?.[1] ?? text
  if (!KINDS[kind].id.test(id)) throw problem('invalid-input', `"${text}" is not the id of a Slack ${kind}.`, { action: KINDS[kind].how })
  return id
}

/** Where a role counts, in words. */
export function placeWords({ zone, store, channel }: Pick<RoleGrant, 'zone' | 'store' | 'channel'>): string {
  const stores = store !== '' ? `store ${store}` : zone !== '' ? `zone ${zone}` : 'whole fleet'
  return channel === '' ? stores : `${stores}, in channel ${channel}`
}

/** A subject in words: `user U024BE7LH`. */
export function subjectWords(subject: string): string {
  return subject.replace(':', ' ')
}

/** The refusal to leave the fleet without an admin. */
export function lastAdmin(who: string): ProblemError {
  return problem('conflict', `${who} is the last admin.`, { action: 'Make another user an admin first: role grant admin user=ID.' })
}
