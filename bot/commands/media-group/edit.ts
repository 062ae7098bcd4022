// `media-group edit GROUP`: renames, describes, hides or shows a media group.

import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { askStore, oneStore } from '../select.ts'
import { groupView, parseVisible } from './group-rows.ts'

export const mediaGroupEdit = defineCommand({
  noun: 'media-group',
  verb: 'edit',
  summary: 'Renames, describes, hides or shows a media group',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'GROUP', about: 'name of the group', subject: 'text' }],
  options: {
    store: { about: 'store of the group', value: 'S', subject: 'store' },
    name: { about: 'new name', value: 'NAME' },
    visible: { about: 'whether every viewer sees its images', value: 'true|false' },
    description: { about: 'description', value: 'TEXT' },
  },
  examples: ['media-group edit customers visible=false', 'media-group edit customers name=clients store=edge-a'],
  async run(context, { targets, options }) {
    const { name, description } = options
    const visible = parseVisible(options.visible)
    if (name === undefined && description === undefined && visible === undefined)
      throw problem('invalid-input', 'Nothing would change.', { action: 'Give name=, visible= or description=.' })
    const store = oneStore(context, options.store)
    const group = await askStore(context, store, (agent) => agent.mediaGroups.patch(targets[0] ?? '', { name, visible, description }))
    return groupView(`Media group ${targets[0]} changed`, { store, group }, context.clock.nowMs())
  },
})
