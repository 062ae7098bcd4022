// Expiry: drops uploads nobody worked on for their period, and records of uploads whose image is gone.

import type { UploadsContext } from './context.ts'
import { spaceKey } from './limits.ts'
import type { Turns } from './turns.ts'
import { expiresAtMs } from './upload.ts'

/** One pass; gives how many uploads and records went. An upload that somebody works on stays. */
export async function sweepExpired(context: UploadsContext, turns: Turns, signal?: AbortSignal): Promise<number> {
  const { table, clock, expiryMs, publisher, space, log, emit } = context
  let removed = 0
  for (const [id, upload] of [...table.live]) {
    signal?.throwIfAborted()
    using turn = turns.tryTake(id)
    const endMs = expiresAtMs(upload, expiryMs)
    if (!turn || endMs === null || clock.nowMs() < endMs || !table.live.has(id)) continue
    try {
      await table.remove(upload.file)
    } catch (error) {
      log.warn('expired upload could not be removed; the next sweep tries again', { upload: id, error })
      continue
    }
    table.rememberExpired(id)
    await space.promise(spaceKey(id), 0)
    emit({ type: 'upload.expired', severity: 'info', subject: id, message: `Upload ${id} expired with ${upload.journal.offset} bytes.` })
    removed++
  }
  for (const file of [...table.published.values()]) {
    signal?.throwIfAborted()
    if (file.imageId === null || publisher.find(file.imageId)) continue
    if (clock.nowMs() < (file.publishedAtMs ?? 0) + expiryMs) continue
    using turn = turns.tryTake(file.id)
    if (!turn) continue
    await table.remove(file)
    removed++
  }
  return removed
}
