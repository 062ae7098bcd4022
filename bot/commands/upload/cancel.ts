// `upload cancel U`: cancels an upload. Its bytes are deleted, and no image is left.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { formatBytes } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneUpload, uploadJson } from './upload-rows.ts'

export const uploadCancel = defineCommand({
  noun: 'upload',
  verb: 'cancel',
  summary: 'Cancels an upload; its bytes are deleted, and no image is left',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'U', about: 'id of an upload or a unique part of it, or name or id of its image', subject: 'upload' }],
  options: { store: { about: 'the store that receives it', value: 'S', subject: 'store' } },
  examples: ['upload cancel debian-12'],
  async run(context, { targets, options }) {
    const found = await oneUpload(context, targets[0] ?? '', options.store)
    const { store, upload } = found
    await askStore(context, store, (agent) => agent.uploads.cancel(upload.id))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Upload ${upload.name ?? upload.id} cancelled`,
      text: `${formatBytes(upload.offset)} had arrived in ${store.name} and are deleted with the next cleanup. No image is left.`,
      tone: 'good',
      asOfMs,
      json: { ...uploadJson(found), asOf: formatTime(asOfMs) },
    })
  },
})
