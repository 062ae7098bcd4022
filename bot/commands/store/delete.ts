// `store delete S…`: removes stores from the registry. The mount path is not touched: a store that is added again has all of its
// images.

import { formatTime } from '../../../protocol/time.ts'
import { observeAll } from '../../fleet/observe.ts'
import { makeView } from '../../views/view.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { oneStore } from '../select.ts'
import { quoteWord } from '../line.ts'
import { checkStore } from './delete-checks.ts'

export const storeDelete = defineCommand({
  noun: 'store',
  verb: 'delete',
  summary: 'Removes stores from the registry; their images stay on their mount paths',
  role: 'admin',
  effect: 'destroy',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', many: true }],
  flags: { unreachable: 'deletes a store that does not answer, although its tasks cannot be checked' },
  examples: ['store delete edge-a --confirm edge-a'],
  async run(context, input) {
    const stores = [...new Map(input.targets.map((target) => oneStore(context, target)).map((store) => [store.name, store])).values()]
    const seen = await observeAll(context.fleet, stores)
    const checks = await Promise.all(seen.map((one) => checkStore(context, one, input.flags.has('unreachable'))))
    const names = stores.map((store) => store.name)
    const refusal = gate(context, input, {
      title: `Delete ${names.join(', ')} from the registry`,
      names,
      question: `${names.join(', ')} would be removed from the registry. The images stay on the mount path and are back when the store is added again.`,
      essence: [...stores.map((store) => store.storeId ?? store.url), ...checks.flatMap(({ bound }) => bound)],
      checklist: checks.flatMap(({ items }) => items),
      command: ['store delete', ...names.map(quoteWord), ...[...input.flags].map((flag) => `--${flag}`)].join(' '),
    })
    if (refusal) return refusal
    for (const name of names) context.fleet.registry.remove(name)
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Removed ${names.join(', ')} from the registry`,
      text: 'The images stay on the mount path. store add brings them back.',
      tone: 'good',
      asOfMs,
      json: { removed: names, asOf: formatTime(asOfMs) },
    })
  },
})
