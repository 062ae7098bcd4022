// Uploads as tasks: one for each upload that will become an image by itself. The bytes of an import belong to the task of the import.

import type { Task } from '../../protocol/task.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Upload as ShownUpload } from '../../protocol/upload.ts'
import { liveSubject, liveTaskId } from '../contract/live-task.ts'
import type { LiveWork } from '../contract/work.ts'
import type { UploadsContext } from './context.ts'
import { isHeld } from './find-upload.ts'
import { shownUpload } from './in-progress.ts'
import type { Upload } from './record/upload.ts'
import { removeRequest } from './requests.ts'

/** Creates the tasks of the uploads of a store. */
export function createUploadTasks(context: UploadsContext): LiveWork {
  const { table, clock } = context
  const isTask = (upload: Upload): boolean => upload.file.kind !== 'partial' && !isHeld(context, upload)
  return {
    *list() {
      for (const upload of table.live.values()) if (isTask(upload)) yield taskOf(shownUpload(context, upload))
    },
    find(id) {
      const uploadId = liveSubject('upload', 'upl', id)
      const upload = table.live.get(uploadId)
      if (upload) return isTask(upload) ? taskOf(shownUpload(context, upload)) : undefined
      const published = table.published.get(uploadId)
      if (!published || published.imageId === null) return undefined
      const endedAt = formatTime(published.publishedAtMs ?? 0)
      return {
        id,
        kind: 'upload',
        state: 'succeeded',
        progress: { done: 1, total: 1, unit: 'uploads', rate: 0, etaSeconds: 0 },
        subject: published.imageId,
        createdBy: published.creator,
        createdAt: formatTime(published.createdAtMs),
        endedAt,
        result: { uploadId, imageId: published.imageId },
      }
    },
    async cancel(task, actor) {
      await removeRequest(context, liveSubject('upload', 'upl', task.id), actor)
      return { ...task, state: 'cancelled', endedAt: formatTime(clock.nowMs()) }
    },
  }
}

function taskOf({ id, imageId, state, stateReason, offset, length, rate, etaSeconds, creator, createdAt }: ShownUpload): Task {
  return {
    id: liveTaskId('upload', id),
    kind: 'upload',
    state: state === 'uploading' ? 'running' : 'queued',
    progress: { done: offset, total: length, unit: 'bytes', rate, etaSeconds },
    subject: imageId ?? id,
    createdBy: creator,
    createdAt,
    endedAt: null,
    detail: stateReason,
    result: { uploadId: id },
  }
}
