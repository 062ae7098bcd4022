// Damaged slices of images: marks images as degraded, and as available again once a scrub finds their slices intact.

import { formatTime } from '../../../protocol/time.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { StoredImage } from '../records/image-file.ts'
import type { ImageKeeper } from '../records/image-keeper.ts'
import { withoutDamage, withSliceDamage } from '../records/image-states.ts'

const ROOT_PREFIX = 'image '
/** What to do about an image with damaged slices. */
export const SLICES_ACTION = 'Sync the image again from a store that has it; only damaged and missing slices are copied.'

/** Returns the name of the gc root of an image. */
export function rootName(id: string): string {
  return ROOT_PREFIX + id
}

/** Changes an image. If the disk cannot be written, changes it in memory only. Never throws. */
export type ChangeStatus = (id: string, edit: (stored: StoredImage) => StoredImage | undefined) => Promise<void>

/** Result of a finished scrub for images. */
export interface ScrubFindings {
  /** Names of roots with at least one damaged or missing slice. */
  readonly damagedRoots: readonly string[]
  /** Start of the scrub in milliseconds since 1970. Damage found after this time is not cleared. */
  readonly startedAtMs: number
}

export interface SliceDamage {
  /** Marks the images of these roots as degraded. Ignores other roots. Never throws. */
  markDamaged(roots: readonly string[], reason: string): Promise<void>
  /**
   * Marks images that a scrub found damaged as degraded, and degraded images that it found intact as available. New images that could not be
   * read are inspected again. Never throws.
   */
  applyScrub(findings: ScrubFindings): Promise<void>
  /**
   * Marks an image whose slices were all found stored as intact. `startedAtMs` is the start of that search: damage found later is not cleared. Returns
   * whether the image was damaged and is not any more. Never throws.
   */
  slicesIntact(id: string, startedAtMs: number): Promise<boolean>
}

export interface SliceDamageDeps {
  readonly clock: Clock
  readonly emit: EmitEvent
  readonly keeper: ImageKeeper
  /** Called when damage of an image is found that was not known. Must not throw. */
  readonly damaged?: () => void
  /** Resumes inspection and digest of an image whose slices are intact again. */
  readonly resume: (id: string) => void
}

/** Creates the tracking of damaged slices. */
export function createSliceDamage({ clock, emit, keeper, damaged, resume }: SliceDamageDeps, changeStatus: ChangeStatus): SliceDamage {
  const markDamaged: SliceDamage['markDamaged'] = async (roots, reason) => {
    for (const root of roots) {
      if (!root.startsWith(ROOT_PREFIX)) continue
      const id = root.slice(ROOT_PREFIX.length)
      let isNew = false
      await changeStatus(id, (stored) => {
        const next = withSliceDamage(stored, reason, clock.nowMs())
        isNew = next !== undefined && stored.life.damage === null
        return next
      })
      if (!isNew) continue
      const name = keeper.table.get(id)?.image.name ?? id
      emit({ type: 'image.degraded', severity: 'error', subject: id, message: `Image ${name} is degraded: ${reason}` })
      damaged?.()
    }
  }
  const slicesIntact: SliceDamage['slicesIntact'] = async (id, startedAtMs) => {
    let isCleared = false
    await changeStatus(id, (stored) => {
      isCleared = stored.life.damage === 'slices' && stored.life.damagedAtMs < startedAtMs && stored.image.status !== 'deleting'
      return isCleared ? withoutDamage(stored) : undefined
    })
    if (!isCleared) return false
    const name = keeper.table.get(id)?.image.name ?? id
    emit({ type: 'image.recovered', severity: 'info', subject: id, message: `Image ${name} is intact again.` })
    resume(id)
    return true
  }
  return {
    markDamaged,
    slicesIntact,
    async applyScrub({ damagedRoots, startedAtMs }) {
      const seenAt = formatTime(clock.nowMs())
      await markDamaged(damagedRoots, `the scrub that ended at ${seenAt} found damaged or missing slices. ${SLICES_ACTION}`)
      const found = new Set(damagedRoots)
      for (const { image, life } of keeper.table.all()) {
        if (life.damage === 'slices' && !found.has(rootName(image.id))) await slicesIntact(image.id, startedAtMs)
      }
    },
  }
}
