// `upload show U`: shows one upload in progress, and what it waits for.

import { defineCommand } from '../command.ts'
import { oneUpload, uploadView } from './upload-rows.ts'

export const uploadShow = defineCommand({
  noun: 'upload',
  verb: 'show',
  summary: 'Shows an upload in progress: how far it is, and what it waits for',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'U', about: 'id of an upload or a unique part of it, or name or id of its image', subject: 'upload' }],
  options: { store: { about: 'the store that receives it', value: 'S', subject: 'store' } },
  examples: ['upload show debian-12'],
  async run(context, { targets, options }) {
    const found = await oneUpload(context, targets[0] ?? '', options.store)
    return uploadView(`Upload ${found.upload.name ?? found.upload.id}`, found, context.clock.nowMs())
  },
})
