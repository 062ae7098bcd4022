// `link revoke L`: ends an upload link at once and cancels its upload.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { linkFields, oneLink } from './link-rows.ts'

export const linkRevoke = defineCommand({
  noun: 'link',
  verb: 'revoke',
  summary: 'Ends an upload link at once and cancels its upload; uploaders only links that they asked for',
  role: 'uploader',
  effect: 'write',
  targets: [{ name: 'L', about: 'id of an upload link, a unique part of it, or name of its image', subject: 'text' }],
  options: { store: { about: 'the store of the link', value: 'S', subject: 'store' } },
  examples: ['link revoke debian-12 store=edge-a'],
  async run(context, { targets, options }) {
    const found = await oneLink(context, targets[0] ?? '', options.store)
    const { store, link } = found
    await askStore(context, store, (agent) => agent.links.revoke(link.id))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Upload link for ${link.name ?? 'an image'} to ${store.name} revoked`,
      text:
        link.state === 'used'
          ? 'Its upload is cancelled: what had arrived is deleted, and no image is left.'
          : 'Nothing was uploaded with it. Whoever opens it reads that it was revoked.',
      tone: 'good',
      fields: linkFields(found),
      asOfMs,
      json: { store: store.name, ...link, state: 'revoked', asOf: formatTime(asOfMs) },
    })
  },
})
