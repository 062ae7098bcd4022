// Completing: what a whole upload becomes. Every step may be repeated after a crash; the image id chosen at creation makes
// publishing twice publishing once.

import type { ManifestEntry } from '../../protocol/manifest.ts'
import type { UploadsContext } from './context.ts'
import { unpackEntries } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import { spaceKey } from './limits.ts'
import type { Sink } from './intake.ts'
import { journalPath, writeUploadFile } from './upload-file.ts'
import { isWhole } from './upload.ts'
import type { Upload } from './upload.ts'

type CompleteDeps = Pick<UploadsContext, 'disk' | 'clock' | 'publisher' | 'places' | 'space' | 'folder' | 'emit' | 'crashPoint' | 'table'>

/**
 * Publishes an upload that has all its bytes; does nothing for one that has not, or that became an image already. A part
 * only gets its last slice. To be called by the one whose turn it is.
 */
export async function completeUpload(deps: CompleteDeps, upload: Upload, sink: Sink): Promise<void> {
  if (!isWhole(upload) || upload.file.publishedAtMs !== null) return
  if (upload.journal.tailLength > 0) await cutTail(deps, sink)
  await deps.space.promise(spaceKey(upload.file.id), 0)
  if (upload.file.kind === 'partial') return
  await publish(deps, upload)
}

/** Turns the tail of a whole upload into its last slice. */
async function cutTail({ places }: CompleteDeps, sink: Sink): Promise<void> {
  using _place = await places.take(new AbortController().signal)
  await using ingest = await sink.open()
  await sink.commit([await ingest.finish()])
  await sink.rest()
}

async function publish(deps: CompleteDeps, upload: Upload): Promise<void> {
  const { file, journal } = upload
  const { id, imageId, draft, length } = file
  if (imageId === null || draft === null || length === null) throw new Error(`upload ${id} is whole but has no image to become`)
  const blocks: PackedEntries[] = []
  for await (const block of journal.entries()) blocks.push(block)
  deps.crashPoint('uploads:before-publish')
  const source = { kind: 'upload', uploadId: id, storeId: null, url: null, filename: file.filename, device: file.device } as const
  await deps.publisher.publish({ id: imageId, draft, source }, { entries: entriesOf(blocks), length })
  deps.crashPoint('uploads:after-publish')
  const published = { ...file, publishedAtMs: deps.clock.nowMs() }
  await writeUploadFile(deps.disk, deps.folder, published)
  upload.file = published
  await journal.close()
  deps.table.publish(published)
  await deps.disk.remove(journalPath(deps.folder, id))
  deps.emit({
    type: 'upload.finished',
    severity: 'info',
    subject: id,
    message: `Upload ${id} became image ${imageId}.`,
    actor: file.creator,
    details: { imageId, length },
  })
}

/** Entries that can be gone through more than once. */
function entriesOf(blocks: readonly PackedEntries[]): Iterable<ManifestEntry> {
  return {
    *[Symbol.iterator]() {
      for (const block of blocks) yield* unpackEntries(block)
    },
  }
}
