// What each request for an upload does: create, append, show, remove. Every one holds the lock of its upload while it works.

import { newId } from '../../protocol/ids.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import { problemOf } from '../contract/failures.ts'
import { appendBody } from './append-body.ts'
import type { Append, UploadBody } from './append-body.ts'
import { completeUpload } from './complete.ts'
import { measureParts, splice } from './concatenation.ts'
import type { Concat } from './concatenation.ts'
import type { UploadsContext } from './context.ts'
import { createUpload, refuseCreation, undoCreation } from './create.ts'
import type { UploadOrder } from './create.ts'
import { declareLength, lengthWith } from './declare-length.ts'
import { declareDigest } from './digest-fields.ts'
import { renewExpiry } from './expire.ts'
import { findHeld, findUpload, lockUpload, refuseHeld, showUpload } from './find-upload.ts'
import { settleLink } from './linked-upload.ts'
import { concatenationBytes, lengthLimit, refuseTooLong, spaceKey } from './limits/limits.ts'
import { isWhole, offsetHeader, offsetOf, viewOf } from './record/upload.ts'
import type { Upload, UploadView } from './record/upload.ts'

/** An append as its client sees it: `isShort` says that another request ended its body. */
export type AppendView = UploadView & { readonly isShort: boolean }

/** Where an append begins and what it brings. */
export interface AppendRequest {
  readonly actor: Actor
  readonly offset: number
  readonly body: UploadBody
}

/** Endings of a creation's body after which the upload stays, for a client that was told the address before, and for one that was not. */
const RESUMABLE: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['upload-cut', 'request-timeout', 'shutting-down'])
const ONLY_CUT: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['upload-cut'])

/** Creates an upload, durable when it resolves; with a body, its bytes are appended. */
export async function createRequest(context: UploadsContext, order: UploadOrder, body: UploadBody | undefined): Promise<UploadView> {
  context.stopping.throwIfAborted()
  refuseCreation(context, order, body)
  if (order.concat?.kind === 'final') return createFinal(context, order, order.concat)
  const id = newUploadId(context)
  using lock = await lockUpload(context, id)
  const upload = await createUpload(context, order, { id, length: order.length, spaceBytes: order.length ?? 0 })
  try {
    if (body) {
      order.onCreated?.(id)
      await writeBody(context, { upload, lock, actor: order.actor, body, limit: lengthLimit(context.maxLength, order.actor) })
    }
    await completeUpload(context, upload)
  } catch (error) {
    // A client whose creation is refused never learns the address, so the upload must not stay.
    const resumable = order.onCreated ? RESUMABLE : ONLY_CUT
    if (!(error instanceof ProblemError && resumable.has(error.code))) await undoCreation(context, order.actor, upload.file)
    throw error
  }
  return viewOf(upload, context.expiryMs)
}

/** Creates a final upload from its parts (tus 1.0.0, "Concatenation"). */
async function createFinal(context: UploadsContext, order: UploadOrder, concat: Extract<Concat, { kind: 'final' }>): Promise<UploadView> {
  const { clock, crashPoint, stopping, publisher, maxLength, entriesMax } = context
  using locks = new DisposableStack()
  const parts = new Map<string, Upload>()
  // Every request locks parts in the same order, so two requests with the same parts never wait for each other.
  for (const id of new Set(concat.parts.toSorted())) {
    locks.use(await lockUpload(context, id))
    parts.set(id, await findUpload(context, id, order.actor))
  }
  for (const part of parts.values()) await completeUpload(context, part)
  const list = concat.parts.map((id) => parts.get(id) as Upload)
  const { length, entryCount } = measureParts(list, entriesMax)
  if (length > maxLength) throw refuseTooLong(length, maxLength)
  const id = newUploadId(context)
  const final = await createUpload(context, order, { id, length, spaceBytes: concatenationBytes(entryCount) })
  locks.use(await lockUpload(context, id))
  try {
    await splice(list, final, { clock, crashPoint, signal: stopping })
    await completeUpload(context, final)
  } catch (error) {
    // A client whose creation is refused never learns the address, so the upload must not stay, unless it became an image.
    if (final.file.imageId === null || !publisher.find(final.file.imageId)) await undoCreation(context, order.actor, final.file)
    throw error
  }
  return viewOf(final, context.expiryMs)
}

