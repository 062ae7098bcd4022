// Tells the link that created an upload how the upload ended.

import type { LinkedUploadEnd } from '../contract/access.ts'
import type { UploadsContext } from './context.ts'
import type { UploadFile } from './record/upload-file.ts'

/**
 * Records the end of an upload in the link that created it; does nothing for other uploads. Called before an upload is removed: at the next start, a used
 * link without an upload then only means that its creation did not finish. If the record cannot be written, the removal goes on, because it frees space.
 */
export function settleLink(
  { links, log }: Pick<UploadsContext, 'links' | 'log'>,
  { id, linkId }: Pick<UploadFile, 'id' | 'linkId'>,
  end: LinkedUploadEnd,
): void {
  if (linkId === null) return
  try {
    links.settle(linkId, id, end)
  } catch (error) {
    log.warn('the end of an upload could not be recorded in its link', { upload: id, link: linkId, error })
  }
}
