// Rules for new images: which formats a kind has (protocol/images/image-kinds.ts), and which role may add installation images. They are checked when an
// image is declared, and again when its bytes have been inspected.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Image, ImageFormat } from '../../../protocol/images/image.ts'
import { kindRefusal } from '../../../protocol/images/image-kinds.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ImageRules } from '../../contract/image-rules.ts'
import type { Inspection } from '../formats/inspection.ts'
import type { StoredImage } from './image-file.ts'

const INSTALLATION_ACTION = 'Ask an administrator to add it, or to lower images.installation-images in the configuration of the store.'

/** Creates the rules of a store. `installationRole` is the lowest role that may add installation images. */
export function createImageRules({ installationRole }: { readonly installationRole: Role }): ImageRules {
  return {
    admitDraft({ kind, format }, { role, link }) {
      const refusal = kind === undefined || format === undefined ? undefined : kindRefusal(kind, format)
      if (refusal !== undefined) throw problem('format-mismatch', refusal, { action: 'Declare another kind or format, or only one of them.' })
      const mayBeInstallation = roleIncludes(link?.maker.role ?? role, installationRole)
      if (!mayBeInstallation && (kind === 'iso' || format === 'iso'))
        throw problem('forbidden', `Only the role ${installationRole} may add installation images to this store.`, { action: INSTALLATION_ACTION })
      return { mayBeInstallation }
    },
  }
}

/** Returns the kind of an image whose bytes have this format: the declared one, else that of the format. */
export function kindOf({ image, life }: Pick<StoredImage, 'image' | 'life'>, format: ImageFormat | null): Image['kind'] {
  return life.declared.kind ?? (format === 'iso' ? 'iso' : image.kind)
}

/** Returns the result of an inspection, refused if the creator declared another kind or may not add installation images. */
export function applyRules(inspection: Inspection, stored: Pick<StoredImage, 'image' | 'life'>): Inspection {
  if (inspection.kind === 'refused') return inspection
  const refused = (refusal: 'format-mismatch' | 'forbidden', reason: string): Inspection => ({
    ...inspection,
    kind: 'refused',
    refusal,
    reason,
    details: { ...inspection.details, refusal },
  })
  const kind = kindOf(stored, inspection.format)
  const mismatch = kindRefusal(kind, inspection.format)
  if (mismatch !== undefined) {
    const meant =
      inspection.format === 'iso' ? 'Upload it again with kind=iso, or as a disk image.' : 'Upload it again with the kind of a disk, or upload an ISO.'
    return refused('format-mismatch', `Format mismatch: ${mismatch} ${meant}`)
  }
  if (inspection.format !== 'iso' || stored.life.declared.mayBeInstallation) return inspection
  return refused('forbidden', `Not allowed: its bytes are an ISO, and its creator may not add installation images to this store. ${INSTALLATION_ACTION}`)
}
