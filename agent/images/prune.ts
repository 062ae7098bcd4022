// Plans a prune: selects the images in the recycle bin whose retention has ended.

import type { Image } from '../../protocol/images/image.ts'
import type { DeletionPolicy } from '../contract/store.ts'

export interface PrunePlan {
  /** Images whose retention has ended (`expired`), and images whose removal was interrupted (`unfinished`). */
  readonly purge: readonly { readonly id: string; readonly name: string; readonly reason: 'expired' | 'unfinished' }[]
}

/** Returns the images to purge at `nowMs`. A store that keeps deleted images forever purges none whose removal has not begun. */
export function planPrune(images: Iterable<Image>, nowMs: number, { deletion }: Pick<DeletionPolicy, 'deletion'>): PrunePlan {
  const purge: { id: string; name: string; reason: 'expired' | 'unfinished' }[] = []
  for (const { id, name, status, expiresAt } of images) {
    if (status === 'deleting') purge.push({ id, name, reason: 'unfinished' })
    else if (deletion !== 'never' && status === 'deleted' && expiresAt !== null && Date.parse(expiresAt) <= nowMs) purge.push({ id, name, reason: 'expired' })
  }
  return { purge }
}
