// `media-group delete GROUP`: deletes a media group without images.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { MediaGroup } from '../../../protocol/images/media-group.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { quoteWord } from '../../views/quote.ts'
import { askStore, oneStore } from '../select.ts'

export const mediaGroupDelete = defineCommand({
  noun: 'media-group',
  verb: 'delete',
  summary: 'Deletes a media group that has no images',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'GROUP', about: 'name of the group', subject: 'text' }],
  options: { store: { about: 'store of the group', value: 'S', subject: 'store' } },
  examples: ['media-group delete customers --confirm customers'],
  async run(context, input) {
    const name = input.targets[0] ?? ''
    const store = oneStore(context, input.options.store)
    const group = await askStore(context, store, (agent) => findGroup(agent, name))
    if (!group) throw problem('not-found', `${store.name} has no media group ${name}.`, { action: `See its groups with media-group list store=${store.name}.` })
    const refusal = gate(context, input, {
      title: `Delete the media group ${name} of ${store.name}`,
      names: [name],
      question: `The media group ${name} would be deleted from ${store.name}. An image that names it later is visible to every viewer.`,
      essence: [name, String(group.visible)],
      checklist: [
        {
          label: 'Empty',
          passed: group.images === 0,
          detail: group.images === 0 ? 'yes' : `${plural(group.images, 'image')} in it; move each with image edit I mediaGroup=OTHER`,
        },
      ],
      command: `media-group delete ${quoteWord(name)} store=${quoteWord(store.name)}`,
    })
    if (refusal) return refusal
    await askStore(context, store, (agent) => agent.mediaGroups.delete(name))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Media group ${name} deleted`,
      text: `The media group ${name} was deleted from ${store.name}.`,
      tone: 'good',
      asOfMs,
      json: { store: store.name, deleted: name, asOf: formatTime(asOfMs) },
    })
  },
})

async function findGroup(agent: AgentClient, name: string): Promise<MediaGroup | undefined> {
  for await (const group of agent.mediaGroups.all()) if (group.name === name) return group
  return undefined
}
