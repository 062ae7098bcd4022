// Which slices a caller may know of: those that an image readable by the caller names. Everything else in the store (deleted images, unfinished
// uploads of others, garbage) must look to the caller as if it were not stored.

import type { Image } from '../../protocol/images/image.ts'
import type { Actor } from './access.ts'

/** Whether an actor may read the content of an image now. Decided in `agent/access/readable.ts` alone. */
export type IsReadable = (image: Image, actor: Actor) => boolean

export interface SliceVisibility {
  /** Returns the slices that this actor may know of. Cheap: call it for each request. */
  view(actor: Actor): SliceView
}

/** The slices that one actor may know of. Every call uses the current catalogue: an acknowledged deletion takes effect at once. */
export interface SliceView {
  /** Whether an indexed image that the actor may read names the slice. Reads at most a few blocks from the node's disk. */
  has(digest: Uint8Array): boolean
  /**
   * Returns the indexes of the digests that no readable image names, after a short wait for images that are being indexed. A slice of an image
   * that takes longer is reported as hidden, so its bytes are sent again. Lets other work run between look-ups.
   */
  hidden(digests: readonly Uint8Array[], signal?: AbortSignal): Promise<number[]>
  /**
   * Like `hidden`, but never returns a slice that a readable image names. With `imageId`, the manifest of an image that is not indexed yet is
   * searched directly. Throws the problem `store-unavailable` when indexing takes too long.
   */
  hiddenExactly(digests: readonly Uint8Array[], options: { readonly imageId: string | undefined; readonly signal?: AbortSignal }): Promise<number[]>
}

/** Slices that a caller sent itself, to unfinished uploads. */
export interface OwnSlices {
  has(digest: Uint8Array): boolean
}
