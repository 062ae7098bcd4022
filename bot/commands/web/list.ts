// `web list`: the sessions of the page, of the person who asks, or of everybody for an admin.

import { roleIncludes } from '../../../protocol/access.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { PageSession } from '../../entry/page-sessions.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'

export const webList = defineCommand({
  noun: 'web',
  verb: 'list',
  summary: 'Lists your sessions of the page; an admin sees those of everybody',
  role: 'viewer',
  effect: 'read',
  examples: ['web list'],
  run(context) {
    const sessions = visibleSessions(context)
    const asOfMs = context.clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Sessions of the page',
        text: sessions.length === 0 ? 'No sessions.' : `${plural(sessions.length, 'session')}.`,
        columns: [
          { key: 'id', label: 'Id', isWhole: true },
          { key: 'person', label: 'Person', isWhole: true },
          { key: 'used', label: 'Used' },
          { key: 'ends', label: 'Ends' },
          { key: 'began', label: 'Began', isMinor: true },
          { key: 'browser', label: 'Browser', isMinor: true },
        ],
        rows: sessions.map(({ id, person, usedMs, endsMs, createdMs, browser }) => ({
          cells: { id, person: personWords(person), used: formatAt(usedMs), ends: formatAt(endsMs), began: formatAt(createdMs), browser },
        })),
        actions: sessions.length === 0 ? [] : [{ label: 'End all sessions', command: 'web revoke all', role: 'viewer', style: 'danger' }],
        asOfMs,
        json: { items: sessions.map(sessionJson), asOf: formatTime(asOfMs) },
      }),
    )
  },
})

/** The sessions that a person may see and end: the own ones, and all for an admin of the fleet. */
export function visibleSessions({ actor, page }: CommandContext): PageSession[] {
  const isAdmin = roleIncludes(actor.role, 'admin')
  return page.sessions.list().filter(({ person }) => isAdmin || person.id === actor.id)
}

/** `ann (U024BE7LH)`, or `root (console)`. */
function personWords({ id, name }: PageSession['person']): string {
  return id === '' ? `${name} (console)` : name
}

function sessionJson({ id, person, browser, createdMs, usedMs, endsMs }: PageSession): Record<string, unknown> {
  const times = { createdAt: formatTime(createdMs), usedAt: formatTime(usedMs), endsAt: formatTime(endsMs) }
  return { id, person: person.name, slackId: person.id === '' ? null : person.id, browser, ...times }
}
