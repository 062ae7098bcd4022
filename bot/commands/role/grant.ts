// `role grant ROLE user=U|group=S`: gives a role to a user or a group of Slack, for the whole fleet or limited to a place.

import { ROLES } from '../../../protocol/access.ts'
import { suggestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { GRANTS_MAX, GROUPS_MAX } from '../../access/roles.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { lastAdmin, placeWords, registeredPlace, ROLE_OPTIONS, spotOf, subjectWords } from './role-options.ts'

export const roleGrant = defineCommand({
  noun: 'role',
  verb: 'grant',
  summary: 'Gives a role to a Slack user or group, for the whole fleet, a zone, a store or a channel',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'ROLE', about: `one of ${ROLES.join(', ')}`, subject: 'text', choices: ROLES }],
  options: ROLE_OPTIONS,
  examples: ['role grant operator user=U024BE7LH', 'role grant operator group=S0614TZR7 zone=zone-1', 'role grant uploader user=U024BE7LH channel=C024BE91L'],
  run(context, { targets, options }) {
    const [word = ''] = targets
    const role = ROLES.find((known) => known === word)
    if (!role)
      throw problem('invalid-input', `There is no role "${word}"${suggestName(word, ROLES, (name) => name)}`, { action: `Use one of: ${ROLES.join(', ')}.` })
    const given = spotOf(options)
    const spot = { ...given, ...registeredPlace(context, given) }
    // An admin of a channel could give themselves the role for the fleet there.
    if (role === 'admin' && spot.channel !== '')
      throw problem('invalid-input', 'The role admin cannot be limited to a channel.', { action: 'Leave out channel=, or grant operator.' })
    const asOfMs = context.clock.nowMs()
    const who = subjectWords(spot.subject)
    switch (context.roles.grant({ ...spot, role }, context.actor.name, asOfMs)) {
      case 'last-admin':
        throw lastAdmin(who)
      case 'too-many':
        throw problem('limit-reached', `There are ${GRANTS_MAX} grants of roles.`, { action: 'Revoke some, or grant roles to groups.' })
      case 'too-many-groups':
        throw problem('limit-reached', `Grants name ${GROUPS_MAX} groups, and Slack is asked for the members of each.`, { action: 'Use one of these groups.' })
      case 'granted':
      case 'unchanged':
    }
    return Promise.resolve(
      makeView({
        title: `Role ${role} granted to ${who}`,
        text: `It counts for: ${placeWords(spot)}. The highest role that applies to a person counts.`,
        tone: 'good',
        asOfMs,
        json: { ...spot, role, asOf: formatTime(asOfMs) },
      }),
    )
  },
})
