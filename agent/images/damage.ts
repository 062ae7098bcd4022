// Damage tracking: marks images with damaged slices as degraded and images with a damaged manifest as errors, and clears the mark once they are
// intact again.

import { ManifestInvalid } from '../../protocol/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'
import type { StoredImage } from './image-file.ts'
import type { ImageKeeper } from './image-keeper.ts'
import { withManifestDamage, withoutDamage, withSliceDamage } from './image-states.ts'
import type { ManifestHandle } from './manifests/manifest-cache.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'

const ROOT_PREFIX = 'image '

/** Returns the name of the gc root of an image. */
export function rootName(id: string): string {
  return ROOT_PREFIX + id
}

export interface DamageDeps {
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Resumes inspection and digest of an image that is no longer an error. */
  readonly resume: (id: string) => void
}

/** Result of a finished scrub for images. */
export interface ScrubFindings {
  /** Names of roots with at least one damaged or missing slice. */
  readonly damagedRoots: readonly string[]
  /** Start of the scrub in milliseconds since 1970. Damage found after this time is not cleared. */
  readonly startedAtMs: number
}

export interface Damage {
  /** Marks the images of these roots as degraded. Ignores other roots. Never throws. */
  markDamaged(roots: readonly string[], reason: string): Promise<void>
  /** Marks images that a scrub found damaged as degraded, and degraded images that it found intact as available. Never throws. */
  applyScrub(findings: ScrubFindings): Promise<void>
  /** Marks an image with a damaged or missing manifest as an error. Never throws. */
  manifestDamaged(id: string, reason: string): Promise<void>
  /** Restores the earlier status of an image whose manifest is intact again. Never throws. */
  manifestWhole(id: string): Promise<void>
  /**
   * Reads a complete manifest, one block at a time, and returns whether it is the undamaged manifest of the image. Marks the image
   * accordingly. Concurrent calls for the same image share one pass. Throws disk errors.
   */
  verifyManifest(id: string): Promise<boolean>
  /** Changes an image. If the disk cannot be written, changes it in memory only. Never throws. */
  noteStatus(id: string, edit: (stored: StoredImage) => StoredImage | undefined): Promise<void>
  /** Opens the verified manifest of an image. If it is damaged, marks the image as an error and throws `data-corrupt`. Throws `not-found`. */
  manifest(id: string): Promise<ManifestHandle>
}

export function createDamage(deps: DamageDeps): Damage {
  const { clock, log, emit, keeper, manifests } = deps
  const verifying = new Map<string, Promise<boolean>>()

  const note = async (id: string, edit: (stored: StoredImage) => StoredImage | undefined): Promise<void> => {
    try {
      await keeper.note(id, edit)
    } catch (error) {
      // The change is kept in memory, and the next start or scrub detects the damage again.
      log.warn('the state of an image could not be saved', { image: id, error })
    }
  }
  const markDamaged: Damage['markDamaged'] = async (roots, reason) => {
    for (const root of roots) {
      if (!root.startsWith(ROOT_PREFIX)) continue
      const id = root.slice(ROOT_PREFIX.length)
      let isNew = false
      await note(id, (stored) => {
        const next = withSliceDamage(stored, reason, clock.nowMs())
        isNew = next !== undefined && stored.life.damage === null
        return next
      })
      if (isNew) emit({ type: 'image.degraded', severity: 'error', subject: id, message: `Image ${nameOf(keeper, id)} is degraded: ${reason}` })
    }
  }
  const manifestDamaged: Damage['manifestDamaged'] = async (id, reason) => {
    let isNew = false
    await note(id, (stored) => {
      const next = withManifestDamage(stored, reason)
      isNew = next !== undefined
      return next
    })
    manifests.evict(id)
    if (isNew) emit({ type: 'image.damaged', severity: 'error', subject: id, message: `The manifest of image ${nameOf(keeper, id)} is damaged: ${reason}.` })
  }
  const manifestWhole: Damage['manifestWhole'] = async (id) => {
    let isNew = false
    await note(id, (stored) => {
      isNew = stored.life.damage === 'manifest' && stored.image.manifestDigest !== null && stored.image.status !== 'deleting'
      return isNew ? withoutDamage(stored) : undefined
    })
    if (!isNew) return
    emit({ type: 'image.recovered', severity: 'info', subject: id, message: `The manifest of image ${nameOf(keeper, id)} is intact again.` })
    deps.resume(id)
  }

  return {
    markDamaged,
    noteStatus: note,
    manifestDamaged,
    manifestWhole,
    verifyManifest(id) {
      const running = verifying.get(id)
      if (running) return running
      const verification = verifyFile(deps, { manifestDamaged, manifestWhole }, id).finally(() => verifying.delete(id))
      verifying.set(id, verification)
      return verification
    },
    async applyScrub({ damagedRoots, startedAtMs }) {
      const seenAt = formatTime(clock.nowMs())
      await markDamaged(damagedRoots, `the scrub that ended at ${seenAt} found damaged or missing slices. ${SLICES_ACTION}`)
      const damaged = new Set(damagedRoots)
      for (const { image, life } of keeper.table.all()) {
        if (life.damage !== 'slices' || damaged.has(rootName(image.id)) || life.damagedAtMs >= startedAtMs) continue
        await note(image.id, (stored) => (stored.life.damage === 'slices' ? withoutDamage(stored) : undefined))
        emit({ type: 'image.recovered', severity: 'info', subject: image.id, message: `Image ${image.name} is intact again.` })
      }
    },
    async manifest(id) {
      const { image } = keeper.need(id)
      try {
        return await manifests.open(id, image.manifestDigest)
      } catch (error) {
        if (!(error instanceof ManifestInvalid)) throw error
        await manifestDamaged(id, error.message)
        throw problem('data-corrupt', `The manifest of image ${image.name} is damaged: ${error.message}.`, {}, { cause: error })
      }
    },
  }
}

/** Verifies a complete manifest and records the result. */
async function verifyFile({ keeper, manifests }: DamageDeps, found: Pick<Damage, 'manifestDamaged' | 'manifestWhole'>, id: string): Promise<boolean> {
  const before = keeper.table.get(id)
  if (!before || before.image.manifestDigest === null) return false
  const { manifestDigest } = before.image
  try {
    // Each block is a separate read of the file, so the event loop stays free.
    for await (const _block of manifests.walk(id, manifestDigest)) continue
  } catch (error) {
    if (!(error instanceof ManifestInvalid)) throw error
    if (keeper.table.get(id)?.image.manifestDigest === manifestDigest) await found.manifestDamaged(id, error.message)
    return false
  }
  await found.manifestWhole(id)
  return true
}

/** What to do about an image with damaged slices. */
export const SLICES_ACTION = 'Sync the image again from a store that has it; only damaged and missing slices are copied.'

function nameOf(keeper: ImageKeeper, id: string): string {
  return keeper.table.get(id)?.image.name ?? id
}
