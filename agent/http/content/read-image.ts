// Finds the image of a read: one that this store serves, else one that an origin has. Changes never reach an origin.

import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import type { PullThrough } from '../../contract/origins.ts'
import { isVisible } from '../../access/readable.ts'
import type { NamedImages } from '../visible/visible-image.ts'
import { visibleImage } from '../visible/visible-image.ts'

/** The look-ups of reads. */
export interface ReadableImages extends NamedImages {
  /** Returns the served images with this digest of their file or manifest. */
  withDigest(digest: string): readonly Image[]
}

export interface ReadRequest {
  readonly images: ReadableImages
  /** Undefined without origins. */
  readonly through: PullThrough | undefined
  readonly request: Request
  readonly idOrDigest: string
  readonly actor: Actor
}

/** Returns the image that an actor may read here by a digest; by an id or a name, `visibleImage` finds it. */
export function imageWithDigest({ images, idOrDigest, actor }: Pick<ReadRequest, 'images' | 'idOrDigest' | 'actor'>): Image | undefined {
  if (!idOrDigest.startsWith('sha256:') || images.named(idOrDigest).length > 0) return undefined
  return images.withDigest(idOrDigest).find((image) => isVisible(image, actor))
}

/**
 * Returns an image that this store does not have, as an origin describes it, if the actor may read it: its owner and grants decide, as they will
 * here. An image that the actor may not see looks as if no origin had it. Throws ProblemError `origin-unreachable` and `limit-reached`.
 */
export async function imageOfOrigin({ images, through, request, idOrDigest, actor }: ReadRequest): Promise<Image | undefined> {
  // A link is for an image of this store. Another store that asks wants what is here.
  if (!through || actor.link || /\bonly-if-cached\b/.test(request.headers.get('cache-control') ?? '')) return undefined
  const pulled = through.inProgress(idOrDigest)
  if (!pulled && images.named(idOrDigest).length > 0) return undefined
  const image = pulled ?? (await through.find(idOrDigest))
  if (!image) return undefined
  try {
    return visibleImage({ named: () => [image] }, idOrDigest, actor, 'read')
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'not-found') return undefined
    throw error
  }
}
