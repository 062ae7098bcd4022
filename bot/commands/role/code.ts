// `role code`: makes the one-time code with which somebody in Slack becomes an admin. Only the console shows it.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const roleCode = defineCommand({
  noun: 'role',
  verb: 'code',
  summary: 'Makes a one-time code with which somebody in Slack becomes an admin (console)',
  role: 'admin',
  effect: 'write',
  examples: ['role code'],
  run({ surface, clock, firstAdminCodes }) {
    if (surface !== 'console')
      throw problem('invalid-input', 'Codes are made in the console only.', { action: 'Admins in Slack use role grant admin user=ID instead.' })
    const { code, expiresMs } = firstAdminCodes.issue()
    const asOfMs = clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Code for an admin',
        text: 'It works once. An earlier code is no longer valid.',
        isPrivate: true,
        fields: [
          { label: 'In Slack', value: `/slipway role claim ${code}` },
          { label: 'Valid until', value: formatAt(expiresMs) },
        ],
        asOfMs,
        json: { code, expiresAt: formatTime(expiresMs), asOf: formatTime(asOfMs) },
      }),
    )
  },
})
