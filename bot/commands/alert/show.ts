// `alert show A`: one alert with its finding, impact, next step and history.

import { formatTime } from '../../../protocol/time.ts'
import { conditionOf } from '../../alerts/conditions.ts'
import { incidentActions, incidentFields } from '../../alerts/incident-view.ts'
import { readQuiet } from '../../alerts/quiet.ts'
import { incidentState, incidentTitle, severityTone, spellIncident } from '../../alerts/words.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { findIncident, incidentJson } from './find-incident.ts'

export const alertShow = defineCommand({
  noun: 'alert',
  verb: 'show',
  summary: 'Shows one alert with its history',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'A', about: 'number of an alert, such as A12', subject: 'text' }],
  examples: ['alert show A12'],
  run(context, { targets: [text = ''] }) {
    const nowMs = context.clock.nowMs()
    const incident = findIncident(context, text)
    const quiet = readQuiet(context.fleet.registry.list(), context.alerts.silences, nowMs)(incident)
    const history = context.alerts.incidents.history(incident.id)
    return Promise.resolve(
      makeView({
        title: `${spellIncident(incident.id)} ${incidentTitle(incident)}`,
        text: `${incident.severity}, since ${formatAt(incident.sinceMs)}: ${incidentState(incident, quiet)}.`,
        tone: incident.resolvedMs === null ? severityTone(incident.severity) : 'good',
        fields: [...incidentFields(incident), { label: 'Meaning', value: conditionOf(incident.condition).meaning }, { label: 'Zone', value: incident.zone }],
        columns: [
          { key: 'time', label: 'Time' },
          { key: 'what', label: 'What' },
        ],
        rows: history.map(({ timeMs, text: what }) => ({ cells: { time: formatAt(timeMs), what } })),
        actions: incidentActions(incident, quiet),
        asOfMs: nowMs,
        json: {
          ...incidentJson(incident, quiet),
          history: history.map(({ timeMs, kind, text: what }) => ({ time: formatTime(timeMs), kind, text: what })),
          asOf: formatTime(nowMs),
        },
      }),
    )
  },
})
