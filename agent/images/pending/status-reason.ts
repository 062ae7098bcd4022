// Why an image has its status, and what happens next. States set a reason when they change; this file has the sentences that follow from the status
// alone, and fills in what an image.json of an earlier version lacks.

import type { Image } from '../../../protocol/images/image.ts'
import type { PendingWork } from './pending-works.ts'
import { workReason } from './work-reason.ts'

/** Reason of a new image until its inspection ends. */
export const CREATING_REASON = 'It waits for its inspection, or is being inspected. Then it is available or error; its task says more.'
/** Reason of an image that is being removed. */
export const DELETING_REASON = 'It is being removed for good. If the removal was interrupted, the next cleanup finishes it.'

/** Returns the reason of an image in the recycle bin. */
export function binReason(deletedAt: string, expiresAt: string | null): string {
  const end = expiresAt === null ? 'It stays there' : `It is deleted for good after ${expiresAt}`
  return `It is in the recycle bin since ${deletedAt}. ${end}; restore brings it back.`
}

/** Returns an image with the reason of its status; `work` is its pending work. An available image has no reason. */
export function explained(image: Image, work: PendingWork | undefined): Image {
  const { status, statusReason, deletedAt, expiresAt } = image
  switch (status) {
    case 'available':
      return image
    case 'creating':
      return { ...image, statusReason: work?.kind === 'inspect' ? workReason(work, image) : (statusReason ?? CREATING_REASON) }
    case 'deleted':
      return { ...image, statusReason: statusReason ?? binReason(deletedAt ?? image.createdAt, expiresAt) }
    case 'deleting':
      return { ...image, statusReason: statusReason ?? DELETING_REASON }
    case 'degraded':
      return { ...image, statusReason: statusReason ?? 'Some of its slices are damaged. Sync it again from a store that has it.' }
    case 'error':
      return { ...image, statusReason: statusReason ?? 'It cannot be used, and why is not known. Delete it, then upload or sync it again.' }
    case 'fileUnavailable':
      return { ...image, statusReason: statusReason ?? 'Its files cannot be read. Check the mount path, then reconnect the store.' }
    case 'uploading':
    case 'pending':
      return { ...image, statusReason: statusReason ?? 'Its bytes are still uploaded. The list of uploads says more.' }
  }
}
