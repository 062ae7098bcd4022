// The catalogue as other capabilities see it: they publish images and read their content.

import type { Manifest, ManifestEntry } from '../../protocol/manifest.ts'
import type { Image, ImageDraft } from '../../protocol/image.ts'

/** An image, or one that an unfinished upload will become, and its owner; null for none. */
export type OwnedImage = Pick<Image, 'id' | 'owner'>

/** A new image whose bytes are complete. */
export interface NewImage {
  /** Chosen by the caller before the first byte, so that publishing twice is publishing once. */
  readonly id: string
  readonly draft: ImageDraft
  readonly source: Image['source']
}

/** Content of a new image: every slice of it is durable, and protected from gc, until `publish` resolves. */
export interface NewContent {
  /** Entries in image order, a block at a time, so that no image has to fit into memory. Can be read more than once. */
  readonly blocks: () => AsyncIterable<Iterable<ManifestEntry>>
  /** Bytes that the entries cover. */
  readonly length: number
  /** Stops a publication that has not written its image.json yet; nothing of it is left then. */
  readonly signal?: AbortSignal
}

export interface ImagePublisher {
  /**
   * Writes manifest and image.json (durable when it resolves) with status `creating`, and starts inspection, which makes it
   * available or error. Idempotent by id: a second call with the same id returns the image as it is.
   */
  publish(image: NewImage, content: NewContent): Promise<Image>
  /**
   * Records an image that can never be published, with status `error` and without content; `reason` is a sentence that says what is wrong
   * and what to do. Idempotent by id, as `publish` is.
   */
  refuse(image: NewImage, length: number, reason: string): Promise<Image>
  /** Returns the image published under this id, whatever its status; undefined when there is none. */
  find(id: string): Image | undefined
  /**
   * Publishes an image copied from another store, metadata and id kept. The manifest's slices must be durable and pinned.
   * An image with this id in the recycle bin is restored. Returns false when it is there already.
   */
  adopt(image: Image, manifest: Manifest): Promise<boolean>
}

/** Whether an owner may have another image. */
export interface ImageAdmission {
  /**
   * Claims a place for an image under its owner until disposed: by then the image or its upload must exist, or it is not coming. Throws
   * ProblemError `limit-reached`.
   */
  admit(image: OwnedImage): Disposable
}

/** Whether the content of an image is still described. */
export interface ImageVerification {
  /**
   * Reads the manifest of an image whole and returns whether it is there and undamaged; if not, the image becomes an error. Throws errors of
   * the disk.
   */
  isWhole(id: string): Promise<boolean>
}

/** Access to content for the routes that serve it. */
export interface ImageContents {
  find(id: string): Image | undefined
  /** Returns an image by id, or by name when exactly one image outside the recycle bin has it. */
  resolve(idOrName: string): Image | undefined
  /**
   * The manifest of a published image, and its slices, until it is disposed, whatever becomes of the image. Throws ProblemError
   * (`data-corrupt`) when its file is damaged.
   */
  open(id: string): Promise<Disposable & { readonly manifest: Manifest }>
}
