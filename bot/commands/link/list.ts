// `link list`: upload links of one store or of all, without their secrets.

import { formatTime } from '../../../protocol/time.ts'
import { uploadLinkStateSchema } from '../../../protocol/upload-link.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { refuseChoice } from '../refused-value.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { LINK_COLUMNS, linkRow, linksOf, shownLinks } from './link-rows.ts'

export const linkList = defineCommand({
  noun: 'link',
  verb: 'list',
  summary: 'Lists upload links with their state and who asked for them, without the links; uploaders see their own',
  role: 'uploader',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only stores of this zone', value: 'Z', subject: 'zone' },
    state: { about: uploadLinkStateSchema.options.join(', '), value: 'STATE' },
  },
  examples: ['link list', 'link list store=edge-a state=open'],
  async run(context, { options }) {
    const state = uploadLinkStateSchema.safeParse(options.state)
    if (options.state !== undefined && !state.success) throw refuseChoice('state', options.state, uploadLinkStateSchema.options)
    const contacts = await context.fleet.contactAll(someStores(context, options.store, options.zone), linksOf)
    const all = shownLinks(context, contacts)
    const found = all.filter(({ link }) => state.data === undefined || link.state === state.data).toSorted((a, b) => b.link.id.localeCompare(a.link.id))
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Upload links',
      text: found.length === 0 ? 'No upload links.' : plural(found.length, 'upload link'),
      columns: found.length === 0 ? [] : LINK_COLUMNS,
      rows: found.map(linkRow),
      notes: gapNotes(contacts, 'its upload links'),
      asOfMs,
      json: { items: found.map(({ store, link }) => ({ store: store.name, ...link })), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})
