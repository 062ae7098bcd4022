// `export delete E`: deletes the exported file. The image stays, and can be exported again.

import { formatTime } from '../../../protocol/time.ts'
import { formatBytes } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { quoteWord } from '../../views/quote.ts'
import { askStore } from '../select.ts'
import { oneExport } from './find.ts'

export const exportDelete = defineCommand({
  noun: 'export',
  verb: 'delete',
  summary: 'Deletes an exported file; the image stays and can be exported again',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'E', about: 'id of an export, its file, or its image', subject: 'text' }],
  options: { store: { about: 'the store that has it', value: 'S', subject: 'store' } },
  examples: ['export delete debian-12.qcow2 --confirm debian-12.qcow2'],
  async run(context, input) {
    const { store, export: found } = await oneExport(context, input.targets[0] ?? '', input.options.store)
    const isReady = found.state === 'ready'
    const refusal = gate(context, input, {
      title: `Delete the export ${found.name} from ${store.name}`,
      names: [found.name],
      aliases: [found.id],
      question: `${found.path} would be deleted from ${store.name}. The image ${found.imageName} stays and can be exported again.`,
      essence: [found.id, found.state],
      checklist: [
        {
          label: 'Complete',
          passed: isReady,
          detail: isReady ? `yes, ${formatBytes(found.length ?? 0)}` : `it is ${found.state}; cancel it with task cancel ${found.task ?? ''}`,
        },
      ],
      command: `export delete ${quoteWord(found.id)} store=${quoteWord(store.name)}`,
    })
    if (refusal) return refusal
    await askStore(context, store, (agent) => agent.exports.delete(found.id))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Export ${found.name} deleted`,
      text: `${found.path} was deleted from ${store.name}. ${found.imageName} can be exported again.`,
      tone: 'good',
      asOfMs,
      json: { store: store.name, deleted: found.id, asOf: formatTime(asOfMs) },
    })
  },
})
