// `role claim CODE`: makes the person who runs it in Slack an admin, with the code from the console of the bot.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const roleClaim = defineCommand({
  noun: 'role',
  verb: 'claim',
  summary: 'Makes you an admin, with the one-time code from the console of the bot (Slack)',
  role: 'viewer',
  effect: 'write',
  targets: [{ name: 'CODE', about: 'the code that the bot printed', subject: 'text', secret: true }],
  examples: ['role claim 7K2M-Q9XA-TR4C'],
  run({ actor, clock, firstAdminCodes }, { targets }) {
    if (actor.id === undefined)
      throw problem('invalid-input', 'A code is claimed in Slack; the console has every role.', { action: 'Run it in Slack: /slipway role claim CODE' })
    switch (firstAdminCodes.claim(targets[0] ?? '', actor.id, actor.name)) {
      case 'none':
        throw problem('link-expired', 'There is no code to claim: it has expired, was used, or was mistyped too often.', {
          title: 'No longer valid',
          action: 'Make another one on the machine of the bot: slipway role code.',
        })
      case 'wrong':
        throw problem('forbidden', 'This is not the code.', { action: 'Copy it from the console of the bot. It is void after five wrong codes.' })
      case 'granted':
    }
    const asOfMs = clock.nowMs()
    return Promise.resolve(
      makeView({
        title: `${actor.name} is an admin`,
        text: 'The code is used up. Give roles to others with role grant.',
        tone: 'good',
        actions: [{ label: 'Roles', command: 'role list', role: 'viewer' }],
        asOfMs,
        json: { user: actor.id, role: 'admin', asOf: formatTime(asOfMs) },
      }),
    )
  },
})
