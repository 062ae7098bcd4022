// `store cleanup S`: purges images whose retention has ended, deletes expired uploads, then runs gc. A dry run only counts.

import { defineCommand } from '../command.ts'
import { answerOf, NAME_TARGET, oneStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'

export const storeCleanup = defineCommand({
  noun: 'store',
  verb: 'cleanup',
  summary: 'Deletes expired images and uploads, and frees the space of everything deleted for good',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  flags: { 'dry-run': 'only counts what would be deleted and freed' },
  examples: ['store cleanup edge-a --dry-run'],
  async run(context, { targets, flags }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    const isDry = flags.has('dry-run')
    const contact = await context.fleet.contact(store, (agent) => agent.store.cleanup(isDry))
    const task = answerOf(contact)
    return tasksView(`Cleanup of ${store.name}${isDry ? ' (dry run: nothing is deleted)' : ''}`, [{ store: store.name, task }], contact.asOfMs)
  },
})
