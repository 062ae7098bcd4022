// Looks up images by id or name, lists them page by page, and counts them.

import type { Image } from '../../protocol/images/image.ts'
import type { ImageFilter } from '../../protocol/images/image-list.ts'
import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { KindUsage, Store } from '../../protocol/store.ts'
import type { Audience, ImagesInProgress, SameContent } from '../contract/images.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { isDamaged, uploaded } from './records/image-states.ts'
import { pageOfImages } from './lists/pages.ts'
import type { ImagePage } from './lists/pages.ts'
import { preferred } from './lists/preferred.ts'
import type { PendingWorks } from './pending/pending-works.ts'
import { explained } from './pending/status-reason.ts'
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

export interface ImageLookup extends SameContent {
  /** Returns the published image with this id, or undefined if there is none. */
  find(id: string): Image | undefined
  /** Returns the image with this id, also one that is still uploaded. */
  byId(id: string): Image | undefined
  /** Returns an image by id, or by name if exactly one image outside the recycle bin has this name. */
  resolve(idOrName: string): Image | undefined
  /** Returns the image with this id; otherwise every image outside the recycle bin with this name, also those that are still uploaded. */
  named(idOrName: string): readonly Image[]
  /** Returns the images whose content is served and whose manifest, or file as this store has computed it, has this digest. */
  withDigest(digest: string): readonly Image[]
  /** Returns an image by id or unambiguous name. Throws `not-found`, or `conflict` if several images have this name. */
  need(idOrName: string): Image
  /** Like `need`, but counts the unique size of the image unless that is too expensive. */
  show(idOrName: string, audience?: Audience): Promise<Image>
  /** Lists the images that match a filter and that the audience may see. */
  list(filter: ImageFilter, page: ImagePage, audience?: Audience): Page<Image>
  /**
   * Returns the stored bytes that only these images use, or null if counting is too expensive. Images that the audience may not see do not count as
   * users. Throws like `need`.
   */
  uniqueSize(idsOrNames: readonly string[], audience?: Audience): Promise<number | null>
  /** Counts the images that the audience may see. */
  counts(audience?: Audience): ImageCounts
}

export interface ImageLookupDeps {
  readonly keeper: ImageKeeper
  readonly uniqueSizes: UniqueSizes
  /** The images that unfinished uploads will become; undefined before uploads are open. */
  readonly inProgress: () => ImagesInProgress | undefined
  /** Inspections and digests that wait or run. */
  readonly works: Pick<PendingWorks, 'of'>
  /** Puts an image into its media group. Images of the table already are. */
  readonly place: (image: Image) => Image
}

/** Creates the lookups over the images of a catalogue. */
export function createImageLookup({ keeper, uniqueSizes, inProgress, works, place }: ImageLookupDeps): ImageLookup {
  const { table } = keeper
  const arriving = function* (): Generator<Image> {
    // An upload that was just published is in the table already.
    for (const upload of inProgress()?.images() ?? []) if (!table.get(upload.image.id)) yield place(uploaded(upload))
  }
  const withSize = (image: Image, audience: Audience | undefined): Image =>
    explained({ ...image, uniqueSize: uniqueSizes.known(image.id, audience) }, works.of(image.id))
  const byId = (id: string): Image | undefined => {
    const image = table.get(id)?.image
    if (image) return image
    const upload = inProgress()?.image(id)
    return upload && place(uploaded(upload))
  }
  const candidates = (idOrName: string): Image[] => {
    const only = byId(idOrName)
    if (only) return [only]
    const found: Image[] = []
    for (const id of table.named(idOrName)) {
      const image = table.get(id)?.image
      if (image && image.status !== 'deleted' && image.status !== 'deleting') found.push(image)
    }
    for (const image of arriving()) if (image.name === idOrName) found.push(image)
    return found
  }
  const need = (idOrName: string): Image => {
    const found = preferred(candidates(idOrName))
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
    byId,
    withContent({ manifestDigest, digest }) {
      for (const { image } of table.each()) {
        if (image.status !== 'available' || keeper.unfinished.has(image.id)) continue
        if (manifestDigest !== null && image.manifestDigest === manifestDigest) return image
        if (digest !== null && image.digest === digest) return image
      }
      return undefined
    },
    resolve(idOrName) {
      const found = preferred(candidates(idOrName))
      return found.length === 1 ? found[0] : undefined
    },
    named: candidates,
    withDigest: (digest) =>
      [...table.withDigest(digest)].flatMap((id) => {
        const stored = table.get(id)
        if (!stored || (stored.image.status !== 'available' && stored.image.status !== 'degraded')) return []
        return stored.image.manifestDigest === digest || !stored.life.digestClaimed ? [stored.image] : []
      }),
    need,
    async show(idOrName, audience) {
      const image = need(idOrName)
      if (!table.get(image.id)) return image
      await uniqueSizes.count([image.id], audience)
      return withSize(keeper.need(image.id).image, audience)
    },
    list(filter, page, audience) {
      const { items, next } = pageOfImages({ orders: table.orders, others: arriving(), isSeen: audience?.isSeen }, filter, page)
      return { items: items.map((image) => withSize(image, audience)), next }
    },
    uniqueSize: (idsOrNames, audience) =>
      uniqueSizes.count(
        idsOrNames.map((idOrName) => keeper.need(need(idOrName).id).image.id),
        audience,
      ),
    counts(audience) {
      const counts = { available: 0, deleted: 0, other: 0, damaged: 0, imageBytes: 0 }
      const usage = { total: noUsage(), byKind: {} as Partial<Record<Image['kind'], KindUsage>> }
      for (const stored of table.each()) {
        if (audience?.isSeen(stored.image) === false) continue
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
