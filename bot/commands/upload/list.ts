// `upload list`: uploads in progress in one store or in all.

import { formatTime } from '../../../protocol/time.ts'
import { uploadStateSchema } from '../../../protocol/upload.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { refuseChoice } from '../refused-value.ts'
import { gapNotes, gapsJson, oldestAsOf } from '../select.ts'
import { foundUploads, readUploads, UPLOAD_COLUMNS, uploadJson, uploadRow, UPLOADS_READ_MAX } from './upload-rows.ts'

export const uploadList = defineCommand({
  noun: 'upload',
  verb: 'list',
  summary: 'Lists uploads in progress, newest first',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    state: { about: uploadStateSchema.options.join(' or '), value: 'STATE' },
  },
  examples: ['upload list', 'upload list store=edge-a state=pending'],
  async run(context, { options }) {
    const state = uploadStateSchema.safeParse(options.state)
    if (options.state !== undefined && !state.success) throw refuseChoice('state', options.state, uploadStateSchema.options)
    const contacts = await readUploads(context, options.store, state.data)
    const found = foundUploads(contacts).toSorted((a, b) => b.upload.createdAt.localeCompare(a.upload.createdAt))
    const full = contacts.filter((contact) => contact.kind === 'answered' && contact.value.length === UPLOADS_READ_MAX)
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Uploads',
      text: found.length === 0 ? 'No upload is in progress.' : plural(found.length, 'upload'),
      columns: found.length === 0 ? [] : UPLOAD_COLUMNS,
      rows: found.map(uploadRow),
      notes: [...gapNotes(contacts, 'its uploads'), ...full.map(({ store }) => `Only the first ${UPLOADS_READ_MAX} uploads of ${store.name} are shown.`)],
      asOfMs,
      json: { items: found.map(uploadJson), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})
