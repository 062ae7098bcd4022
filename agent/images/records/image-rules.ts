// Rules for new images: which kinds the store takes, which formats a kind has (protocol/images/image-kinds.ts), and which role may add installation images.
// They are checked when an image is declared, and again when its bytes have been inspected.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Image, ImageDraft, ImageFormat } from '../../../protocol/images/image.ts'
import { kindRefusal, possibleKinds } from '../../../protocol/images/image-kinds.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ImageRules } from '../../contract/image-rules.ts'
import type { Inspection } from '../formats/inspection.ts'
import type { StoredImage } from './image-file.ts'

const INSTALLATION_ACTION = 'Ask an administrator to add it, or to lower images.installation-images in the configuration of the store.'

type ImageKind = Image['kind']

export interface ImageRulesDeps {
  /** Lowest role that may add installation images. */
  readonly installationRole: Role
  /** Kinds of images that the store takes now; none for all. Default: all. */
  readonly acceptedKinds?: () => readonly ImageKind[]
}

/** Creates the rules of a store. */
export function createImageRules({ installationRole, acceptedKinds = () => [] }: ImageRulesDeps): ImageRules {
  return {
    admitDraft({ kind, format }, { role, link }, origin) {
      refuseOtherKinds(acceptedKinds(), { kind, format }, origin)
      const refusal = kind === undefined || format === undefined ? undefined : kindRefusal(kind, format)
      if (refusal !== undefined) throw problem('format-mismatch', refusal, { action: 'Declare another kind or format, or only one of them.' })
      const mayBeInstallation = roleIncludes(link?.maker.role ?? role, installationRole)
      if (!mayBeInstallation && (kind === 'iso' || format === 'iso'))
        throw problem('forbidden', `Only the role ${installationRole} may add installation images to this store.`, { action: INSTALLATION_ACTION })
      return { mayBeInstallation }
    },
  }
}

/** Ways on which nobody declares a kind: the agent finds a file on the mount path. */
const FOUND: ReadonlySet<Image['source']['kind']> = new Set(['inbox', 'existing'])

/** Throws `kind-not-accepted` for a draft that the store does not take. */
export function refuseOtherKinds(
  accepted: readonly ImageKind[],
  draft: Pick<ImageDraft, 'kind' | 'format'>,
  origin: Image['source']['kind'] | undefined,
): void {
  if (accepted.length === 0) return
  const possible = possibleKinds(draft)
  const taken = possible.filter((kind) => accepted.includes(kind))
  if (taken.length === possible.length || (taken.length > 0 && origin !== undefined && FOUND.has(origin))) return
  const [only] = possible
  const what = possible.length === 1 ? `not the kind ${only}` : `and this image declares no kind, so that it may be ${possible.join(' or ')}`
  throw problem('kind-not-accepted', `This store takes only images of the kinds ${accepted.join(', ')}, ${what}.`, { kinds: [...accepted] })
}

/** Returns the kind of an image whose bytes have this format: the declared one, else that of the format. */
export function kindOf({ image, life }: Pick<StoredImage, 'image' | 'life'>, format: ImageFormat | null): Image['kind'] {
  return life.declared.kind ?? (format === 'iso' ? 'iso' : image.kind)
}

/**
 * Returns the result of an inspection, refused if the creator declared another kind or may not add installation images, or if the bytes of a file on the mount
 * path are of a kind that the store does not take. `accepted`: kinds that it takes now; none for all.
 */
export function applyRules(inspection: Inspection, stored: Pick<StoredImage, 'image' | 'life'>, accepted: readonly ImageKind[] = []): Inspection {
  if (inspection.kind === 'refused') return inspection
  const refused = (refusal: 'format-mismatch' | 'forbidden' | 'kind-not-accepted', reason: string): Inspection => ({
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
  const isUndeclared = stored.life.declared.kind === null && FOUND.has(stored.image.source.kind)
  if (isUndeclared && accepted.length > 0 && !accepted.includes(kind))
    return refused(
      'kind-not-accepted',
      `Store takes other kinds only: its bytes are of the kind ${kind}, and the store takes only ${accepted.join(', ')}. Move the file to another store.`,
    )
  if (inspection.format !== 'iso' || stored.life.declared.mayBeInstallation) return inspection
  return refused('forbidden', `Not allowed: its bytes are an ISO, and its creator may not add installation images to this store. ${INSTALLATION_ACTION}`)
}
