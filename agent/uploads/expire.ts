// Expiry: removes uploads that no request used for a period, and records of uploads whose image is gone. Renews the expiry of the others.

import type { UploadsContext } from './context.ts'
import { isHeld } from './find-upload.ts'
import { settleLink } from './linked-upload.ts'
import { spaceKey } from './limits/limits.ts'
import { expiresAtMs, renewedEndMs } from './record/upload.ts'
import type { Upload } from './record/upload.ts'
import { commitTime } from './upload-commits.ts'

export interface ExpireOptions {
  /** Removes nothing, and returns what would be removed. */
  readonly dryRun?: boolean
  /** Removes only these uploads, as far as they have expired. */
  readonly ids?: ReadonlySet<string>
  readonly signal?: AbortSignal
}

/** Removes what has expired and returns the ids of the uploads and records. An upload whose lock is held stays. */
export async function expireUploads(context: UploadsContext, { dryRun = false, ids, signal }: ExpireOptions = {}): Promise<readonly string[]> {
  const { table, locks, clock, expiryMs, publisher, space, log, emit } = context
  const removed: string[] = []
  for (const [id, upload] of [...table.live]) {
    signal?.throwIfAborted()
    if (ids && !ids.has(id)) continue
    using lock = locks.tryAcquire(id)
    const endMs = expiresAtMs(upload, expiryMs)
    if (!lock || isHeld(context, upload) || endMs === null || clock.nowMs() < endMs || !table.live.has(id)) continue
    if (dryRun) {
      removed.push(id)
      continue
    }
    settleLink(context, upload.file, 'expired')
    try {
      await table.remove(upload.file)
    } catch (error) {
      log.warn('expired upload could not be removed; it is retried with the next run', { upload: id, error })
      continue
    }
    table.rememberExpired(id)
    await space.promise(spaceKey(id), 0)
    emit({ type: 'upload.expired', severity: 'info', subject: id, message: `Upload ${id} expired with ${upload.journal.offset} bytes.` })
    removed.push(id)
  }
  for (const file of [...table.published.values()]) {
    signal?.throwIfAborted()
    if (ids && !ids.has(file.id)) continue
    if (file.imageId === null || publisher.find(file.imageId)) continue
    if (clock.nowMs() < (file.publishedAtMs ?? 0) + expiryMs) continue
    using lock = locks.tryAcquire(file.id)
    if (!lock || !table.published.has(file.id)) continue
    if (!dryRun) await table.remove(file)
    removed.push(file.id)
  }
  return removed
}

/** A request for the state of an upload renews the expiry once this part of the period has passed, so that asking often does not write often. */
const EXPIRY_GRAIN = 24

/** Renews the expiry of an upload, durably. Unless `isAlways`, only when that moves it by a good part of its period. The caller holds the lock. */
export async function renewExpiry({ clock, expiryMs }: UploadsContext, upload: Upload, { isAlways }: { readonly isAlways: boolean }): Promise<void> {
  const endMs = expiresAtMs(upload, expiryMs)
  if (endMs === null) return
  const isDue = renewedEndMs(upload, expiryMs, clock.nowMs()) - endMs > expiryMs / EXPIRY_GRAIN
  if (isAlways || isDue) await commitTime({ clock }, upload)
}
