// `store health`: the health of one store, a zone or the fleet; for each failure since when, its impact and the next step.

import { problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { seeStores } from '../../../fleet/see.ts'
import { observationJson } from '../../../fleet/judge.ts'
import type { Observation } from '../../../fleet/judge.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Column, Field, Row, Tone, View } from '../../../../protocol/views/view.ts'
import { stateTone, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { FRESH_FLAG, someStores } from '../../select.ts'
import { CHART_OPTIONS, fleetCharts, parseCharts, storeCharts } from '../show/chart.ts'
import { changesSinceAsked } from './changed.ts'
import { fleetHealth, forecastFields, healthSentence } from './fleet-health.ts'
import { findingActions, healthFields } from '../show/store-rows.ts'

const CHECK_TONES: Record<Observation['checks'][number]['state'], Tone> = { ok: 'good', warning: 'warning', failed: 'bad', unknown: 'plain' }

const CHECK_COLUMNS: readonly Column[] = [
  { key: 'check', label: 'Check' },
  { key: 'state', label: 'State' },
  { key: 'measured', label: 'Measured' },
  { key: 'limit', label: 'Limit' },
]

export const storeHealth = defineCommand({
  noun: 'store',
  verb: 'health',
  summary: 'Shows the health of stores: state, since when, impact and next step',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'S', about: 'name of a store, or all', subject: 'store', optional: true }],
  options: { zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' }, ...CHART_OPTIONS },
  flags: FRESH_FLAG,
  examples: ['store health', 'store health edge-a', 'store health zone=zone-1', 'store health all --chart'],
  async run(context, { targets, options, flags }) {
    const { zone } = options
    const charts = parseCharts(options)
    if (charts && zone !== undefined)
      throw problem('invalid-input', 'Charts are of one store or of all stores.', { action: 'Leave zone= out, or name a store.' })
    const isEmptyZone = targets[0] === undefined && zone !== undefined && context.zones.find(zone) && !hasStores(context, zone)
    const stores = isEmptyZone ? [] : someStores(context, targets[0], zone)
    const isAll = targets[0] === 'all' || zone !== undefined || stores.length !== 1
    const [only] = stores
    if (charts) return only && !isAll ? storeCharts(context, only, charts, flags.has('fresh')) : fleetCharts(context, stores, charts, flags.has('fresh'))
    const seen = await seeStores(context, stores, flags.has('fresh'))
    const [first] = seen
    const isOne = first && seen.length === 1 && targets[0] !== 'all' && zone === undefined
    return isOne ? oneHealth(context, first) : fleetHealth(context, seen, zone)
  },
})

function hasStores({ fleet }: CommandContext, zone: string): boolean {
  return fleet.registry.list().some((store) => store.zone === zone)
}

function oneHealth(context: CommandContext, seen: Observation): View {
  const nowMs = context.clock.nowMs()
  const changed = changesSinceAsked(context, `store ${seen.record.name}`, [seen])
  const rows: Row[] = seen.checks.map((check) => ({
    tone: CHECK_TONES[check.state],
    cells: { check: check.name, state: check.state, measured: check.measured, limit: check.limit ?? UNKNOWN },
  }))
  return makeView({
    title: `Health of ${seen.record.name}`,
    text: healthSentence(seen),
    tone: stateTone(seen.state),
    fields: [...healthFields(seen, nowMs), ...restartFields(seen), ...forecastFields([seen]), ...(changed ? [{ label: 'Changed', value: changed.text }] : [])],
    columns: rows.length > 0 ? CHECK_COLUMNS : [],
    rows,
    actions: findingActions(seen),
    asOfMs: seen.asOfMs,
    json: { ...observationJson(seen, nowMs), checks: seen.checks, changed: changed?.json ?? null, asOf: formatTime(seen.asOfMs) },
  })
}

/** The exact line that restarts the agent, for a store whose agent does not answer or is slow. The unit is that of systemd/slipway-agent@.service. */
function restartFields({ record, state, checks }: Observation): Field[] {
  const isSlow = checks.some((check) => check.name === 'process' && check.state !== 'ok')
  // The name of the unit is the file name of the configuration, which cannot have other characters.
  if (!/^[\w.-]+$/.test(record.name) || (state !== 'stopped' && !isSlow)) return []
  return [{ label: 'Restart', value: `sudo systemctl restart slipway-agent@${record.name}` }]
}
