// `zone delete Z`: removes a zone with the registrations of its stores, after the same checklist as `store delete`. Nothing on the mount paths is touched.

import { formatTime } from '../../../protocol/time.ts'
import { scopeWords } from '../../policies/policy.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import type { ChecklistItem } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { quoteWord } from '../../views/quote.ts'
import { oneZone } from '../select.ts'
import { DELETE_FLAGS, DELETE_OPTIONS, removeStores } from '../store/delete/delete.ts'
import { list } from '../store/delete/delete-checks.ts'

export const zoneDelete = defineCommand({
  noun: 'zone',
  verb: 'delete',
  summary: 'Removes a zone and its stores from the registry, after the checklist of store delete; the images stay on their mount paths',
  role: 'admin',
  effect: 'destroy',
  targets: [{ name: 'Z', about: 'name of a zone', subject: 'zone' }],
  options: DELETE_OPTIONS,
  flags: DELETE_FLAGS,
  examples: ['zone delete zone-2 --confirm zone-2', 'zone delete zone-2 copy-to=hub repoint-to=hub'],
  run(context, input) {
    const zone = oneZone(context, input.targets[0] ?? '').name
    const { registry } = context.fleet
    const stores = registry.list().filter((store) => store.zone === zone)
    const names = stores.map(({ name }) => name)
    const what = names.length === 0 ? `The zone ${zone}` : `The zone ${zone} and the registrations of ${plural(names.length, 'store')} (${list(names)})`
    return removeStores(context, input, {
      stores,
      names: [zone],
      command: ['zone delete', quoteWord(zone)],
      title: `Delete the zone ${zone}`,
      question: `${what} would be removed. The images stay on the mount paths and are back when the stores are added again.`,
      checklist: () => [storeCheck(names), policyCheck(context, zone), roleCheck(context, zone)],
      remove: () =>
        registry.together(() => {
          for (const name of names) registry.remove(name)
          context.zones.remove(zone)
        }),
      removed: {
        title: `Removed the zone ${zone}`,
        text: names.length === 0 ? 'It had no stores.' : `${list(names)}: the images stay on the mount paths. store add brings them back.`,
        json: { zone, removed: names, asOf: formatTime(context.clock.nowMs()) },
      },
    })
  },
})

/** The stores are part of the plan: another store that is attached meanwhile changes it. */
function storeCheck(names: readonly string[]): ChecklistItem {
  return {
    label: names.length === 0 ? 'Stores' : `Stores ${names.join(', ')}`,
    passed: true,
    detail: names.length === 0 ? 'none' : 'are removed from the registry',
  }
}

/** A policy for a zone that is gone would find no store at each run. */
function policyCheck({ policies }: CommandContext, zone: string): ChecklistItem {
  const named = policies.list().filter(({ scope }) => scope.kind === 'zone' && scope.zone.toLowerCase() === zone.toLowerCase())
  const label = `Policies for ${zone}`
  if (named.length === 0) return { label, passed: true, detail: 'none' }
  return { label, passed: false, detail: `${list(named.map(({ name, scope }) => `${name} (${scopeWords(scope)})`))}; run policy edit or policy delete first` }
}

function roleCheck({ roles }: CommandContext, zone: string): ChecklistItem {
  const given = roles.list().filter((grant) => grant.zone === zone)
  const label = `Roles in ${zone}`
  if (given.length === 0) return { label, passed: true, detail: 'none' }
  const named = list(given.map(({ subject, role }) => `${subject} ${role}`))
  return { label, passed: false, detail: `${named}; run role revoke first, so that they do not apply to a later zone of this name` }
}
