// Finds and locks the upload that a request names.

import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import type { UploadsContext } from './context.ts'
import { expiresAtMs, mayTouch, noSuchUpload } from './record/upload.ts'
import type { Upload } from './record/upload.ts'
import type { UploadLock } from './upload-locks.ts'

/** How long a request waits for the lock of an upload before it is refused, in milliseconds. */
const LOCK_WAIT_MS = 10_000

/** Locks an upload, after asking the request that holds the lock to end. Throws `upload-locked` when that takes too long. */
export async function lockUpload({ locks }: Pick<UploadsContext, 'locks'>, id: string): Promise<UploadLock> {
  const lock = await locks.acquire(id, LOCK_WAIT_MS)
  if (!lock) throw problem('upload-locked', `Another request is using upload ${id}.`, {}, { headers: { 'Retry-After': '2' } })
  return lock
}

/** Returns an upload whose lock the caller holds. Throws `not-found`, also when the actor may not use it, or `upload-expired`. */
export async function findUpload(context: UploadsContext, id: string, actor: Actor): Promise<Upload> {
  return allowed(context, id, actor, await context.table.find(id))
}

/** Returns an upload as it was last durable, without its lock. Throws what `findUpload` throws. */
export async function peekUpload(context: UploadsContext, id: string, actor: Actor): Promise<Upload> {
  return allowed(context, id, actor, await context.table.peek(id))
}

function allowed({ table, clock, expiryMs }: UploadsContext, id: string, actor: Actor, upload: Upload | undefined): Upload {
  if (!upload) throw table.wasExpired(id) ? expired(id) : noSuchUpload(id)
  if (!mayTouch(actor, upload.file)) throw noSuchUpload(id)
  const endMs = expiresAtMs(upload, expiryMs)
  if (endMs !== null && clock.nowMs() >= endMs) throw expired(id)
  return upload
}

function expired(id: string): ProblemError {
  return problem('upload-expired', `Upload ${id} expired.`)
}
