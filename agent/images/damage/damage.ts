// Damage tracking: damaged slices make an image degraded (slice-damage.ts), a damaged manifest makes it an error (manifest-damage.ts), and both
// are cleared once the image is intact again.

import type { Log } from '../../contract/runtime.ts'
import { createManifestDamage } from './manifest-damage.ts'
import type { ManifestDamage, ManifestDamageDeps } from './manifest-damage.ts'
import { createSliceDamage } from './slice-damage.ts'
import type { ChangeStatus, SliceDamage, SliceDamageDeps } from './slice-damage.ts'

export interface DamageDeps extends SliceDamageDeps, ManifestDamageDeps {
  readonly log: Log
}

export interface Damage extends SliceDamage, ManifestDamage {
  /** Changes an image. If the disk cannot be written, changes it in memory only. Never throws. */
  readonly changeStatus: ChangeStatus
}

/** Creates the damage tracking of a catalogue. */
export function createDamage(deps: DamageDeps): Damage {
  const changeStatus: ChangeStatus = async (id, edit) => {
    try {
      await deps.keeper.note(id, edit)
    } catch (error) {
      // The change is kept in memory, and the next start or scrub detects the damage again.
      deps.log.warn('the state of an image could not be saved', { image: id, error })
    }
  }
  return { changeStatus, ...createSliceDamage(deps, changeStatus), ...createManifestDamage(deps, changeStatus) }
}
