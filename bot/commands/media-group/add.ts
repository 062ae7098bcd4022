// `media-group add`: a media group with settings. Images join it with `image edit I mediaGroup=NAME`.

import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { askStore, oneStore } from '../select.ts'
import { groupView, parseVisible } from './group-rows.ts'

export const mediaGroupAdd = defineCommand({
  noun: 'media-group',
  verb: 'add',
  summary: 'Adds a media group; a hidden one hides its images without grants from viewers',
  role: 'operator',
  effect: 'write',
  options: {
    name: { about: 'name of the group', value: 'GROUP' },
    store: { about: 'store of the group', value: 'S', subject: 'store' },
    visible: { about: 'whether every viewer sees its images; true by default', value: 'true|false' },
    description: { about: 'description', value: 'TEXT' },
  },
  examples: ['media-group add name=customers store=edge-a', 'media-group add name=internal visible=false store=edge-a'],
  async run(context, { options }) {
    const { name, description } = options
    if (name === undefined || name.trim() === '') throw problem('invalid-input', 'The group needs a name.', { action: 'Give it: media-group add name=GROUP.' })
    const visible = parseVisible(options.visible)
    const store = oneStore(context, options.store)
    const group = await askStore(context, store, (agent) => agent.mediaGroups.create({ name, visible, description }))
    return groupView(`Media group ${group.name} added`, { store, group }, context.clock.nowMs())
  },
})
