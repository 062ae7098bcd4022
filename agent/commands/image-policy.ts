// Whether the configuration and the operators let a store take new images: what uploads and syncs ask before anything
// is written.

import type { Image, ImageDraft, ImageFilter } from '../../protocol/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { Config } from '../config.ts'
import type { StoreGate } from '../contract/store.ts'

export interface ImagePolicyDeps {
  readonly images: Pick<Config['images'], 'enabled' | 'maxPerOwner'>
  readonly settings: StoreGate
  /** The first images of a filter, outside of the recycle bin. */
  readonly list: (filter: ImageFilter, page: { readonly limit: number }) => { readonly items: readonly Image[] }
}

export interface ImagePolicy extends StoreGate {
  /** Throws ProblemError `limit-reached` when the owner of the draft has as many images as one may have. */
  admit(draft: Pick<ImageDraft, 'owner'>): void
}

/** Makes the policy of a store. `requireEnabled` also throws `feature-disabled` where the configuration has images switched off. */
export function createImagePolicy({ images, settings, list }: ImagePolicyDeps): ImagePolicy {
  return {
    isEnabled: () => images.enabled && settings.isEnabled(),
    requireEnabled() {
      if (!images.enabled)
        throw problem('feature-disabled', 'Image feature is not enabled.', { action: 'Set images.enabled = true in the configuration of the store.' })
      settings.requireEnabled()
    },
    admit({ owner }) {
      const { maxPerOwner } = images
      if (maxPerOwner === 0 || owner === undefined || list({ owner }, { limit: maxPerOwner }).items.length < maxPerOwner) return
      throw problem('limit-reached', `Maximum image limit reached: ${owner} has ${maxPerOwner} images.`, {
        action: 'Delete an image of this owner, or raise images.max-per-owner in the configuration of the store.',
        limit: maxPerOwner,
      })
    },
  }
}
