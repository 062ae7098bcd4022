// Decides what a sync does with one image, and does it: nothing for an image that is here, under its own id or another; a refusal where this store may
// not take it; a copy otherwise. A dry run stops before the first slice.

import type { Role } from '../../protocol/access.ts'
import type { Image, ImageStatus } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { ImageAdmission, ImageVerification, SameContent } from '../contract/images.ts'
import type { ImageLookupById } from '../contract/images.ts'
import { planSync } from './plan.ts'
import type { SyncDecision } from './plan.ts'
import { measureImage, pullImage } from './pull.ts'
import type { PullDeps, PullOptions, PullSources } from './pull.ts'
import type { ImageEnd } from './task-images.ts'

export interface CopyDeps extends PullDeps {
  readonly images: PullDeps['images'] & ImageLookupById & ImageAdmission & ImageVerification & SameContent
  /** Throws ProblemError if this store takes no new images, or not this one from somebody with this role. */
  readonly admitNew: (image: Pick<Image, 'kind' | 'format'>, role: Role) => void
}

export interface CopyOptions extends PullOptions {
  /** Role of who ordered the sync. */
  readonly role: Role
  /** Returns what a sync would do. Nothing is copied, and no lease remains. */
  readonly dryRun: boolean
  /** Copies the image also if its content is here under another id. */
  readonly underOwnId?: boolean
}

/** Statuses in which this store keeps its copy of an image if the manifest is intact. */
const KEPT_STATUSES: ReadonlySet<ImageStatus> = new Set(['creating', 'available', 'deleted'])

const REFUSALS = {
  busy: 'is being removed from this store',
  unreadable: 'exists in this store, but its files cannot be read',
  'other-bytes': 'exists in this store with different content',
} as const

const WOULD = { new: 'would-copy', repair: 'would-repair', restore: 'would-restore' } as const

/** Copies one image, or says why that is not needed. Throws ProblemError. */
export async function copyImage(deps: CopyDeps, sources: PullSources, image: Image, options: CopyOptions): Promise<ImageEnd> {
  // The complete manifest is verified before the local copy is accepted. If it is damaged, the image is copied again.
  const found = deps.images.find(image.id)
  if (found && KEPT_STATUSES.has(found.status)) await deps.images.isWhole(image.id)
  const here = deps.images.find(image.id)
  const decision = planSync(image, here)
  switch (decision.kind) {
    case 'already-there':
      // A crash between publishing the image and removing its lease leaves the lease behind.
      await deps.leases.remove(image.id)
      return whole('already-there', image)
    case 'refused':
      throw problem('conflict', `Image ${image.name} (${image.id}) ${REFUSALS[decision.reason]}.`, {
        action:
          decision.reason === 'other-bytes'
            ? 'Delete one of the two images for good, or copy the content under a new id: export it and upload it again.'
            : 'Check the image in this store with image show, then sync again.',
      })
    case 'copy':
      return runCopy(deps, sources, image, { ...options, here, decision })
  }
}

interface CopyRun extends CopyOptions {
  readonly here: Image | undefined
  readonly decision: Extract<SyncDecision, { kind: 'copy' }>
}

async function runCopy(deps: CopyDeps, sources: PullSources, image: Image, { here, decision, ...options }: CopyRun): Promise<ImageEnd> {
  const { images } = deps
  if (decision.why === 'new' && options.underOwnId !== true) {
    const same = await samePublished(deps, image)
    if (same) return { ...whole('same-as', image), sameAs: same.id }
  }
  if (decision.why !== 'repair') deps.admitNew(image, options.role)
  // A new or restored image counts towards the limit of its owner while it is copied. A repaired image already counts.
  using _claim = decision.why === 'repair' ? undefined : images.admit({ id: image.id, owner: (here ?? image).owner, length: image.length })
  if (options.dryRun) {
    const { missingBytes, zeroBytes } = await measureImage(deps, sources, image, options)
    return { outcome: WOULD[decision.why], bytesMoved: missingBytes, bytesPresent: image.length - zeroBytes - missingBytes, bytesZero: zeroBytes }
  }
  const movedBefore = options.counts.bytesMoved
  const { isNew, missingBytes, zeroBytes } = await pullImage(deps, sources, image, options)
  return {
    outcome: isNew ? 'copied' : 'already-there',
    bytesMoved: options.counts.bytesMoved - movedBefore,
    bytesPresent: image.length - zeroBytes - missingBytes,
    bytesZero: zeroBytes,
  }
}

/** Returns an intact image with the same content under another id. */
async function samePublished({ images }: CopyDeps, image: Image): Promise<Image | undefined> {
  const same = images.withContent(image)
  return same && same.id !== image.id && (await images.isWhole(same.id)) ? images.withContent(image) : undefined
}

/** Nothing is moved. The zeros of an image whose manifest is not read count as present. */
function whole(outcome: 'already-there' | 'same-as', { length }: Image): ImageEnd {
  return { outcome, bytesMoved: 0, bytesPresent: length, bytesZero: 0 }
}
