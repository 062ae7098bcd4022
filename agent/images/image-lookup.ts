// Looks up images by id or name, lists them page by page, and counts them.

import type { Image, ImageFilter } from '../../protocol/image.ts'
import type { Page, PageQuery } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { KindUsage, Store } from '../../protocol/store.ts'
import type { ImageKeeper } from './image-keeper.ts'
import { isDamaged } from './image-states.ts'
import { pageOfImages } from './image-table.ts'
import type { UniqueSizes } from './unique-sizes.ts'

/** Maximum number of ids listed in the problem for an ambiguous name. */
const IDS_SHOWN_MAX = 10

/** Numbers of images by status, for the store and its metrics. */
export interface ImageCounts {
  readonly available: number
  readonly deleted: number
  readonly other: number
  /** Images outside the recycle bin whose slices, manifest or metadata are damaged. */
  readonly damaged: number
  /** Total length of all images in bytes. */
  readonly imageBytes: number
  /** What the images use, by kind, the recycle bin included. */
  readonly usage: NonNullable<Store['usage']>
}

export interface ImageLookup {
  /** Returns the published image with this id, or undefined if there is none. */
  find(id: string): Image | undefined
  /** Returns an image by id, or by name if exactly one image outside the recycle bin has this name. */
  resolve(idOrName: string): Image | undefined
  /** Returns the image with this id; otherwise every image outside the recycle bin with this name. */
  named(idOrName: string): readonly Image[]
  /** Returns an image by id or unambiguous name. Throws `not-found`, or `conflict` if several images have this name. */
  need(idOrName: string): Image
  /** Like `need`, but counts the unique size of the image unless that is too expensive. */
  show(idOrName: string): Promise<Image>
  /** Lists the images that match a filter. Images for which `isSeen` is false are left out as if they did not exist. */
  list(filter: ImageFilter, page: PageQuery, isSeen?: (image: Image) => boolean): Page<Image>
  /** Returns the stored bytes that only these images use, or null if counting is too expensive. Throws like `need`. */
  uniqueSize(idsOrNames: readonly string[]): Promise<number | null>
  /** Counts images; with `isSeen`, only those for which it is true. */
  counts(isSeen?: (image: Image) => boolean): ImageCounts
}

/** Creates the lookups over the images of a catalogue. */
export function createImageLookup({ keeper, uniqueSizes }: { readonly keeper: ImageKeeper; readonly uniqueSizes: UniqueSizes }): ImageLookup {
  const { table } = keeper
  const withSize = (image: Image): Image => ({ ...image, uniqueSize: uniqueSizes.known(image.id) })
  const candidates = (idOrName: string): Image[] => {
    const byId = table.get(idOrName)?.image
    if (byId) return [byId]
    const found: Image[] = []
    for (const { image } of table.all()) if (image.name === idOrName && image.status !== 'deleted' && image.status !== 'deleting') found.push(image)
    return found
  }
  const need = (idOrName: string): Image => {
    const found = candidates(idOrName)
    const [first] = found
    if (!first) throw problem('not-found', `There is no image ${idOrName}.`)
    if (found.length === 1) return first
    throw problem('conflict', `${found.length} images are named ${idOrName}.`, {
      action: 'Use the id of the image you mean.',
      ids: found.slice(0, IDS_SHOWN_MAX).map(({ id }) => id),
    })
  }
  return {
    find: (id) => (keeper.unfinished.has(id) ? undefined : table.get(id)?.image),
    resolve(idOrName) {
      const found = candidates(idOrName)
      return found.length === 1 ? found[0] : undefined
    },
    named: candidates,
    need,
    async show(idOrName) {
      const { id } = need(idOrName)
      await uniqueSizes.count([id])
      return withSize(keeper.need(id).image)
    },
    list(filter, page, isSeen) {
      const { items, next } = pageOfImages(table.all(), { ...filter, isSeen }, page)
      return { items: items.map(withSize), next }
    },
    uniqueSize: (idsOrNames) => uniqueSizes.count(idsOrNames.map((idOrName) => need(idOrName).id)),
    counts(isSeen = () => true) {
      const counts = { available: 0, deleted: 0, other: 0, damaged: 0, imageBytes: 0 }
      const usage = { total: noUsage(), byKind: {} as Partial<Record<Image['kind'], KindUsage>> }
      for (const stored of table.each()) {
        if (!isSeen(stored.image)) continue
        const { status, length } = stored.image
        if (status === 'available' || status === 'deleted') counts[status]++
        else counts.other++
        if (isDamaged(stored)) counts.damaged++
        counts.imageBytes += length
        addUsage(usage.total, stored.image)
        addUsage((usage.byKind[stored.image.kind] ??= noUsage()), stored.image)
      }
      return { ...counts, usage }
    },
  }
}

function noUsage(): KindUsage {
  return { count: 0, length: 0, storedSize: 0 }
}

function addUsage(usage: KindUsage, { length, storedSize }: Image): void {
  usage.count++
  usage.length += length
  usage.storedSize += storedSize ?? 0
}
