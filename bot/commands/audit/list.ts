// `audit list`: the audit log, newest entries first.

import { formatTime } from '../../../protocol/time.ts'
import type { ChainedRow } from '../../audit/chain.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, Tone, View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { parseCount, parseMoment } from '../option-values.ts'
import { rowJson } from './row-options.ts'
import { refuseChoice } from '../refused-value.ts'

const ENTRIES_DEFAULT = 50
const ENTRIES_MAX = 1000
const OUTCOMES = ['done', 'refused', 'failed', 'begun', 'asked', 'unclear']

const COLUMNS: readonly Column[] = [
  { key: 'time', label: 'Time' },
  { key: 'actor', label: 'Actor' },
  { key: 'surface', label: 'From', isMinor: true },
  { key: 'command', label: 'Command' },
  { key: 'outcome', label: 'Outcome' },
  { key: 'detail', label: 'Detail', isMinor: true },
]

export const auditList = defineCommand({
  noun: 'audit',
  verb: 'list',
  summary: 'Lists who asked for what and how it ended, newest first',
  role: 'operator',
  effect: 'read',
  options: {
    actor: { about: 'only this actor, by a part of the name or the Slack id', value: 'NAME' },
    target: { about: 'only commands on this target, or a part of its name', value: 'TEXT' },
    command: { about: 'only commands with this text, such as "image delete"; also reads', value: 'TEXT' },
    outcome: { about: `one of ${OUTCOMES.join(', ')}`, value: 'OUTCOME' },
    since: { about: 'from this time on: 2026-11-21, 2026-11-21T06:00:00Z, or 2h for two hours ago', value: 'TIME' },
    until: { about: 'up to this time', value: 'TIME' },
    before: { about: 'only entries before this number, for the next page', value: 'N' },
    limit: { about: `number of entries, ${ENTRIES_DEFAULT} by default`, value: 'N' },
  },
  flags: { reads: 'also lists reads, questions for a name, and lines that were not understood' },
  examples: ['audit list', 'audit list actor=ada since=7d', 'audit list outcome=refused', 'audit list command="store delete"'],
  run(context, { options, flags }) {
    const asOfMs = context.clock.nowMs()
    const { actor, target, command, outcome, since, until, before } = options
    if (outcome !== undefined && !OUTCOMES.includes(outcome)) throw refuseChoice('outcome', outcome, OUTCOMES)
    const limit = options.limit === undefined ? ENTRIES_DEFAULT : parseCount('limit', options.limit, 1, ENTRIES_MAX)
    const entries = context.audit.list({
      actor,
      target,
      command,
      outcome,
      sinceMs: since === undefined ? undefined : parseMoment('since', since, asOfMs),
      untilMs: until === undefined ? undefined : parseMoment('until', until, asOfMs),
      before: before === undefined ? undefined : parseCount('before', before, 1, Number.MAX_SAFE_INTEGER),
      reads: flags.has('reads') || command !== undefined || outcome === 'asked' || outcome === 'unclear',
      limit,
    })
    return Promise.resolve(entriesView(entries, limit, asOfMs))
  },
})

function entriesView(entries: readonly ChainedRow[], limit: number, asOfMs: number): View {
  const next = entries.length === limit && (entries.at(-1)?.seq ?? 1) > 1 ? (entries.at(-1)?.seq ?? null) : null
  return makeView({
    title: 'Audit',
    text: entries.length === 0 ? 'No entries.' : `${entries.length} newest entries`,
    columns: entries.length === 0 ? [] : COLUMNS,
    rows: entries.map((entry) => ({
      tone: toneOf(entry.outcome),
      cells: {
        time: formatAt(entry.timeMs),
        actor: entry.actor,
        surface: [entry.surface, entry.via === 'typed' ? '' : entry.via].filter((word) => word !== '').join(', '),
        command: entry.command,
        outcome: entry.outcome,
        detail: entry.detail,
      },
    })),
    notes: next === null ? [] : [`Older entries: add before=${next}.`],
    asOfMs,
    json: { items: entries.map(rowJson), next, asOf: formatTime(asOfMs) },
  })
}

function toneOf(outcome: string): Tone {
  if (outcome === 'done') return 'good'
  return outcome === 'asked' ? 'plain' : outcome === 'begun' ? 'warning' : 'bad'
}
