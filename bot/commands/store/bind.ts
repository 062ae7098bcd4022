// `store bind S hypervisor=H` and `store unbind S hypervisor=H`: which hypervisors use a store. The stores themselves are not asked.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { NAME_TARGET, oneStore } from '../select.ts'
import { STORE_NAME } from './add.ts'

const TARGETS = [{ name: 'S', about: 'name of a store', subject: 'store' }] as const
const OPTIONS = { hypervisor: { about: 'names of hypervisors, separated by commas', value: 'H,H' } } as const

export const storeBind = defineCommand({
  noun: 'store',
  verb: 'bind',
  summary: 'Binds hypervisors to a store; a hypervisor is bound to one store at most',
  role: 'admin',
  effect: 'write',
  targets: TARGETS,
  options: OPTIONS,
  examples: ['store bind edge-a hypervisor=kvm-1', 'store bind edge-a hypervisor=kvm-1,kvm-2'],
  async run(context, { targets, options }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    const names = hypervisorNames('store bind', options.hypervisor)
    context.fleet.registry.together(() => {
      for (const name of names) context.hypervisors.bind(name, store.name, context.clock.nowMs())
    })
    return boundView(context, store, `Bound ${names.join(', ')} to ${store.name}`)
  },
})

export const storeUnbind = defineCommand({
  noun: 'store',
  verb: 'unbind',
  summary: 'Unbinds hypervisors from a store',
  role: 'admin',
  effect: 'write',
  targets: TARGETS,
  options: OPTIONS,
  examples: ['store unbind edge-a hypervisor=kvm-1'],
  async run(context, { targets, options }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    const names = hypervisorNames('store unbind', options.hypervisor)
    const bound = new Set(context.hypervisors.of(store.name).map((name) => name.toLowerCase()))
    const other = names.find((name) => !bound.has(name.toLowerCase()))
    if (other !== undefined)
      throw problem('not-found', `${other} is not bound to ${store.name}. Nothing was changed.`, { action: `store show ${store.name} names its hypervisors.` })
    context.fleet.registry.together(() => {
      for (const name of names) context.hypervisors.unbind(name, store.name)
    })
    return boundView(context, store, `Unbound ${names.join(', ')} from ${store.name}`)
  },
})

/** Returns the names in an option. Throws `invalid-input`. */
function hypervisorNames(command: string, text: string | undefined): string[] {
  const names = [...new Set((text ?? '').split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()])))]
  if (names.length === 0) throw problem('invalid-input', `${command} needs hypervisor=.`, { action: 'Name one or more hypervisors: hypervisor=kvm-1,kvm-2.' })
  const wrong = names.find((name) => !STORE_NAME.test(name))
  if (wrong !== undefined)
    throw problem('invalid-input', `"${wrong}" cannot be the name of a hypervisor.`, {
      action: 'Use letters, digits, dots, dashes and underscores, 63 at most.',
    })
  return names
}

function boundView(context: CommandContext, { name }: StoreRecord, title: string): View {
  const hypervisors = context.hypervisors.of(name)
  const asOfMs = context.clock.nowMs()
  return makeView({
    title,
    tone: 'good',
    fields: [{ label: 'Hypervisors', value: hypervisors.join(', ') || 'none' }],
    actions: [{ label: `Show ${name}`, command: `store show ${name}`, role: 'viewer' }],
    asOfMs,
    json: { store: name, hypervisors, asOf: formatTime(asOfMs) },
  })
}
