// Cancels the upload of an image that is still uploaded. If a task fetches its bytes, the task is cancelled first.

import type { Actor } from '../contract/access.ts'
import type { TaskBoard } from '../contract/work.ts'
import type { Uploads } from '../uploads/uploads.ts'

export interface CancelUploadDeps {
  readonly uploads: Pick<Uploads, 'inProgress'>
  readonly tasks: Pick<TaskBoard, 'cancel' | 'ended'>
}

/** Returns whether an upload of this image was cancelled; false if no unfinished upload becomes it. Throws ProblemError `forbidden`. */
export async function cancelUpload({ uploads, tasks }: CancelUploadDeps, imageId: string, actor: Actor): Promise<boolean> {
  const outcome = await uploads.inProgress.cancelImage(imageId, actor)
  if (outcome.kind !== 'held') return outcome.kind === 'cancelled'
  tasks.cancel(outcome.taskId, actor.name)
  await tasks.ended(outcome.taskId)
  const again = await uploads.inProgress.cancelImage(imageId, actor)
  return again.kind === 'cancelled'
}
