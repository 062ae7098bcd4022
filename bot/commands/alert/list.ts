// `alert list`: the alerts that are open, the most severe first.

import { formatTime } from '../../../protocol/time.ts'
import { isAtLeast, SEVERITIES } from '../../alerts/conditions.ts'
import type { Incident } from '../../alerts/incidents.ts'
import { readQuiet } from '../../alerts/quiet.ts'
import { incidentState, incidentTitle, severityTone, spellIncident } from '../../alerts/words.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { parseCount } from '../option-values.ts'
import { someStores } from '../select.ts'
import { parseAlertSeverity } from './alert-options.ts'
import { incidentJson } from './find-incident.ts'

const LIST_DEFAULT = 100
const LIST_MAX = 1000
/** Open alerts that are read, of which the most severe are shown. */
const READ_MAX = 10_000

const COLUMNS: readonly Column[] = [
  { key: 'id', label: 'Alert', isWhole: true },
  { key: 'what', label: 'What', beside: 'bare' },
  { key: 'zone', label: 'Zone', isWhole: true, beside: 'bare' },
  { key: 'severity', label: 'Severity', beside: 'bare' },
  { key: 'since', label: 'Since', beside: 'labelled' },
  { key: 'state', label: 'State', beside: 'bare' },
  { key: 'finding', label: 'Finding', isLine: true },
  { key: 'next', label: 'Next', isMinor: true, isLine: true },
]

export const alertList = defineCommand({
  noun: 'alert',
  verb: 'list',
  summary: 'Lists open alerts, the most severe first',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only those of this store', value: 'S', subject: 'store' },
    zone: { about: 'only those of this zone and its stores', value: 'Z', subject: 'zone' },
    severity: { about: `at least this severe: ${SEVERITIES.join(', ')}`, value: 'SEVERITY' },
    limit: { about: `number of alerts, ${LIST_DEFAULT} by default`, value: 'N' },
  },
  flags: { resolved: 'also lists those that were resolved, the newest first' },
  examples: ['alert list', 'alert list zone=zone-1 severity=critical', 'alert list store=edge-a --resolved'],
  run(context, { options, flags }) {
    const nowMs = context.clock.nowMs()
    const hasResolved = flags.has('resolved')
    const limit = options.limit === undefined ? LIST_DEFAULT : parseCount('limit', options.limit, 1, LIST_MAX)
    const least = options.severity === undefined ? 'info' : parseAlertSeverity(options.severity)
    const store = options.store === undefined ? undefined : someStores(context, options.store, undefined)[0]?.name
    const { zone } = options
    const found = context.alerts.incidents.list({ store, zone, hasResolved, limit: READ_MAX }).filter(({ severity }) => isAtLeast(severity, least))
    const shown = (hasResolved ? found : found.toSorted(worstFirst)).slice(0, limit)
    const quietOf = readQuiet(context.fleet.registry.list(), context.alerts.silences, nowMs)
    const isRunning = context.fleet.kept?.runs.runningSince(nowMs) !== undefined
    return Promise.resolve(
      makeView({
        title: 'Alerts',
        text: listText(found, shown.length, hasResolved),
        tone: shown.length === 0 ? 'good' : 'plain',
        columns: shown.length === 0 ? [] : COLUMNS,
        rows: shown.map((incident) => ({
          tone: incident.resolvedMs === null ? severityTone(incident.severity) : 'plain',
          cells: {
            ...{ id: spellIncident(incident.id), severity: incident.severity, what: incidentTitle(incident), zone: incident.zone },
            ...{ since: formatAt(incident.sinceMs), state: incidentState(incident, quietOf(incident)), finding: incident.finding, next: incident.action },
          },
        })),
        actions: shown
          .filter(({ resolvedMs }) => resolvedMs === null)
          .slice(0, 3)
          .map(({ id }) => ({ label: `Show ${spellIncident(id)}`, command: `alert show ${spellIncident(id)}`, role: 'viewer' as const })),
        notes: isRunning ? [] : ['The service of the bot is not running: alerts are as it left them, and no new ones are found.'],
        asOfMs: nowMs,
        json: { items: shown.map((incident) => incidentJson(incident, quietOf(incident))), total: found.length, isRunning, asOf: formatTime(nowMs) },
      }),
    )
  },
})

/** Those that are equal stay in the order of their numbers. */
function worstFirst(a: Incident, b: Incident): number {
  return SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) || a.sinceMs - b.sinceMs
}

function listText(found: readonly Incident[], shown: number, hasResolved: boolean): string {
  if (found.length === 0) return hasResolved ? 'No alerts.' : 'No open alerts.'
  const counts = SEVERITIES.toReversed().flatMap((severity) => {
    const count = found.filter((incident) => incident.severity === severity).length
    return count === 0 ? [] : [`${count} ${severity}`]
  })
  const rest = found.length > shown ? ` The ${hasResolved ? 'newest' : 'most severe'} ${shown} are shown.` : ''
  return `${plural(found.length, hasResolved ? 'alert' : 'open alert')}: ${counts.join(', ')}.${rest}`
}
