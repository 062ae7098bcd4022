// The image catalogue as other capabilities use it: publishing, admission, verification and content.

import type { Manifest, ManifestEntry } from '../../protocol/slices/manifest.ts'
import type { Image, ImageDraft } from '../../protocol/images/image.ts'
import type { ProblemCode } from '../../protocol/problems.ts'

/**
 * Id, owner and length of an image, or of the image that an unfinished upload will become. The owner is null if it has none. While the length of
 * an upload is deferred, its length is the number of its durable bytes.
 */
export type OwnedImage = Pick<Image, 'id' | 'owner' | 'length'>

/** A caller who may not see every image. Images for which `isSeen` is false do not exist for it. */
export interface Audience {
  /** The same for callers who see the same images. */
  readonly key: string
  readonly isSeen: (image: Image) => boolean
}

/** A new image whose bytes are complete. */
export interface NewImage {
  /** The caller chooses the id before the first byte arrives, which makes `publish` idempotent. */
  readonly id: string
  readonly draft: ImageDraft
  readonly source: Image['source']
  /** Whether the creator may add installation images. Default: true. */
  readonly mayBeInstallation?: boolean
}

/** An image that an unfinished upload will become. It is shown, but not published: it has no content yet. */
export interface ImageInProgress {
  readonly image: NewImage
  readonly state: 'uploading' | 'pending'
  /** What the upload waits for or does, and what happens next, in sentences. */
  readonly reason: string
  /** Length of the whole upload in bytes, or the bytes that have arrived while that is not known. */
  readonly length: number
  readonly createdAtMs: number
}

/** The images that unfinished uploads will become. */
export interface ImagesInProgress {
  images(): Iterable<ImageInProgress>
  /** Returns the one with this id. */
  image(id: string): ImageInProgress | undefined
  /**
   * Records durably that an upload has become its image, which exists, so that it never publishes the image again. Does nothing if no unfinished
   * upload becomes this image. The caller holds no lock of the image.
   */
  recordPublished(imageId: string): Promise<void>
}

/** Content of a new image. All its slices are durable, and protected from gc until `publish` resolves. */
export interface NewContent {
  /** Returns the entries in image order, one block at a time, so that they never have to fit into memory. May be called more than once. */
  readonly blocks: () => AsyncIterable<Iterable<ManifestEntry>>
  /** Length of the image in bytes: the sum of its entries. */
  readonly length: number
  /** Aborts a publication that has not written image.json yet. The image then does not exist. */
  readonly signal?: AbortSignal
}

/** Why an image is in error. */
export interface ImageRefusal {
  readonly code: ProblemCode
  /** What is wrong and what to do, in sentences. */
  readonly reason: string
}

export interface ImagePublisher {
  /**
   * Writes the manifest and image.json with status `creating`, both durable when it resolves, and starts the inspection, which sets the
   * status to `available` or `error`. Idempotent by id: a second call with the same id returns the existing image.
   */
  publish(image: NewImage, content: NewContent): Promise<Image>
  /**
   * Records an image that can never be published, with status `error` and without content. Idempotent by id, like `publish`.
   */
  refuse(image: NewImage, length: number, refusal: ImageRefusal): Promise<Image>
  /** Returns the published image with this id in any status, or undefined if there is none. */
  find(id: string): Image | undefined
  /**
   * Publishes an image copied from another store under its original id, with its metadata. The slices of the manifest must be durable and
   * pinned. Restores an image with this id from the recycle bin. Returns false if the image already exists.
   */
  adopt(image: Image, manifest: Manifest): Promise<boolean>
}

/** Limits the number of images of one owner, and their total length. */
export interface ImageAdmission {
  /**
   * Counts an image towards the limits of its owner until disposed. Dispose the claim once the image or its upload exists, or has failed.
   * Throws ProblemError `limit-reached`.
   */
  admit(image: OwnedImage): Disposable
}

/** Looks up a published image by its id. */
export type ImageLookupById = Pick<ImagePublisher, 'find'>

/** Finds images by what they contain. */
export interface SameContent {
  /** Returns an available image with the manifest digest or the digest of this one; undefined if there is none. Looks at every image. */
  withContent(image: Pick<Image, 'manifestDigest' | 'digest'>): Image | undefined
}

/** Verifies manifests of images. */
export interface ImageVerification {
  /**
   * Reads the complete manifest of an image and returns whether it exists and is undamaged. If not, marks the image as `error`. Throws disk
   * errors.
   */
  isWhole(id: string): Promise<boolean>
}

/** An image that is damaged: the catalogue says what is. */
export interface DamagedImage {
  readonly image: Image
  readonly damage: 'slices' | 'manifest'
}

/** Damaged images, for their repair. */
export interface ImageRepair {
  /** Resolves when every image is marked that needs a slice which a read found damaged before this call. */
  damageMarked(): Promise<void>
  /**
   * Returns the images with damaged slices, in the recycle bin too, and the images in error because of their manifest. Images that never had content,
   * whose files cannot be read, or that are being removed are not among them.
   */
  damagedImages(): readonly DamagedImage[]
  /**
   * Marks an image whose slices were all found stored as intact. `startedAtMs` is the start of that search: damage found later is not cleared. Returns
   * whether the image was damaged and is not any more. Never throws.
   */
  slicesIntact(id: string, startedAtMs: number): Promise<boolean>
}

/** Read access to the content of images. */
export interface ImageContents {
  find(id: string): Image | undefined
  /** Returns an image by id, or by name if exactly one image outside the recycle bin has this name. */
  resolve(idOrName: string): Image | undefined
  /**
   * Opens the manifest of a published image. The manifest and its slices stay readable until disposed, even if the image is removed. Throws
   * ProblemError `not-found`, or `data-corrupt` if the manifest is damaged.
   */
  open(id: string): Promise<Disposable & { readonly manifest: Manifest }>
}
