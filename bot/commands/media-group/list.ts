// `media-group list`: media groups of one store or of all.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { MediaGroup } from '../../../protocol/images/media-group.ts'
import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { groupJson } from './group-rows.ts'
import type { FoundGroup } from './group-rows.ts'

/** Groups of one store that a list shows. */
const GROUPS_SHOWN_MAX = 1000

export const mediaGroupList = defineCommand({
  noun: 'media-group',
  verb: 'list',
  summary: 'Lists media groups, and whether their images are hidden',
  // The tokens of the bot see every group.
  role: 'operator',
  effect: 'read',
  options: { store: { about: 'only this store', value: 'S', subject: 'store' } },
  examples: ['media-group list', 'media-group list store=edge-a'],
  async run(context, { options }) {
    const contacts = await context.fleet.contactAll(someStores(context, options.store, undefined), readGroups)
    const found: FoundGroup[] = contacts.flatMap((contact) =>
      contact.kind === 'answered' ? contact.value.map((group) => ({ store: contact.store, group })) : [],
    )
    const cut = contacts.filter((contact) => contact.kind === 'answered' && contact.value.length >= GROUPS_SHOWN_MAX)
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Media groups',
      text: found.length === 0 ? 'No media groups.' : plural(found.length, 'media group'),
      columns:
        found.length === 0
          ? []
          : [
              { key: 'name', label: 'Group', isWhole: true },
              { key: 'store', label: 'Store', isWhole: true },
              { key: 'visible', label: 'Visible' },
              { key: 'images', label: 'Images', align: 'right' },
              { key: 'description', label: 'Description', isMinor: true },
            ],
      rows: found.map(({ store, group }) => ({
        cells: { name: group.name, store: store.name, visible: group.visible ? 'yes' : 'no', images: String(group.images), description: group.description },
      })),
      notes: [
        ...gapNotes(contacts, 'its media groups'),
        ...cut.map(({ store }) => `Only the first ${GROUPS_SHOWN_MAX} media groups of ${store.name} are shown.`),
      ],
      asOfMs,
      json: { items: found.map(groupJson), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})

async function readGroups(agent: AgentClient): Promise<MediaGroup[]> {
  const groups: MediaGroup[] = []
  for await (const group of agent.mediaGroups.all()) if (groups.push(group) >= GROUPS_SHOWN_MAX) break
  return groups
}
