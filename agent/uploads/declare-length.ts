// The length of an upload that was deferred at creation: where a request declares it, and what makes it durable.

import { problem } from '../../protocol/problems.ts'
import type { UploadBody } from './append-body.ts'
import type { UploadsContext } from './context.ts'
import { promiseSpace, refuseTooLong } from './limits/limits.ts'
import { writeUploadFile } from './record/upload-file.ts'
import { offsetOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'

/**
 * Sets the deferred length of an upload, up to a limit; durable when it resolves. The same length again changes nothing. Throws ProblemError
 * for another length, and for one that the upload, the store or the owner of the image cannot have.
 */
export async function declareLength(context: UploadsContext, upload: Upload, length: number | undefined, limit: number): Promise<void> {
  if (length === undefined) return
  const { file } = upload
  if (file.length === length) return
  if (file.length !== null) throw problem('length-mismatch', `The length of the upload is ${file.length} bytes and cannot become ${length}.`)
  const offset = offsetOf(upload)
  if (length < offset) throw problem('invalid-input', `Upload-Length is ${length}, but the upload already has ${offset} bytes.`)
  if (length > limit) throw refuseTooLong(length, limit)
  using _claim = file.imageId === null ? undefined : context.admit?.({ id: file.imageId, owner: file.draft?.owner ?? null, length })
  await promiseSpace(context.space, file, { bytes: length - offset, fitting: length - offset })
  const declared = { ...file, length }
  await writeUploadFile(context.disk, context.folder, declared)
  upload.file = declared
}

/** Returns the length of the upload that a body declares, also by being its last one (`Upload-Complete: ?1`); undefined when it declares none. */
export function lengthWith(body: UploadBody, offset: number): number | undefined {
  const { declaredLength } = body
  const end = body.isLast === true && body.length !== undefined ? offset + body.length : undefined
  if (end !== undefined && declaredLength !== undefined && end !== declaredLength) {
    throw problem('length-mismatch', `Upload-Length is ${declaredLength}, but the upload would end at byte ${end}.`)
  }
  return declaredLength ?? end
}
