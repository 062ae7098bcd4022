// Which slices a caller may know of: those that an image readable by the caller names. Everything else that the store holds (deleted
// images, unfinished uploads of others, garbage) must look to the caller as if it were not stored.

import type { Image } from '../../protocol/image.ts'
import type { Actor } from './access.ts'

/** Whether an actor may read the content of an image now. The only place that decides it is `agent/access/readable.ts`. */
export type IsReadable = (image: Image, actor: Actor) => boolean

export interface SliceVisibility {
  /** The slices that this actor may know of. Cheap; make one for each request. */
  view(actor: Actor): SliceView
}

/** What one actor may know of. Every call answers by the catalogue as it is then: a deletion that was acknowledged counts at once. */
export interface SliceView {
  /** Whether an indexed image that is readable by the actor names the slice. Reads up to a few blocks from the node's own disk. */
  has(digest: Uint8Array): boolean
  /**
   * The indexes of the digests that no readable image names, after a short wait for images that are being indexed. A slice of an image
   * that takes longer is among them, so that its bytes are sent again. Lets other work run between look-ups.
   */
  hidden(digests: readonly Uint8Array[], signal?: AbortSignal): Promise<number[]>
  /**
   * Like `hidden`, but never gives a slice that a readable image names. With `imageId`, an image that is not indexed yet is searched
   * directly. Throws the problem `store-unavailable` while that cannot be told.
   */
  hiddenExactly(digests: readonly Uint8Array[], options: { readonly imageId: string | undefined; readonly signal?: AbortSignal }): Promise<number[]>
}

/** Slices that a caller brought itself, to uploads that are not finished. */
export interface OwnSlices {
  has(digest: Uint8Array): boolean
}
