// Creates an upload: the reasons to refuse it, and what is durable before the client learns its address.

import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import type { InternalUploadOrder } from '../contract/internal-uploads.ts'
import type { UploadBody } from './append-body.ts'
import type { Concat } from './concatenation.ts'
import type { UploadsContext } from './context.ts'
import { expectDigest, refusePartDigest } from './digest-fields.ts'
import { Journal } from './record/journal.ts'
import { lengthLimit, promiseSpace, refuseTooLong, spaceKey } from './limits/limits.ts'
import { describeUpload, parseMetadata } from './record/metadata.ts'
import type { UploadDescription } from './record/metadata.ts'
import { journalPath, UPLOAD_FILE_FORMAT, uploadFolder, writeUploadFile } from './record/upload-file.ts'
import type { UploadFile } from './record/upload-file.ts'
import { creatorTokenId } from './record/upload.ts'
import type { Upload } from './record/upload.ts'

/** What a client asks for when it creates an upload. */
export interface UploadOrder {
  readonly actor: Actor
  /** Length of the whole upload in bytes; null when it is deferred, and for a final upload. */
  readonly length: number | null
  /** `Upload-Metadata` as sent; undefined when there is none. */
  readonly metadata: string | undefined
  /** `Upload-Concat` as sent, and parsed. */
  readonly concatHeader: string | undefined
  readonly concat: Concat | undefined
  /** `Repr-Digest` of the whole upload, `sha256:` and hex. */
  readonly digest?: string | undefined
  /** Called once the upload is durable and before its body is read, for clients that can learn the address then. */
  readonly onCreated?: (id: string) => void
  /** Set for an internal upload, which brings the description of its image instead of `Upload-Metadata`. */
  readonly internal?: InternalUploadOrder
}

/** Checks an order before anything is written. Throws ProblemError. */
export function refuseCreation(context: UploadsContext, order: UploadOrder, body: UploadBody | undefined): void {
  const { actor, length } = order
  context.gate.requireEnabled()
  const limit = lengthLimit(context.maxLength, actor)
  if (length !== null && length > limit) throw refuseTooLong(length, limit)
  if (body?.length !== undefined && body.length > (length ?? limit)) throw refuseTooLong(body.length, length ?? limit)
  if (order.digest !== undefined && order.concat?.kind === 'partial') throw refusePartDigest()
  if (actor.link && order.concat) throw problem('forbidden', 'An upload link creates one ordinary upload, not a part or a concatenation.')
}

/** What a new upload is, besides its order. */
export interface NewUpload {
  readonly id: string
  /** Length of the whole upload in bytes; null while it is deferred. */
  readonly length: number | null
  /** Bytes that it may need on the disk, as far as that is known now. */
  readonly spaceBytes: number
}

/** Creates an upload; durable when it resolves. Throws `insufficient-storage` when it needs more than the space above the reserve. */
export async function createUpload(context: UploadsContext, order: UploadOrder, { id, length, spaceBytes }: NewUpload): Promise<Upload> {
  const { disk, clock, folder, table, space } = context
  const { actor } = order
  using _slot = context.quota.acquire(actor)
  const kind = order.concat?.kind ?? 'whole'
  const described = describe(order, id)
  const imageId = described ? (order.internal?.imageId ?? newId('img', clock.nowMs(), context.random(16))) : null
  const rights = described ? context.rules?.admitDraft(described.draft, actor, order.internal?.source.kind) : undefined
  using _claim = described && imageId !== null ? context.admit?.({ id: imageId, owner: described.draft.owner ?? null, length: length ?? 0 }) : undefined
  const file: UploadFile = {
    format: UPLOAD_FILE_FORMAT,
    id,
    creator: actor.name,
    creatorTokenId: creatorTokenId(actor),
    linkId: actor.link?.id ?? null,
    createdAtMs: clock.nowMs(),
    length,
    metadata: order.metadata ?? null,
    concat: order.concatHeader ?? null,
    kind,
    imageId,
    draft: described ? expectDigest(described.draft, order.digest) : null,
    mayBeInstallation: rights?.mayBeInstallation ?? true,
    filename: described?.filename ?? null,
    device: described?.device ?? null,
    internal: order.internal ? { taskId: order.internal.taskId, source: order.internal.source, validator: null } : null,
    publishedAtMs: null,
  }
  if (actor.link && imageId !== null && !(await context.links.claim(actor.link, { id, imageId }))) {
    throw problem('limit-reached', 'The link was already used; it creates one upload only.', { action: 'Continue that upload, or ask for a new link.' })
  }
  try {
    await promiseSpace(space, file, { bytes: spaceBytes, fitting: spaceBytes })
    await disk.makeFolder(uploadFolder(folder, id))
    await writeUploadFile(disk, folder, file)
    context.crashPoint('uploads:created')
    const upload = { file, journal: Journal.empty(context, journalPath(folder, id)) }
    table.add(upload)
    return upload
  } catch (error) {
    await undoCreation(context, actor, file)
    throw error
  }
}

/** Returns the description of the image of a new upload; undefined for a part. */
function describe({ metadata, concat, actor, internal }: UploadOrder, id: string): UploadDescription | undefined {
  if (internal) return { draft: internal.draft, filename: internal.source.filename, device: internal.source.device }
  // The metadata of a part is validated too.
  const values = parseMetadata(metadata ?? '')
  if (concat?.kind === 'partial') return undefined
  const described = describeUpload(values, id, actor.link && { ...actor.link.draft, name: actor.link.imageName })
  // The image belongs to the user of the token, also when a link of the token creates it.
  const { subject } = actor.link?.maker ?? actor
  return subject === undefined ? described : { ...described, draft: { owner: subject, ...described.draft } }
}

/** Removes an upload and releases its space and link, so that the client can retry. */
export async function undoCreation({ table, space, links, log }: UploadsContext, actor: Actor, file: Pick<UploadFile, 'id'>): Promise<void> {
  try {
    await table.remove(file)
    await space.promise(spaceKey(file.id), 0)
    if (actor.link) links.release(actor.link.id, file.id)
  } catch (error) {
    // The client needs to see the refusal instead; what is left here expires.
    log.warn('upload whose creation was refused could not be removed', { upload: file.id, error })
  }
}
