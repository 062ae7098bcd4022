// How many uploads a store ingests at the same time, as commands write and show it.

import { problem } from '../../../../protocol/problems.ts'
import { CONCURRENCY_MAX } from '../../../../protocol/store.ts'
import type { Store } from '../../../../protocol/store.ts'
import { plural } from '../../../../protocol/views/phrases.ts'

/** Word that applies the value of the configuration again. */
const RESET = 'configured'

/** Returns the number of upload-concurrency=; null for the value of the configuration. Throws `invalid-input`. */
export function parseConcurrency(text: string): number | null {
  if (text === RESET) return null
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= CONCURRENCY_MAX) return count
  throw problem('invalid-input', `upload-concurrency=${text} is not a number from 1 to ${CONCURRENCY_MAX}.`, { action: `Write it as 4, or as ${RESET}.` })
}

/** `2 active; at most 4 at once (the configuration says 1), and at most 1 download`. */
export function transfersText({ uploads, transfer }: Pick<Store, 'uploads' | 'transfer'>): string {
  const { uploadConcurrency, downloadConcurrency, configured } = transfer
  const said = configured && configured.uploadConcurrency !== uploadConcurrency ? ` (the configuration says ${configured.uploadConcurrency})` : ''
  return `${uploads.active} active; at most ${uploadConcurrency} at once${said}, and at most ${plural(downloadConcurrency, 'download')}`
}
