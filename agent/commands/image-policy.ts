// Whether the configuration and the operators let a store accept new images. Uploads and syncs ask before anything is written.

import { problem } from '../../protocol/problems.ts'
import type { Config } from '../config.ts'
import type { StoreGate } from '../contract/store.ts'

export interface ImagePolicyDeps {
  readonly images: Pick<Config['images'], 'enabled'>
  readonly settings: StoreGate
}

/** Creates the policy of a store. `requireEnabled` also throws `feature-disabled` when the configuration has images switched off. */
export function createImagePolicy({ images, settings }: ImagePolicyDeps): StoreGate {
  return {
    isEnabled: () => images.enabled && settings.isEnabled(),
    requireEnabled() {
      if (!images.enabled)
        throw problem('feature-disabled', 'Image feature is not enabled.', { action: 'Set images.enabled = true in the configuration of the store.' })
      settings.requireEnabled()
    },
  }
}
