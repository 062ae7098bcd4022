// `zone list`: the zones, with the state and the space of their stores.

import { formatTime } from '../../../protocol/time.ts'
import { seeStores } from '../../fleet/see.ts'
import type { Observation } from '../../fleet/judge.ts'
import { zoneFindings } from '../../fleet/zones/findings.ts'
import type { ZoneFinding } from '../../fleet/zones/findings.ts'
import type { Zone } from '../../fleet/zones/zones.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Row, Tone } from '../../../protocol/views/view.ts'
import { formatBytes, plural, stateTone, stateWord, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { FRESH_FLAG, oldestAsOf } from '../select.ts'
import { stateNotes, worstFirst } from '../store/show/store-rows.ts'

export const zoneList = defineCommand({
  noun: 'zone',
  verb: 'list',
  summary: 'Lists zones with the state and the space of their stores',
  role: 'viewer',
  effect: 'read',
  flags: FRESH_FLAG,
  examples: ['zone list'],
  async run(context, { flags }) {
    const seen = await seeStores(context, context.fleet.registry.list(), flags.has('fresh'))
    const asOfMs = oldestAsOf(seen, context.clock.nowMs())
    const byZone = Map.groupBy(seen, (one) => one.record.zone)
    const zones = context.zones.list().map((zone) => judgedZone(zone, byZone.get(zone.name) ?? []))
    const loose = byZone.get('') ?? []
    return makeView({
      title: 'Zones',
      text: zones.length === 0 && seen.length === 0 ? 'No store is registered yet.' : plural(zones.length, 'zone'),
      columns:
        zones.length === 0
          ? []
          : [
              { key: 'zone', label: 'Zone', isWhole: true },
              { key: 'state', label: 'State' },
              { key: 'stores', label: 'Stores' },
              { key: 'images', label: 'Images', align: 'right' },
              { key: 'used', label: 'Used', align: 'right' },
              { key: 'free', label: 'Free', align: 'right' },
              ...(zones.some(({ row }) => row.cells['description'] !== UNKNOWN) ? [{ key: 'description', label: 'Description', isMinor: true as const }] : []),
            ],
      rows: zones.map(({ row }) => row),
      notes: [
        ...(loose.length > 0 ? [`${plural(loose.length, 'store')} without a zone: ${loose.map(({ record }) => record.name).join(', ')}.`] : []),
        ...stateNotes(seen),
      ],
      asOfMs,
      json: { items: zones.map(({ json }) => json), unattached: loose.map(({ record }) => record.name), asOf: formatTime(asOfMs) },
    })
  },
})

/** A zone with what its stores say of it. */
interface JudgedZone {
  /** That of its worst store; undefined without stores. */
  readonly state: Observation['state'] | undefined
  readonly tone: Tone
  readonly finding: ZoneFinding | undefined
  readonly row: Row
  readonly json: Readonly<Record<string, unknown>>
}

/** Judges a zone by its stores. Pure. */
export function judgedZone({ name, description }: Zone, stores: readonly Observation[]): JudgedZone {
  const state = worstFirst(stores)[0]?.state
  const [finding] = zoneFindings([name], stores)
  const sum = totals(stores)
  const tone = state === undefined ? 'plain' : stateTone(state)
  return {
    state,
    tone,
    finding,
    row: {
      tone,
      cells: {
        zone: name,
        state: state === undefined ? 'no stores' : stateWord(state),
        stores: stores.map((one) => `${one.record.name} (${stateWord(one.state)})`).join(', ') || UNKNOWN,
        images: sum ? String(sum.images) : UNKNOWN,
        used: sum ? formatBytes(sum.used) : UNKNOWN,
        free: sum ? formatBytes(sum.available) : UNKNOWN,
        description: description || UNKNOWN,
      },
    },
    json: {
      name,
      description,
      state: state ?? null,
      finding: finding?.finding ?? null,
      stores: stores.map((one) => ({ name: one.record.name, state: one.state })),
      ...sum,
    },
  }
}

function totals(stores: readonly Observation[]): { images: number; used: number; available: number } | undefined {
  const known = stores.flatMap(({ store }) => (store ? [store] : []))
  // A sum without the stores that did not answer would be too small.
  if (known.length < stores.length) return undefined
  return {
    images: known.reduce((sum, store) => sum + store.images.available, 0),
    used: known.reduce((sum, store) => sum + store.capacity.used, 0),
    available: known.reduce((sum, store) => sum + store.capacity.available, 0),
  }
}
