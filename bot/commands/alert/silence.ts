// `alert silence TARGET for=`: alerts of a store, a zone, or one check of a store are not sent until a time.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatDuration, parseDuration } from '../../../protocol/units.ts'
import type { Incident } from '../../alerts/incidents.ts'
import { REASON_MAX, SILENCE_MS_MAX, SILENCES_MAX } from '../../alerts/silences.ts'
import type { Silence, SilenceTarget } from '../../alerts/silences.ts'
import { parseIncident } from '../../alerts/words.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { oneStore, someStores } from '../select.ts'
import { requireZone } from './ack.ts'
import { parseCondition } from './alert-options.ts'

const FOR_DEFAULT = '2h'

export const alertSilence = defineCommand({
  noun: 'alert',
  verb: 'silence',
  summary: 'Stops alerts of a store, a zone, or one check of a store until a time',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'TARGET', about: 'name of a store or a zone, or the number of an alert for its store and check', subject: 'store', optional: true }],
  options: {
    zone: { about: 'a zone with all its stores, instead of TARGET', value: 'Z', subject: 'zone' },
    check: { about: 'only this check of the store, such as free-space or store-stopped', value: 'CHECK' },
    for: { about: `how long, ${FOR_DEFAULT} by default, 30d at most`, value: FOR_DEFAULT },
    reason: { about: 'why; shown to everyone', value: 'TEXT' },
  },
  examples: [
    'alert silence edge-a for=2h reason="new disks"',
    'alert silence edge-a check=free-space for=1d',
    'alert silence zone=zone-1 for=4h',
    'alert silence A12',
  ],
  run(context, { targets: [name], options }) {
    const { alerts, clock, actor } = context
    const nowMs = clock.nowMs()
    const target = parseTarget(context, name, options)
    const untilMs = nowMs + parseLength(options.for ?? FOR_DEFAULT)
    const reason = options.reason ?? ''
    if (reason.length > REASON_MAX) throw problem('invalid-input', `reason= is longer than ${REASON_MAX} characters.`, { action: 'Write a shorter one.' })
    const silence = alerts.silences.put({ ...target, untilMs, reason, createdBy: actor.name }, nowMs)
    if (!silence) throw problem('limit-reached', `There are ${SILENCES_MAX} silences.`, { action: 'Silence a whole zone, or end some with alert unsilence.' })
    return Promise.resolve(
      makeView({
        title: `${silenceTarget(silence)} silenced`,
        text: `No alerts until ${formatAt(untilMs)} (${formatDuration(untilMs - nowMs)}). Findings are still recorded, and alert list shows them.`,
        tone: 'good',
        fields: reason === '' ? [] : [{ label: 'Reason', value: reason }],
        actions: [{ label: 'End the silence', command: `alert unsilence ${silence.id}`, role: 'operator' }],
        asOfMs: nowMs,
        json: { ...silenceJson(silence), asOf: formatTime(nowMs) },
      }),
    )
  },
})

/** `edge-a`, `edge-a free-space`, `zone zone-1`. */
export function silenceTarget({ store, zone, condition }: SilenceTarget): string {
  return [store === '' ? `zone ${zone}` : store, condition].filter((word) => word !== '').join(' ')
}

/** A silence for `--json`. */
export function silenceJson({ id, store, zone, condition, untilMs, reason, createdBy, createdMs }: Silence): Record<string, unknown> {
  return {
    ...{ id, store: store === '' ? null : store, zone: zone === '' ? null : zone, check: condition === '' ? null : condition },
    ...{ until: formatTime(untilMs), reason, by: createdBy, created: formatTime(createdMs) },
  }
}

interface Given {
  readonly zone?: string | undefined
  readonly check?: string | undefined
}

function parseTarget(context: CommandContext, name: string | undefined, { zone, check }: Given): SilenceTarget {
  if (name !== undefined && zone !== undefined)
    throw problem('invalid-input', 'alert silence takes either a store or zone=.', { action: 'Leave out one of them.' })
  const stores = context.fleet.registry.list()
  const isZone = name !== undefined && !stores.some((store) => store.name.toLowerCase() === name.toLowerCase()) && stores.some((store) => store.zone === name)
  const incident = name === undefined || isZone || check !== undefined ? undefined : namedIncident(context, name, stores)
  if (incident && incident.store !== '') return { store: oneStore(context, incident.store).name, zone: '', condition: incident.condition }
  const meant = zone ?? (isZone ? name : incident?.zone)
  if (meant === undefined) {
    const store = oneStore(context, name, 'Name the store, or a zone with zone=.')
    return { store: store.name, zone: '', condition: check === undefined ? '' : parseCondition(check) }
  }
  if (check !== undefined) throw problem('invalid-input', 'check= is for one store.', { action: 'Name the store, or leave out check=.' })
  requireZone(context, meant)
  someStores(context, undefined, meant)
  return { store: '', zone: meant, condition: '' }
}

/** The incident with this number, unless a store has that name. */
function namedIncident({ alerts }: CommandContext, text: string, stores: readonly StoreRecord[]): Incident | undefined {
  const id = parseIncident(text)
  if (id === undefined || stores.some(({ name }) => name.toLowerCase() === text.toLowerCase())) return undefined
  return alerts.incidents.find(id)
}

function parseLength(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined || ms < 60_000 || ms > SILENCE_MS_MAX)
    throw problem('invalid-input', `for=${text} is not a duration from 1m to 30d.`, { action: 'Write it as 30m, 2h or 1d.' })
  return ms
}
