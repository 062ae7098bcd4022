// Completes an upload that has all its bytes: it becomes an image. Every step can be repeated after a crash. The image id is chosen when
// the upload is created, so publishing twice creates one image.

import type { ImageRefusal, NewContent } from '../contract/images.ts'
import type { UploadsContext } from './context.ts'
import { RECORD_ENTRIES_MAX, unpackEntries } from './record/journal-codec.ts'
import type { PackedEntries } from './record/journal-codec.ts'
import type { Journal } from './record/journal.ts'
import { spaceKey } from './limits/limits.ts'
import { settleLink } from './linked-upload.ts'
import type { UploadCommits } from './body/body-intake.ts'
import { createUploadCommits } from './upload-commits.ts'
import { journalPath, writeUploadFile } from './record/upload-file.ts'
import { isWhole, newImageOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'

/**
 * Publishes an upload that has all its bytes. Does nothing for any other, and for one that is already an image. A part only gets its last
 * slice. An upload that can never be published becomes an image with status `error`. Throws when publishing may succeed later, or with the
 * reason of the signal when that aborts; the upload then stays as it is. The caller holds the lock of the upload.
 */
export async function completeUpload(context: UploadsContext, upload: Upload, signal?: AbortSignal): Promise<void> {
  const { file } = upload
  if (file.publishedAtMs !== null) return
  const refusal = whyNever(context, upload)
  if (refusal === undefined && !isWhole(upload)) return
  if (refusal === undefined && upload.journal.tailLength > 0) await cutTail(context, createUploadCommits(context, upload))
  if (file.kind !== 'partial') await publish(context, upload, refusal, signal)
  await context.space.promise(spaceKey(file.id), 0)
}

/** Returns why an upload can never be published; undefined when it can. */
function whyNever({ entriesMax }: UploadsContext, { file, journal }: Upload): ImageRefusal | undefined {
  if (file.kind !== 'partial' && file.length !== null && journal.entryCount > entriesMax) {
    const reason = `The upload has ${journal.entryCount} slices; an image can have at most ${entriesMax}. Upload it to a store with longer slices.`
    return { code: 'payload-too-large', reason }
  }
  // A final upload is whole when its creation is answered, and accepts no bytes that could replace the lost ones.
  if (file.kind === 'final' && journal.offset !== file.length) {
    const reason = `The journal of the upload was damaged after byte ${journal.offset}. Upload the parts again and concatenate them.`
    return { code: 'data-corrupt', reason }
  }
  return undefined
}

/** Cuts the tail of a whole upload into its last slice. */
async function cutTail({ ingestSlots }: UploadsContext, commits: UploadCommits): Promise<void> {
  using _slot = await ingestSlots.acquire(new AbortController().signal)
  await using ingest = await commits.openIngest()
  await commits.commit([await ingest.finish()])
  await commits.closeFiles()
}

async function publish(context: UploadsContext, upload: Upload, refusal: ImageRefusal | undefined, signal: AbortSignal | undefined): Promise<void> {
  const { file, journal } = upload
  const { length } = file
  const image = newImageOf(file)
  if (image === undefined || length === null) throw new Error(`upload ${file.id} is whole but has no image to become`)
  context.crashPoint('uploads:before-publish')
  if (refusal === undefined) await context.publisher.publish(image, { blocks: await blocksOf(journal), length, ...(signal && { signal }) })
  else await context.publisher.refuse(image, length, refusal)
  context.crashPoint('uploads:after-publish')
  await recordPublished(context, upload)
}

/** Records that the image of an upload exists. The caller holds the lock of the upload. */
export async function recordPublished(context: UploadsContext, upload: Upload): Promise<void> {
  const { file, journal } = upload
  const { id, imageId, length } = file
  const published = { ...file, publishedAtMs: context.clock.nowMs() }
  await writeUploadFile(context.disk, context.folder, published)
  upload.file = published
  await journal.close()
  context.table.publish(published)
  await context.disk.remove(journalPath(context.folder, id))
  context.crashPoint('uploads:before-link-completed')
  settleLink(context, file, 'completed')
  context.emit({
    type: 'upload.finished',
    severity: 'info',
    subject: id,
    message: `Upload ${id} became image ${imageId}.`,
    actor: file.creator,
    details: { imageId, length },
  })
}

/** Returns the entries of a journal. Publishing reads them twice, so those of a short journal are kept in memory. */
async function blocksOf(journal: Journal): Promise<NewContent['blocks']> {
  const blocks: PackedEntries[] = []
  if (journal.entryCount <= RECORD_ENTRIES_MAX) for await (const block of journal.entries()) blocks.push(block)
  const isRead = journal.entryCount <= RECORD_ENTRIES_MAX
  return async function* () {
    for await (const block of isRead ? blocks : journal.entries()) yield unpackEntries(block)
  }
}
