// `store health`: the health of one store, a zone or the fleet; for each failure since when, its impact and the next step.

import { formatTime } from '../../../protocol/time.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { seeStores } from '../../fleet/see.ts'
import { observationJson } from '../../fleet/judge.ts'
import type { Observation } from '../../fleet/judge.ts'
import { makeView } from '../../views/view.ts'
import type { Column, Row, Tone, View } from '../../views/view.ts'
import { formatAt, plural, stateTone, stateWord, UNKNOWN } from '../../views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { FRESH_FLAG, someStores } from '../select.ts'
import { healthFields, oldest, repairActions, stateText, storeActions } from './store-rows.ts'

const CHECK_TONES: Record<Observation['checks'][number]['state'], Tone> = { ok: 'good', warning: 'warning', failed: 'bad', unknown: 'plain' }

const CHECK_COLUMNS: readonly Column[] = [
  { key: 'check', label: 'Check' },
  { key: 'state', label: 'State' },
  { key: 'measured', label: 'Measured' },
  { key: 'limit', label: 'Limit' },
]

const FLEET_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Store', isWhole: true },
  { key: 'zone', label: 'Zone', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'since', label: 'Since' },
  { key: 'finding', label: 'Finding' },
  { key: 'impact', label: 'Impact' },
  { key: 'next', label: 'Next' },
]

export const storeHealth = defineCommand({
  noun: 'store',
  verb: 'health',
  summary: 'Shows the health of stores: state, since when, impact and next step',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'S', about: 'name of a store, or all', subject: 'store', optional: true }],
  options: { zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' } },
  flags: FRESH_FLAG,
  examples: ['store health', 'store health edge-a', 'store health zone=zone-1'],
  async run(context, { targets, options, flags }) {
    const stores = someStores(context, targets[0], options.zone)
    const seen = await seeStores(context, stores, flags.has('fresh'))
    const [first] = seen
    const isOne = first && seen.length === 1 && targets[0] !== 'all' && options.zone === undefined
    return isOne ? oneHealth(first) : fleetHealth(context, seen, options.zone)
  },
})

function oneHealth(seen: Observation): View {
  const rows: Row[] = seen.checks.map((check) => ({
    tone: CHECK_TONES[check.state],
    cells: { check: check.name, state: check.state, measured: check.measured, limit: check.limit ?? UNKNOWN },
  }))
  return makeView({
    title: `Health of ${seen.record.name}`,
    text: sentence(seen),
    tone: stateTone(seen.state),
    fields: healthFields(seen, seen.asOfMs),
    columns: rows.length > 0 ? CHECK_COLUMNS : [],
    rows,
    actions: repairActions(seen),
    asOfMs: seen.asOfMs,
    json: { ...observationJson(seen), checks: seen.checks, asOf: formatTime(seen.asOfMs) },
  })
}

function fleetHealth(context: CommandContext, seen: readonly Observation[], zone: string | undefined): View {
  const asOfMs = oldest(seen, context.clock.nowMs())
  const worst = seen.filter(({ state }) => state !== 'running')
  const rows: Row[] = [...worst, ...seen.filter(({ state }) => state === 'running')].map((one) => ({
    tone: stateTone(one.state),
    cells: {
      name: one.record.name,
      zone: one.record.zone,
      state: stateText(one),
      since: one.sinceMs === null ? UNKNOWN : `${formatAt(one.sinceMs)} (${formatDuration(one.asOfMs - one.sinceMs)})`,
      finding: one.finding === '' ? UNKNOWN : one.finding,
      impact: one.impact === '' ? UNKNOWN : one.impact,
      next: one.action === '' ? UNKNOWN : one.action,
    },
  }))
  const where = zone === undefined ? 'all stores' : `zone ${zone}`
  return makeView({
    title: `Health of ${where}`,
    text: seen.length === 0 ? 'No store is registered.' : worst.length === 0 ? `${plural(seen.length, 'store')}: all Running.` : worst.map(sentence).join(' '),
    tone: worst.some(({ state }) => stateTone(state) === 'bad') ? 'bad' : worst.length > 0 ? 'warning' : 'good',
    columns: rows.length > 0 ? FLEET_COLUMNS : [],
    rows,
    actions: worst.flatMap(storeActions),
    asOfMs,
    json: { items: seen.map((one) => ({ ...observationJson(one), checks: one.checks })), asOf: formatTime(asOfMs) },
  })
}

function sentence(seen: Observation): string {
  const state = stateWord(seen.state)
  return seen.sinceMs === null ? `${seen.record.name} is ${state}.` : `${seen.record.name} has been ${state} since ${formatAt(seen.sinceMs)}.`
}
