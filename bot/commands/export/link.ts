// `export link E`: a signed link for downloading an exported file without a token.

import { linkView } from '../image/link.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { answerOf } from '../select.ts'
import { oneExport } from './find.ts'

export const exportLink = defineCommand({
  noun: 'export',
  verb: 'link',
  summary: 'Returns a link with which anyone can download an exported file until it expires',
  role: 'uploader',
  effect: 'write',
  targets: [{ name: 'E', about: 'id of an export, its file, or its image', subject: 'text' }],
  options: { store: { about: 'the store that has it', value: 'S', subject: 'store' }, for: LINK_DURATION },
  examples: ['export link debian-12.qcow2 for=2h'],
  async run(context, { targets, options }) {
    const ttlSeconds = linkSeconds(options.for)
    const { store, export: found } = await oneExport(context, targets[0] ?? '', options.store)
    const contact = await context.fleet.contact(store, (agent) => agent.links.create({ kind: 'download', export: found.id, ttlSeconds }))
    return linkView({ store: store.name, what: found.name, subject: { export: found.id } }, answerOf(contact), contact.asOfMs)
  },
})
