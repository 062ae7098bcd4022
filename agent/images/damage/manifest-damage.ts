// Damaged manifests of images: marks an image with a damaged or missing manifest as an error, and restores its status once the manifest is intact.

import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { ImageKeeper } from '../records/image-keeper.ts'
import { withManifestDamage, withoutDamage } from '../records/image-states.ts'
import type { ManifestHandle } from '../manifests/manifest-cache.ts'
import type { ManifestFiles } from '../manifests/manifest-files.ts'
import type { ChangeStatus } from './slice-damage.ts'

export interface ManifestDamageDeps {
  readonly emit: EmitEvent
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Called when damage of an image is found that was not known. Must not throw. */
  readonly damaged?: () => void
  /** Resumes inspection and digest of an image that is no longer an error. */
  readonly resume: (id: string) => void
}

export interface ManifestDamage {
  /** Marks an image with a damaged or missing manifest as an error. Never throws. */
  markManifestDamaged(id: string, reason: string): Promise<void>
  /** Restores the earlier status of an image whose manifest is intact again. Never throws. */
  markManifestIntact(id: string): Promise<void>
  /**
   * Reads a complete manifest, one block at a time, and returns whether it is the undamaged manifest of the image. Marks the image
   * accordingly. Concurrent calls for the same image share one pass. Throws disk errors.
   */
  verifyManifest(id: string): Promise<boolean>
  /** Opens the verified manifest of an image. If it is damaged, marks the image as an error and throws `data-corrupt`. Throws `not-found`. */
  openManifest(id: string): Promise<ManifestHandle>
}

/** Creates the tracking of damaged manifests. */
export function createManifestDamage(deps: ManifestDamageDeps, changeStatus: ChangeStatus): ManifestDamage {
  const { emit, keeper, manifests } = deps
  const verifying = new Map<string, Promise<boolean>>()
  const nameOf = (id: string): string => keeper.table.get(id)?.image.name ?? id

  const markManifestDamaged: ManifestDamage['markManifestDamaged'] = async (id, reason) => {
    let isNew = false
    await changeStatus(id, (stored) => {
      const next = withManifestDamage(stored, reason)
      isNew = next !== undefined
      return next
    })
    manifests.evict(id)
    if (!isNew) return
    emit({ type: 'image.damaged', severity: 'error', subject: id, message: `The manifest of image ${nameOf(id)} is damaged: ${reason}.` })
    deps.damaged?.()
  }
  const markManifestIntact: ManifestDamage['markManifestIntact'] = async (id) => {
    let isNew = false
    await changeStatus(id, (stored) => {
      isNew = stored.life.damage === 'manifest' && stored.image.manifestDigest !== null && stored.image.status !== 'deleting'
      return isNew ? withoutDamage(stored) : undefined
    })
    if (!isNew) return
    emit({ type: 'image.recovered', severity: 'info', subject: id, message: `The manifest of image ${nameOf(id)} is intact again.` })
    deps.resume(id)
  }
  return {
    markManifestDamaged,
    markManifestIntact,
    verifyManifest(id) {
      const running = verifying.get(id)
      if (running) return running
      const verification = verifyFile(deps, { markManifestDamaged, markManifestIntact }, id).finally(() => verifying.delete(id))
      verifying.set(id, verification)
      return verification
    },
    async openManifest(id) {
      const { image, life } = keeper.need(id)
      if (life.compressed !== null) throw problem('wrong-status', `Image ${image.name} is not unpacked yet.`)
      try {
        return await manifests.open(id, image.manifestDigest)
      } catch (error) {
        if (!(error instanceof ManifestInvalid)) throw error
        await markManifestDamaged(id, error.message)
        throw problem('data-corrupt', `The manifest of image ${image.name} is damaged: ${error.message}.`, {}, { cause: error })
      }
    },
  }
}

/** Verifies a complete manifest and records the result. */
async function verifyFile(
  { keeper, manifests }: ManifestDamageDeps,
  marks: Pick<ManifestDamage, 'markManifestDamaged' | 'markManifestIntact'>,
  id: string,
): Promise<boolean> {
  const before = keeper.table.get(id)
  if (!before || before.image.manifestDigest === null) return false
  const { manifestDigest } = before.image
  try {
    // Each block is a separate read of the file, so the event loop stays free.
    for await (const _block of manifests.walk(id, manifestDigest)) continue
  } catch (error) {
    if (!(error instanceof ManifestInvalid)) throw error
    if (keeper.table.get(id)?.image.manifestDigest === manifestDigest) await marks.markManifestDamaged(id, error.message)
    return false
  }
  await marks.markManifestIntact(id)
  return true
}
