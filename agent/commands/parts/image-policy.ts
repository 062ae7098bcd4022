// Whether the configuration and the operators let a store accept new images. Uploads, imports and syncs ask before anything is written.

import { problem } from '../../../protocol/problems.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Config } from '../../config.ts'
import type { ImageRules } from '../../contract/image-rules.ts'
import type { StoreGate, StoreSettings } from '../../contract/store.ts'
import { createImageRules } from '../../images/records/image-rules.ts'

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

/** Returns the rules of a store for new images: which kinds it takes now, and who may add installation images. */
export function imageRulesOf({ images }: Pick<Config, 'images'>, settings: Pick<StoreSettings, 'acceptedKinds'>): ImageRules {
  return createImageRules({ installationRole: images.installationRole, acceptedKinds: () => settings.acceptedKinds() })
}

/** Returns the check of an image that is copied from another store, ordered by somebody with this role. Throws ProblemError as `admitDraft` does. */
export function admitCopies(rules: ImageRules): (image: Pick<Image, 'kind' | 'format'>, role: Role) => void {
  return ({ kind, format }, role) => void rules.admitDraft({ kind, ...(format === null ? {} : { format }) }, { role })
}
