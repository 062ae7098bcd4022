// `zone attach Z S…` and `zone detach Z S…`: change which stores belong to a zone. The stores themselves are not asked.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { quoteWord } from '../../views/quote.ts'
import { oneStore, oneZone } from '../select.ts'

const TARGETS = [
  { name: 'Z', about: 'name of a zone', subject: 'zone' },
  { name: 'S', about: 'name of a store', subject: 'store', many: true },
] as const

export const zoneAttach = defineCommand({
  noun: 'zone',
  verb: 'attach',
  summary: 'Attaches stores to a zone; a store belongs to one zone at most',
  role: 'admin',
  effect: 'write',
  targets: TARGETS,
  examples: ['zone attach zone-2 edge-c', 'zone attach zone-2 edge-c edge-d'],
  async run(context, { targets }) {
    const [name = '', ...words] = targets
    const zone = oneZone(context, name).name
    const stores = storesOf(context, words)
    const other = stores.find((store) => store.zone !== '' && store.zone !== zone)
    if (other)
      throw problem('conflict', `${other.name} belongs to zone "${other.zone}". Nothing was changed.`, {
        action: `Detach it first: zone detach ${quoteWord(other.zone)} ${other.name}.`,
      })
    moveTo(context, stores, zone)
    return movedView(context, zone, stores, { verb: 'attached', text: 'Operations for the zone may use them now.' })
  },
})

export const zoneDetach = defineCommand({
  noun: 'zone',
  verb: 'detach',
  summary: 'Detaches stores from a zone: operations for the zone no longer use them, and roles in the zone no longer apply to them',
  role: 'admin',
  effect: 'write',
  targets: TARGETS,
  examples: ['zone detach zone-2 edge-c'],
  async run(context, { targets }) {
    const [name = '', ...words] = targets
    const zone = oneZone(context, name).name
    const stores = storesOf(context, words)
    const other = stores.find((store) => store.zone !== zone)
    if (other)
      throw problem('conflict', `${other.name} ${other.zone === '' ? 'is attached to no zone' : `belongs to zone "${other.zone}"`}. Nothing was changed.`, {
        action: `Name stores of ${zone}: store list zone=${quoteWord(zone)} lists them.`,
      })
    moveTo(context, stores, '')
    return movedView(context, zone, stores, {
      verb: 'detached',
      text: 'They stay registered, and their images are not touched. Attach them to a zone with zone attach.',
    })
  },
})

function storesOf(context: CommandContext, names: readonly string[]): StoreRecord[] {
  return [...new Map(names.map((name) => oneStore(context, name)).map((store) => [store.name, store])).values()]
}

function moveTo({ fleet: { registry } }: CommandContext, stores: readonly StoreRecord[], zone: string): void {
  registry.together(() => {
    for (const { name } of stores) registry.change(name, { zone })
  })
}

function movedView(context: CommandContext, zone: string, stores: readonly StoreRecord[], said: { readonly verb: string; readonly text: string }): View {
  const asOfMs = context.clock.nowMs()
  const names = stores.map(({ name }) => name)
  const left = context.fleet.registry.list().flatMap((store) => (store.zone === zone ? [store.name] : []))
  return makeView({
    title: `Zone ${zone}: ${names.join(', ')} ${said.verb}`,
    text: said.text,
    tone: 'good',
    fields: [{ label: 'Stores', value: left.join(', ') || 'none' }],
    asOfMs,
    json: { zone, [said.verb]: names, stores: left, asOf: formatTime(asOfMs) },
  })
}