/** Appends a body at an offset. Every refusal carries the present offset in its headers. */
export async function appendRequest(context: UploadsContext, id: string, { actor, offset, body }: AppendRequest): Promise<AppendView> {
  context.stopping.throwIfAborted()
  refuseHeld(context, id, actor)
  using lock = await lockUpload(context, id)
  context.stopping.throwIfAborted()
  const upload = await findUpload(context, id, actor)
  if (upload.file.kind === 'final') throw problem('upload-final', `Upload ${id} is a concatenation and accepts no bytes.`)
  const present = offsetOf(upload)
  if (offset !== present) {
    const detail = `The upload has ${present} bytes, but the request starts at ${offset}.`
    throw problem('offset-mismatch', detail, { expectedOffset: present, providedOffset: offset }, { headers: offsetHeader(upload) })
  }
  try {
    await declareDigest(context, upload, body.digest)
    const isShort = await writeBody(context, { upload, lock, actor, body, limit: lengthLimit(context.maxLength, actor) })
    if (offsetOf(upload) === present) await renewExpiry(context, upload, { isAlways: true })
    await completeUpload(context, upload)
    return { ...viewOf(upload, context.expiryMs), isShort }
  } catch (error) {
    throw withHeaders(error, offsetHeader(upload))
  }
}

/** Returns an upload as it is durably stored, and renews its expiry. */
export async function showRequest(context: UploadsContext, id: string, actor: Actor): Promise<UploadView> {
  const held = findHeld(context, id, actor)
  if (held) return showUpload(context, held)
  using _lock = await lockUpload(context, id)
  const upload = await findUpload(context, id, actor)
  try {
    await renewExpiry(context, upload, { isAlways: false })
    await completeUpload(context, upload)
  } catch (error) {
    // The offset is right nevertheless; recovery retries to complete the upload.
    context.log.warn('upload could not be renewed or completed', { upload: id, error })
  }
  return viewOf(upload, context.expiryMs)
}

/** Removes an upload and its bytes. */
export async function removeRequest(context: UploadsContext, id: string, actor: Actor): Promise<void> {
  refuseHeld(context, id, actor)
  using _lock = await lockUpload(context, id)
  await removeLocked(context, await findUpload(context, id, actor), actor)
}

/** Removes an upload unless it has become an image. Returns whether it did not. */
export async function cancelRequest(context: UploadsContext, id: string, actor: Actor): Promise<boolean> {
  using _lock = await lockUpload(context, id)
  const upload = await findUpload(context, id, actor)
  if (upload.file.publishedAtMs !== null) return false
  await removeLocked(context, upload, actor)
  return true
}

/** Removes an upload and its bytes. The caller holds the lock of the upload. */
async function removeLocked(context: UploadsContext, { file }: Upload, actor: Actor): Promise<void> {
  const { id } = file
  if (file.publishedAtMs === null) settleLink(context, file, 'cancelled')
  await context.table.remove({ id })
  await context.space.promise(spaceKey(id), 0)
  context.emit({ type: 'upload.deleted', severity: 'info', subject: id, message: `Upload ${id} was deleted.`, actor: actor.name })
}

/** Appends a body and sets the length that comes with it. The caller holds the lock. Returns whether another request ended the body. Throws when it was refused. */
export async function writeBody(context: UploadsContext, append: Append): Promise<boolean> {
  const { upload, body, limit } = append
  const wasComplete = body.isLast !== undefined && isWhole(upload)
  if (wasComplete && body.length !== undefined && body.length > 0) throw problem('upload-complete', `Upload ${upload.file.id} already has all its bytes.`)
  const length = lengthWith(body, offsetOf(upload))
  // A body that may be refused as a whole does not set the length either.
  const isProvisional = body.checksum !== undefined && body.declaredLength === undefined && upload.file.length === null
  if (!isProvisional) await declareLength(context, upload, length, limit)
  using _growth = claimGrowth(context, upload, body)
  const outcome = await appendBody(context, append)
  switch (outcome.kind) {
    case 'appended':
      if (body.isLast === true) await declareLength(context, upload, offsetOf(upload), limit)
      return false
    case 'superseded':
      return true
    case 'refused':
      throw outcome.refusal
    case 'failed':
      throw outcome.error
    default:
      return outcome satisfies never
  }
}

/** Counts the bytes of a body towards the limit of the owner while the length of the upload is deferred. Throws ProblemError `limit-reached`. */
function claimGrowth({ admit }: UploadsContext, upload: Upload, body: UploadBody): Disposable | undefined {
  const { length, imageId, draft } = upload.file
  if (length !== null || imageId === null) return undefined
  return admit?.({ id: imageId, owner: draft?.owner ?? null, length: offsetOf(upload) + (body.length ?? 0) })
}

function newUploadId({ clock, random }: UploadsContext): string {
  return newId('upl', clock.nowMs(), random(16))
}

/** Returns the refusal that an error stands for, with further headers. */
function withHeaders(error: unknown, headers: Readonly<Record<string, string>>): ProblemError {
  const refusal = problemOf(error)
  return new ProblemError(refusal.problem, { cause: refusal.cause, headers: { ...headers, ...refusal.headers } })
}
