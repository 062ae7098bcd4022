// `store reconnect S`: the agent checks its mount path again, and the bot and its service connect to the agent again.

import { observeAll } from '../../fleet/observe.ts'
import { defineCommand } from '../command.ts'
import { askStore, NAME_TARGET, oneStore } from '../select.ts'
import { showView } from './show/show.ts'

export const storeReconnect = defineCommand({
  noun: 'store',
  verb: 'reconnect',
  summary: 'Connects to a store again, and checks its mount path, space and state',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  examples: ['store reconnect edge-a'],
  async run(context, { targets }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    context.fleet.registry.askReconnect(store.name)
    await askStore(context, store, (agent) => agent.store.reconnect())
    const [seen] = await observeAll(context.fleet, [store])
    if (!seen) throw new Error('a store was reconnected and none observed')
    return { ...showView(seen, context.clock.nowMs()), title: `Store ${store.name} reconnected` }
  },
})
