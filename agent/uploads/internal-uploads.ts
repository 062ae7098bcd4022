// Internal uploads: how an import puts its bytes into an upload. They take the same path as the bytes of a request, from the body reader on.

import { problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { InternalAppend, InternalUpload, InternalUploadOrder, InternalUploads, SourceIdentity } from '../contract/internal-uploads.ts'
import type { UploadBody } from './append-body.ts'
import { completeUpload } from './complete.ts'
import type { UploadsContext } from './context.ts'
import { createUpload, refuseCreation } from './create.ts'
import { declareLength } from './declare-length.ts'
import { lockUpload } from './find-upload.ts'
import { spaceKey } from './limits/limits.ts'
import { noSuchUpload, offsetOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'
import { writeUploadFile } from './record/upload-file.ts'
import { writeBody } from './requests.ts'

/** Endings of a stream after which the caller continues at the durable offset with another one. */
const CONTINUABLE: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['upload-cut', 'request-timeout'])

/** Creates the internal uploads of a store. */
export function createInternalUploads(context: UploadsContext): InternalUploads {
  return {
    async find(id) {
      const upload = await context.table.peek(id)
      return upload?.file.internal ? show(upload) : undefined
    },
    create: (order) => create(context, order),
    declare: (id, source) => locked(context, id, (upload) => declare(context, upload, source)),
    append: (id, offset, stream) => append(context, id, offset, stream),
    finish: (id) => locked(context, id, (upload) => finish(context, upload)),
    async cancel(id) {
      using _lock = await lockUpload(context, id)
      const upload = await context.table.find(id)
      if (!upload || upload.file.publishedAtMs !== null) return
      await context.table.remove(upload.file)
      await context.space.promise(spaceKey(id), 0)
    },
  }
}

async function create(context: UploadsContext, order: InternalUploadOrder): Promise<InternalUpload> {
  context.stopping.throwIfAborted()
  using _lock = await lockUpload(context, order.id)
  const present = await context.table.find(order.id)
  if (present?.file.internal) return show(present)
  const creation = { actor: order.actor, length: null, metadata: undefined, concatHeader: undefined, concat: undefined, internal: order }
  refuseCreation(context, creation, undefined)
  return show(await createUpload(context, creation, { id: order.id, length: null, spaceBytes: 0 }))
}

async function declare(context: UploadsContext, upload: Upload, { length, validator }: SourceIdentity): Promise<void> {
  const { internal } = upload.file
  if (internal && internal.validator !== validator) {
    const file = { ...upload.file, internal: { ...internal, validator } }
    await writeUploadFile(context.disk, context.folder, file)
    upload.file = file
  }
  await declareLength(context, upload, length ?? undefined, context.maxLength)
  // An empty source is whole without a byte.
  await completeUpload(context, upload)
}

async function append(context: UploadsContext, id: string, offset: number, stream: ReadableStream<Uint8Array>): Promise<InternalAppend> {
  context.stopping.throwIfAborted()
  using lock = await lockUpload(context, id)
  context.stopping.throwIfAborted()
  const upload = await find(context, id)
  const present = offsetOf(upload)
  if (offset !== present) {
    throw problem('offset-mismatch', `The upload has ${present} bytes, but the stream starts at ${offset}.`, {
      expectedOffset: present,
      providedOffset: offset,
    })
  }
  const body: UploadBody = { stream, length: undefined, declaredLength: undefined, checksum: undefined, isSlices: false }
  const isEnded = await appendWhole(() => writeBody(context, { upload, lock, actor: actorOf(upload), body, limit: context.maxLength }))
  await completeUpload(context, upload)
  return { upload: show(upload), isWhole: isEnded }
}

/** Returns whether a stream was appended to its end. Throws when the store refused it. */
async function appendWhole(write: () => Promise<boolean>): Promise<boolean> {
  try {
    return !(await write())
  } catch (error) {
    if (error instanceof ProblemError && CONTINUABLE.has(error.code)) return false
    throw error
  }
}

async function finish(context: UploadsContext, upload: Upload): Promise<void> {
  await declareLength(context, upload, offsetOf(upload), context.maxLength)
  await completeUpload(context, upload)
}

/** Runs a step with the lock of an upload, and returns the upload afterwards. */
async function locked(context: UploadsContext, id: string, step: (upload: Upload) => Promise<void>): Promise<InternalUpload> {
  context.stopping.throwIfAborted()
  using _lock = await lockUpload(context, id)
  const upload = await find(context, id)
  if (upload.file.publishedAtMs === null) await step(upload)
  return show(upload)
}

async function find(context: UploadsContext, id: string): Promise<Upload> {
  const upload = await context.table.find(id)
  if (!upload?.file.internal) throw noSuchUpload(id)
  return upload
}

/** The creator of an upload, for the checks of an append. It has no link, so only its name is used. */
function actorOf({ file }: Upload) {
  return { name: file.creator, role: 'uploader', ...(file.creatorTokenId === null ? {} : { tokenId: file.creatorTokenId }) } as const
}

function show(upload: Upload): InternalUpload {
  const { id, imageId, length, internal, publishedAtMs } = upload.file
  if (imageId === null) throw new Error(`internal upload ${id} has no image to become`)
  return { id, imageId, offset: offsetOf(upload), length, validator: internal?.validator ?? null, isPublished: publishedAtMs !== null }
}
