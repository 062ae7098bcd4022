// Expiry: removes uploads that nobody worked on for their period, and records of uploads whose image is gone.

import type { UploadsContext } from './context.ts'
import { spaceKey } from './limits/limits.ts'
import type { UploadLocks } from './upload-locks.ts'
import { expiresAtMs } from './record/upload.ts'

export interface ExpireOptions {
  /** Removes nothing and gives what would be removed. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
}

/** One pass; gives the ids of the uploads and records that it removed. An upload that somebody works on stays. */
export async function expireUploads(context: UploadsContext, locks: UploadLocks, { dryRun = false, signal }: ExpireOptions = {}): Promise<readonly string[]> {
  const { table, clock, expiryMs, publisher, space, log, emit } = context
  const removed: string[] = []
  for (const [id, upload] of [...table.live]) {
    signal?.throwIfAborted()
    using lock = locks.tryAcquire(id)
    const endMs = expiresAtMs(upload, expiryMs)
    if (!lock || endMs === null || clock.nowMs() < endMs || !table.live.has(id)) continue
    if (dryRun) {
      removed.push(id)
      continue
    }
    try {
      await table.remove(upload.file)
    } catch (error) {
      log.warn('expired upload could not be removed; the next sweep tries again', { upload: id, error })
      continue
    }
    table.rememberExpired(id)
    await space.promise(spaceKey(id), 0)
    emit({ type: 'upload.expired', severity: 'info', subject: id, message: `Upload ${id} expired with ${upload.journal.offset} bytes.` })
    removed.push(id)
  }
  for (const file of [...table.published.values()]) {
    signal?.throwIfAborted()
    if (file.imageId === null || publisher.find(file.imageId)) continue
    if (clock.nowMs() < (file.publishedAtMs ?? 0) + expiryMs) continue
    using lock = locks.tryAcquire(file.id)
    if (!lock || !table.published.has(file.id)) continue
    if (!dryRun) await table.remove(file)
    removed.push(file.id)
  }
  return removed
}
