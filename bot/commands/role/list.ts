// `role list`: who has which role, where, and who granted it.

import { formatTime } from '../../../protocol/time.ts'
import { formatAt, plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { placeWords, subjectWords } from './role-options.ts'

export const roleList = defineCommand({
  noun: 'role',
  verb: 'list',
  summary: 'Lists who has which role, and where',
  role: 'viewer',
  effect: 'read',
  examples: ['role list'],
  run({ roles, actor, clock }) {
    const grants = roles.list()
    const asOfMs = clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Roles',
        text: `${grants.length === 0 ? 'No grants' : plural(grants.length, 'grant')}; everyone else is a viewer. Your role for the whole fleet, here: ${actor.role}.`,
        columns:
          grants.length === 0
            ? []
            : [
                { key: 'subject', label: 'Who', isWhole: true },
                { key: 'role', label: 'Role' },
                { key: 'place', label: 'Where' },
                { key: 'by', label: 'Granted by', isMinor: true },
                { key: 'since', label: 'Since', isMinor: true },
              ],
        rows: grants.map((grant) => ({
          cells: {
            subject: subjectWords(grant.subject),
            role: grant.role,
            place: placeWords(grant),
            by: grant.source === 'environment' ? 'the environment of the bot' : grant.grantedBy,
            since: grant.grantedMs === null ? UNKNOWN : formatAt(grant.grantedMs),
          },
        })),
        notes: roles.hasAdmin() ? [] : ['No Slack user is an admin. In the console of the bot, run role code, then role claim in Slack.'],
        asOfMs,
        json: {
          items: grants.map(({ grantedMs, ...grant }) => ({ ...grant, grantedAt: grantedMs === null ? null : formatTime(grantedMs) })),
          yours: actor.role,
          asOf: formatTime(asOfMs),
        },
      }),
    )
  },
})
