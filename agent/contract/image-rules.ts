// Which images a creator may add. Every way in asks before the first byte: uploads, concatenations and imports.

import type { Image, ImageDraft } from '../../protocol/images/image.ts'
import type { Actor } from './access.ts'

export interface ImageRules {
  /**
   * Checks the declared kind and format of a new image. Throws ProblemError `format-mismatch` if they do not go together, and `forbidden` if they
   * declare an installation image and the actor may not add one. The right of a link is that of its creator. Throws `kind-not-accepted` if the store
   * does not take what the image is, or, while nothing is declared, might be: an ISO or a disk. `origin` is how its bytes come: of a file that the agent
   * found on the mount path, the inspection decides.
   */
  admitDraft(draft: Pick<ImageDraft, 'kind' | 'format'>, actor: Pick<Actor, 'role' | 'link'>, origin?: Image['source']['kind']): DraftRights
}

/** What a new image may be. It is stored with the image, because only the inspection shows what an undeclared image is. */
export interface DraftRights {
  /** Whether the image may turn out to be an installation image, an ISO. */
  readonly mayBeInstallation: boolean
}
