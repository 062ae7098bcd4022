// `store delete S…`: out of the registry only. Nothing on the mount path is touched: added again, all images are back.

import { formatTime } from '../../../protocol/time.ts'
import { observeAll } from '../../fleet/observe.ts'
import type { Observation } from '../../fleet/observe.ts'
import { makeView } from '../../views/view.ts'
import type { ChecklistItem } from '../../views/view.ts'
import { isEnded, plural } from '../../views/words.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { oneStore } from '../select.ts'
import { quoteWord } from '../words.ts'

export const storeDelete = defineCommand({
  noun: 'store',
  verb: 'delete',
  summary: 'Removes stores from the registry; their images stay on their mount paths',
  role: 'admin',
  effect: 'destroy',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', many: true }],
  flags: { unreachable: 'also when it does not answer, so that running work cannot be seen' },
  examples: ['store delete edge-a --confirm edge-a'],
  async run(context, input) {
    const stores = [...new Map(input.targets.map((target) => oneStore(context, target)).map((store) => [store.name, store])).values()]
    const seen = await observeAll(context.fleet, stores)
    const checklist = (await Promise.all(seen.map((one) => check(context, one, input.flags.has('unreachable'))))).flat()
    const names = stores.map((store) => store.name)
    const refusal = gate(context, input, {
      title: `Delete ${names.join(', ')} from the registry`,
      names,
      question: `${names.join(', ')} would leave the registry; images stay on the mount path and come back when the store is added again.`,
      essence: stores.map((store) => store.storeId ?? store.url),
      checklist,
      command: ['store delete', ...names.map(quoteWord), ...[...input.flags].map((flag) => `--${flag}`)].join(' '),
    })
    if (refusal) return refusal
    for (const name of names) context.fleet.registry.remove(name)
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Removed ${names.join(', ')} from the registry`,
      text: 'Its images stay on the mount path. Add it again with store add to have them back.',
      tone: 'good',
      asOfMs,
      json: { removed: names, asOf: formatTime(asOfMs) },
    })
  },
})

async function check(context: CommandContext, seen: Observation, isUnreachableAllowed: boolean): Promise<ChecklistItem[]> {
  const { name } = seen.record
  if (!seen.store) {
    const detail = isUnreachableAllowed
      ? `${name} does not answer; running work there is not known`
      : `${name} does not answer (${seen.finding}). Bring it back, or add --unreachable.`
    return [{ label: `${name} answers`, passed: isUnreachableAllowed, detail }]
  }
  const contact = await context.fleet.contact(seen.record, (agent) => agent.tasks.list({ limit: 1000 }))
  const running = contact.kind === 'answered' ? contact.value.items.filter((task) => !isEnded(task.state)) : []
  const uploads = seen.store.uploads.active
  return [
    { label: `${name} answers`, passed: true, detail: 'yes' },
    {
      label: `No task runs in ${name}`,
      passed: running.length === 0,
      detail: running.length === 0 ? 'none' : `${running.map((task) => `${task.id} (${task.kind})`).join(', ')}: wait, or task cancel`,
    },
    { label: `Uploads to ${name}`, passed: true, detail: uploads === 0 ? 'none' : `${plural(uploads, 'upload')} active: they go on without the bot` },
  ]
}
