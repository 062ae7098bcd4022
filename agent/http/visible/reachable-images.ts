// Shows images as unavailable while the mount path fails, since no file of the store can be read. The status is computed for each answer and not
// written, so images have their stored status again once the mount path works.

import type { Image } from '../../../protocol/images/image.ts'
import type { ImageFilter, ImagePageQuery } from '../../../protocol/images/image-list.ts'
import type { Page } from '../../../protocol/page.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Audience } from '../../contract/images.ts'
import type { HealthBoard } from '../../contract/health.ts'

/** Returns why the files of the store cannot be read, in sentences; undefined when they can be read. */
export type MountFault = () => Promise<string | undefined>

interface Images {
  list(filter: ImageFilter, page: ImagePageQuery, audience?: Audience): Page<Image>
  show(idOrName: string, audience?: Audience): Promise<Image>
}

/** Reads the fault from the health check of the mount path, which returns in bounded time even if the mount path hangs. */
export function createMountFault(health: Pick<HealthBoard, 'current'>): MountFault {
  return async () => {
    const { checks } = await health.current()
    const failed = checks.find((check) => check.name === 'mount-path' && check.state === 'failed')
    return failed && `The mount path fails: ${failed.measured}. ${failed.action}`
  }
}

/** Returns list and show for one request; during a fault, every image outside the recycle bin has the status `fileUnavailable`. */
export async function reachableImages(images: Images, mountFault: MountFault): Promise<Images> {
  const fault = await mountFault()
  if (fault === undefined) return images
  const seen = (image: Image): Image => (image.status === 'deleted' ? image : { ...image, status: 'fileUnavailable', statusReason: fault })
  return {
    list({ status, ...filter }, page, audience) {
      if (status === 'deleted') return images.list({ ...filter, status }, page, audience)
      if (status !== undefined && status !== 'fileUnavailable') return { items: [], next: null }
      const { items, next } = images.list(filter, page, audience)
      return { items: items.map(seen), next }
    },
    show: async (idOrName, audience) => seen(await images.show(idOrName, audience)),
  }
}

/** Returns the counts of images for one request; during a fault, no image is available. */
export async function reachableCounts<Counts extends Store['images']>(counts: Counts, mountFault: MountFault): Promise<Counts> {
  if ((await mountFault()) === undefined) return counts
  return { ...counts, available: 0, other: counts.other + counts.available }
}
