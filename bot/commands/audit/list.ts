// `audit list`: the audit log, newest entries first.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../views/view.ts'
import { formatAt } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'

const ENTRIES_DEFAULT = 50
const ENTRIES_MAX = 1000

export const auditList = defineCommand({
  noun: 'audit',
  verb: 'list',
  summary: 'Lists who changed what, newest first',
  role: 'operator',
  effect: 'read',
  options: {
    actor: { about: 'only commands of this actor', value: 'NAME' },
    target: { about: 'only commands on this target', value: 'TEXT' },
    limit: { about: `number of entries, ${ENTRIES_DEFAULT} by default`, value: 'N' },
  },
  run(context, { options }) {
    const limit = options.limit === undefined ? ENTRIES_DEFAULT : Number(options.limit)
    if (!Number.isInteger(limit) || limit < 1 || limit > ENTRIES_MAX)
      throw problem('invalid-input', `limit=${options.limit} is not a number from 1 to ${ENTRIES_MAX}.`, { action: 'Use a number in this range.' })
    const entries = context.audit.list({ actor: options.actor, target: options.target, limit })
    const asOfMs = context.clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Audit',
        text: entries.length === 0 ? 'No entries.' : `${entries.length} newest entries`,
        columns:
          entries.length === 0
            ? []
            : [
                { key: 'time', label: 'Time' },
                { key: 'actor', label: 'Actor' },
                { key: 'surface', label: 'From', isMinor: true },
                { key: 'command', label: 'Command' },
                { key: 'outcome', label: 'Outcome' },
                { key: 'detail', label: 'Detail', isMinor: true },
              ],
        rows: entries.map((entry) => ({
          tone: entry.outcome === 'done' ? 'good' : 'bad',
          cells: {
            time: formatAt(entry.timeMs),
            actor: entry.actor,
            surface: entry.surface,
            command: entry.command,
            outcome: entry.outcome,
            detail: entry.detail,
          },
        })),
        asOfMs,
        json: { items: entries.map(({ timeMs, ...entry }) => ({ ...entry, time: formatTime(timeMs) })), asOf: formatTime(asOfMs) },
      }),
    )
  },
})
