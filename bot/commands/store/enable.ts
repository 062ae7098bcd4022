// `store enable S`: the store accepts new images again.

import { observeAll } from '../../fleet/observe.ts'
import { defineCommand } from '../command.ts'
import { askStore, NAME_TARGET, oneStore } from '../select.ts'
import { showView } from './show/show.ts'

export const storeEnable = defineCommand({
  noun: 'store',
  verb: 'enable',
  summary: 'Lets a disabled store accept new images again',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  examples: ['store enable edge-a'],
  async run(context, { targets }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    await askStore(context, store, (agent) => agent.store.enable())
    const [seen] = await observeAll(context.fleet, [store])
    if (!seen) throw new Error('a store was enabled and none observed')
    return { ...showView(seen, context.clock.nowMs()), title: `Store ${store.name} enabled` }
  },
})
