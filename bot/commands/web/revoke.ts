// `web revoke`: ends sessions of the page at once.

import { roleIncludes } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { visibleSessions } from './list.ts'

export const webRevoke = defineCommand({
  noun: 'web',
  verb: 'revoke',
  summary: 'Ends sessions of the page: one by its id, or all of yours; an admin can end those of everybody',
  role: 'viewer',
  effect: 'write',
  isRepeatable: true,
  targets: [{ name: 'SESSION', about: 'id of a session, or all', subject: 'text' }],
  examples: ['web revoke ses_0123456789ab', 'web revoke all'],
  run(context, { targets }) {
    const [id = ''] = targets
    const { actor, page, clock } = context
    const meant = visibleSessions(context).filter((session) => id === 'all' || session.id === id)
    if (meant.length === 0 && id !== 'all') throw problem('not-found', `There is no session "${id}".`, { action: 'List them with web list.' })
    const revoked = meant.filter((session) => page.sessions.revoke(session.id))
    // A link that was not used yet would begin a new session.
    if (id === 'all') page.links.revoke(roleIncludes(actor.role, 'admin') ? undefined : { id: actor.id ?? '' })
    const asOfMs = clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Sessions ended',
        text:
          id === 'all'
            ? `${plural(revoked.length, 'session')} ended, and links that were not used yet.`
            : `The session of ${revoked[0]?.person.name ?? id} ended.`,
        tone: 'good',
        // Who uses the page is nothing for the channel.
        isPrivate: true,
        asOfMs,
        json: { revoked: revoked.map((session) => session.id), asOf: formatTime(asOfMs) },
      }),
    )
  },
})
