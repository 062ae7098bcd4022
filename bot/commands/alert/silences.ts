// `alert silences`: what is silenced, by whom, why and until when.

import { formatTime } from '../../../protocol/time.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { silenceJson, silenceTarget } from './silence.ts'

export const alertSilences = defineCommand({
  noun: 'alert',
  verb: 'silences',
  summary: 'Lists silences, with who made them and until when',
  role: 'viewer',
  effect: 'read',
  examples: ['alert silences'],
  run({ alerts, clock }) {
    const nowMs = clock.nowMs()
    const silences = alerts.silences.list(nowMs)
    return Promise.resolve(
      makeView({
        title: 'Silences',
        text: silences.length === 0 ? 'Nothing is silenced.' : `${plural(silences.length, 'silence')}; each ends by itself.`,
        columns:
          silences.length === 0
            ? []
            : [
                { key: 'id', label: 'Silence', isWhole: true },
                { key: 'target', label: 'What', isWhole: true },
                { key: 'until', label: 'Until' },
                { key: 'by', label: 'By' },
                { key: 'reason', label: 'Reason' },
              ],
        rows: silences.map((silence) => ({
          cells: {
            ...{ id: String(silence.id), target: silenceTarget(silence), by: silence.createdBy, reason: silence.reason },
            until: `${formatAt(silence.untilMs)} (${formatDuration(silence.untilMs - nowMs)} left)`,
          },
        })),
        actions: silences
          .slice(0, 5)
          .map((silence) => ({ label: `End ${silenceTarget(silence)}`, command: `alert unsilence ${silence.id}`, role: 'operator' as const })),
        asOfMs: nowMs,
        json: { items: silences.map(silenceJson), asOf: formatTime(nowMs) },
      }),
    )
  },
})
