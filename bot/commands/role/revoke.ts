// `role revoke user=U|group=S`: takes back a role that was granted at a place.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { lastAdmin, placeWords, ROLE_OPTIONS, spotOf, subjectWords } from './role-options.ts'

export const roleRevoke = defineCommand({
  noun: 'role',
  verb: 'revoke',
  summary: 'Takes back a role that was granted for the whole fleet, a zone, a store or a channel',
  role: 'admin',
  effect: 'write',
  options: ROLE_OPTIONS,
  examples: ['role revoke user=U024BE7LH', 'role revoke group=S0614TZR7 zone=zone-1'],
  run(context, { options }) {
    const spot = spotOf(options)
    const who = subjectWords(spot.subject)
    const where = placeWords(spot)
    switch (context.roles.revoke(spot)) {
      case 'not-found':
        throw problem('not-found', `${who} has no role for: ${where}.`, { action: 'See all grants with role list.' })
      case 'environment':
        throw problem('conflict', `${who} has the role from the environment of the bot.`, {
          action: 'Remove the id from SLIPWAY_SLACK_ADMINS or SLIPWAY_SLACK_OPERATORS, then restart the bot.',
        })
      case 'last-admin':
        throw lastAdmin(who)
      case 'revoked':
    }
    const asOfMs = context.clock.nowMs()
    const left = context.roles.list().filter(({ subject }) => subject === spot.subject)
    return Promise.resolve(
      makeView({
        title: `Role revoked from ${who}`,
        text: `It counted for: ${where}.`,
        tone: 'good',
        notes: left.map((grant) => `Still ${grant.role} for: ${placeWords(grant)}${grant.source === 'environment' ? ', from the environment' : ''}.`),
        asOfMs,
        json: { ...spot, left, asOf: formatTime(asOfMs) },
      }),
    )
  },
})
