// `store disable S`: the store refuses new images; existing images stay usable.

import { observeAll } from '../../fleet/observe.ts'
import { defineCommand } from '../command.ts'
import { askStore, NAME_TARGET, oneStore } from '../select.ts'
import { showView } from './show/show.ts'

export const storeDisable = defineCommand({
  noun: 'store',
  verb: 'disable',
  summary: 'Refuses new images; existing images stay usable',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: { reason: { about: 'reason, shown with every refusal', value: 'TEXT' } },
  examples: ['store disable edge-a reason="disk is being replaced"'],
  async run(context, { targets, options }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    await askStore(context, store, (agent) => agent.store.disable(options.reason ?? ''))
    const [seen] = await observeAll(context.fleet, [store])
    if (!seen) throw new Error('a store was disabled and none observed')
    return { ...showView(seen, context.clock.nowMs()), title: `Store ${store.name} disabled` }
  },
})
