// In-memory table of all images of the store, by id. Locks serialize the changes of each image.

import { fingerprintText, isOpenImage, NO_IMAGES, withImage } from '../../../protocol/images/fingerprint.ts'
import type { FingerprintedImage } from '../../../protocol/images/fingerprint.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { createInOrderByKey } from '../../contract/in-order.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { StoredImage } from './image-file.ts'
import { createImageOrders } from '../lists/image-order.ts'
import type { ImageOrders } from '../lists/image-order.ts'

export interface ImageTable {
  get(id: string): StoredImage | undefined
  /** Returns all images, newest first. */
  all(): readonly StoredImage[]
  /** Returns the ids of the images with a name, in any status. */
  named(name: string): Iterable<string>
  /** Returns the ids of the images of a media group, in any status. */
  inGroup(name: string): ReadonlySet<string>
  /** Returns the media groups that images name. */
  groups(): Iterable<string>
  /** Returns the ids of the images whose file or manifest has this digest, in any status. */
  withDigest(digest: string): Iterable<string>
  /** The images sorted by one member, for lists. */
  readonly orders: Pick<ImageOrders<StoredImage>, 'walk' | 'all' | 'isSorted'>
  /** Adds or replaces an image. Returns it as it is shown: with the current name of its media group. */
  put(stored: StoredImage): StoredImage
  remove(id: string): void
  /** Runs a function while holding the lock of an image. Waiting callers run in order. */
  locked<T>(id: string, run: () => Promise<T>): Promise<T>
  /** Iterates over all images, unordered. Cheaper than `all` after a change. */
  each(): Iterable<StoredImage>
  /** Returns a counter that increases with every change of any image. */
  version(): number
  /** Returns a counter that increases when an image is added or removed. */
  revision(): number
  /** Returns the fingerprint of all images, as in protocol/images/fingerprint.ts. */
  fingerprint(): string
}

const NO_IDS: ReadonlySet<string> = new Set()

/**
 * Creates an empty table. Calls `changed` after every change of any image. `place` puts an image into its media group. With a clock, orders are sorted in
 * the background.
 */
export function createImageTable(
  changed: () => void = () => {},
  place: (image: Image) => Image = (image) => image,
  clock?: Pick<Clock, 'monotonicMs' | 'sleep'>,
): ImageTable {
  const images = new Map<string, StoredImage>()
  const names = createIdsByText()
  const groups = createIdsByText()
  const digests = createIdsByText()
  const manifests = createIdsByText()
  const orders = createImageOrders(() => images.values(), clock)
  const locks = createInOrderByKey()
  let sorted: readonly StoredImage[] | undefined
  let revision = 0
  let sum = NO_IMAGES
  let version = 0
  const note = (): void => {
    sorted = undefined
    version++
    changed()
  }
  const sortedAll = (): StoredImage[] => {
    const all: StoredImage[] = []
    orders.walk('createdAt', true, undefined, (stored) => all.push(stored) > 0)
    return all
  }
  return {
    get: (id) => images.get(id),
    all: () => (sorted ??= sortedAll()),
    named: (name) => names.of(name),
    withDigest: (digest) => digests.of(digest).union(manifests.of(digest)),
    inGroup: (name) => groups.of(name),
    groups: () => groups.texts(),
    orders,
    put(given) {
      const image = place(given.image)
      const stored = image === given.image ? given : { ...given, image }
      const before = images.get(image.id)
      if (!before) revision++
      else sum = withImage(sum, marked(before.image), -1)
      sum = withImage(sum, marked(image), 1)
      images.set(image.id, stored)
      orders.put(before, stored)
      names.move(image.id, before?.image.name, image.name)
      groups.move(image.id, before?.image.mediaGroup, image.mediaGroup)
      digests.move(image.id, before?.image.digest, image.digest)
      manifests.move(image.id, before?.image.manifestDigest, image.manifestDigest)
      note()
      return stored
    },
    remove(id) {
      const before = images.get(id)
      if (before) {
        images.delete(id)
        revision++
        sum = withImage(sum, marked(before.image), -1)
        orders.remove(before)
        names.move(id, before.image.name, null)
        groups.move(id, before.image.mediaGroup, null)
        digests.move(id, before.image.digest, null)
        manifests.move(id, before.image.manifestDigest, null)
      }
      note()
    },
    locked: (id, run) => locks.run(id, run),
    each: () => images.values(),
    version: () => version,
    revision: () => revision,
    fingerprint: () => fingerprintText(sum),
  }
}

function marked(image: Image): FingerprintedImage {
  return { ...image, isOpen: isOpenImage(image) }
}

/** Ids of images by one text that they have. */
interface IdsByText {
  of(text: string): ReadonlySet<string>
  texts(): Iterable<string>
  /** Notes that an image has another text than before; null or undefined for none. */
  move(id: string, before: string | null | undefined, after: string | null): void
}

function createIdsByText(): IdsByText {
  const idsOf = new Map<string, Set<string>>()
  return {
    of: (text) => idsOf.get(text) ?? NO_IDS,
    texts: () => idsOf.keys(),
    move(id, before, after) {
      if (before === after) return
      const old = before === null || before === undefined ? undefined : idsOf.get(before)
      old?.delete(id)
      if (old?.size === 0 && typeof before === 'string') idsOf.delete(before)
      if (after !== null) idsOf.set(after, (idsOf.get(after) ?? new Set()).add(id))
    },
  }
}
