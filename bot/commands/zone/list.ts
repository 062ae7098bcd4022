// `zone list`: the zones, with the state and the space of their stores.

import { formatTime } from '../../../protocol/time.ts'
import { seeStores } from '../../fleet/see.ts'
import type { Observation } from '../../fleet/judge.ts'
import { makeView } from '../../views/view.ts'
import type { Row } from '../../views/view.ts'
import { formatBytes, plural, stateTone, stateWord, UNKNOWN } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'
import { FRESH_FLAG, oldestAsOf } from '../select.ts'
import { stateNotes } from '../store/store-rows.ts'

const WORST_FIRST = ['error', 'stopped', 'degraded', 'running'] as const

export const zoneList = defineCommand({
  noun: 'zone',
  verb: 'list',
  summary: 'Lists zones with the state and the space of their stores',
  role: 'viewer',
  effect: 'read',
  flags: FRESH_FLAG,
  async run(context, { flags }) {
    const seen = await seeStores(context, context.fleet.registry.list(), flags.has('fresh'))
    const asOfMs = oldestAsOf(seen, context.clock.nowMs())
    const zones = [...Map.groupBy(seen, (one) => one.record.zone)].toSorted(([a], [b]) => a.localeCompare(b))
    return makeView({
      title: 'Zones',
      text: zones.length === 0 ? 'No store is registered yet.' : plural(zones.length, 'zone'),
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
            ],
      rows: zones.map(([zone, stores]) => zoneRow(zone, stores)),
      notes: stateNotes(seen),
      asOfMs,
      json: {
        items: zones.map(([zone, stores]) => ({
          name: zone,
          state: worstState(stores),
          stores: stores.map((one) => ({ name: one.record.name, state: one.state })),
          ...totals(stores),
        })),
        asOf: formatTime(asOfMs),
      },
    })
  },
})

function worstState(stores: readonly Observation[]): Observation['state'] {
  return WORST_FIRST.find((state) => stores.some((one) => one.state === state)) ?? 'running'
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

function zoneRow(zone: string, stores: readonly Observation[]): Row {
  const sum = totals(stores)
  return {
    tone: stateTone(worstState(stores)),
    cells: {
      zone,
      state: stateWord(worstState(stores)),
      stores: stores.map((one) => `${one.record.name} (${stateWord(one.state)})`).join(', '),
      images: sum ? String(sum.images) : UNKNOWN,
      used: sum ? formatBytes(sum.used) : UNKNOWN,
      free: sum ? formatBytes(sum.available) : UNKNOWN,
    },
  }
}
