// Finds and locks the upload that a request names.

import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import type { UploadsContext } from './context.ts'
import { expiresAtMs, mayTouch, noSuchUpload, viewOf } from './record/upload.ts'
import type { Upload, UploadView } from './record/upload.ts'
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

/** Whether the task that fetches the bytes of an upload is queued or running. Then the upload does not expire, and no client can change it. */
export function isHeld({ isTaskActive }: Pick<UploadsContext, 'isTaskActive'>, { file }: Upload): boolean {
  return file.internal !== null && file.publishedAtMs === null && (isTaskActive?.(file.internal.taskId) ?? false)
}

/** Returns an upload as its client sees it. */
export function showUpload(context: UploadsContext, upload: Upload): UploadView {
  const view = viewOf(upload, context.expiryMs)
  return isHeld(context, upload) ? { ...view, expiresAtMs: null } : view
}

/**
 * Returns an upload that a task fills, if the actor may use it. Requests look here before they wait for the lock, because a waiting request ends
 * the body of the holder.
 */
export function findHeld(context: UploadsContext, id: string, actor: Actor): Upload | undefined {
  const upload = context.table.live.get(id)
  return upload && isHeld(context, upload) && mayTouch(actor, upload.file) ? upload : undefined
}

/** Throws `conflict` for an upload that a task fills. */
export function refuseHeld(context: UploadsContext, id: string, actor: Actor): void {
  const held = findHeld(context, id, actor)
  if (held) throw problem('conflict', `Upload ${id} is filled by the task ${held.file.internal?.taskId}.`, { action: 'Follow that task, or cancel it.' })
}

function allowed(context: UploadsContext, id: string, actor: Actor, upload: Upload | undefined): Upload {
  const { table, clock, expiryMs } = context
  if (!upload) throw table.wasExpired(id) ? expired(id) : noSuchUpload(id)
  if (!mayTouch(actor, upload.file)) throw noSuchUpload(id)
  const endMs = isHeld(context, upload) ? null : expiresAtMs(upload, expiryMs)
  if (endMs !== null && clock.nowMs() >= endMs) throw expired(id)
  return upload
}

function expired(id: string): ProblemError {
  return problem('upload-expired', `Upload ${id} expired.`)
}
