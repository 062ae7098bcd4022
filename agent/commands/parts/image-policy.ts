// Whether the configuration and the operators let a store accept new images. Uploads, imports and syncs ask before anything is written.

import { problem } from '../../../protocol/problems.ts'
import type { StoreGate, StoreSettings } from '../../contract/store.ts'

/** Creates the policy of a store. `requireEnabled` also throws `feature-disabled` while images are switched off. */
export function createImagePolicy(settings: StoreGate & Pick<StoreSettings, 'areImagesEnabled'>): StoreGate {
  return {
    isEnabled: () => settings.areImagesEnabled() && settings.isEnabled(),
    requireEnabled() {
      if (!settings.areImagesEnabled())
        throw problem('feature-disabled', 'Image feature is not enabled.', {
          action: 'An operator can switch it on: store edit S images=on, or set images.enabled = true in the configuration of the store.',
        })
      settings.requireEnabled()
    },
  }
}
