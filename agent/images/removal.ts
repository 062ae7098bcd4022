// Removal of an image: moves it to the recycle bin, or purges it permanently.
//
// Purge: record that the upload has become this image → set status `deleting` in image.json → remove the manifest durably → append the usage of the image to the ledger → remove the folder. After the
// second step, gc may remove the slices.
// The next start resumes a purge that a crash interrupted.

import { errorText } from '../../protocol/errors.ts'
import type { Image } from '../../protocol/images/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'
import { isDiskFull } from '../contract/failures.ts'
import type { ImagesInProgress } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { DeletionPolicy } from '../contract/store.ts'
import type { UsageLedger } from '../contract/usage.ts'
import type { EmitEvent } from '../contract/work.ts'
import { diskProblem } from './records/disk-problem.ts'
import type { StoredImage } from './records/image-file.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { binned, changed, livesWith, refuseDeletion, refuseUnreadable, removing } from './records/image-states.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import { planPrune } from './prune.ts'
import type { PrunePlan } from './prune.ts'
import { endedPeriodsOf } from './usage/periods.ts'

export interface PruneReport {
  readonly dryRun: boolean
  readonly purged: PrunePlan['purge']
  /** Images that could not be purged, with the reason. The next prune retries them. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[]
}

export interface Removal {
  /**
   * Moves an image to the recycle bin and returns it, or removes it permanently and returns undefined. An image that is already in the bin
   * stays there unless `permanent` is set, which bypasses the bin: on a full disk, operators need not wait for the retention to end.
   */
  delete(id: string, actor: string, options?: { readonly permanent: boolean }): Promise<Image | undefined>
  /**
   * Removes the last binding of a virtual disk and deletes it in the same durable write. Returns the image as it was deleted, or undefined if it
   * is no longer a virtual disk of this instance alone.
   */
  deleteWithInstance(id: string, instance: string, actor: string): Promise<Image | undefined>
  /** Removes an image permanently, in any status in which its files are readable. */
  purge(id: string, actor: string): Promise<void>
  /** Purges images whose retention has ended. */
  prune(options: { readonly dryRun: boolean; readonly signal?: AbortSignal }): Promise<PruneReport>
}

export interface RemovalDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** What deleting an image does now. */
  readonly retention: () => DeletionPolicy
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Manifests of compressed files that are not unpacked yet. */
  readonly compressed: ManifestFiles
  readonly ledger: UsageLedger
  readonly inProgress?: (() => ImagesInProgress | undefined) | undefined
}

/** Creates the removal of images of a catalogue. */
export function createRemoval(deps: RemovalDeps): Removal {
  const { clock, retention, keeper } = deps
  return {
    async delete(id, actor, { permanent } = { permanent: false }) {
      await endUpload(deps, id)
      return await keeper.table.locked(id, async () => {
        const stored = keeper.need(id)
        if (stored.image.status === 'deleted' && !permanent) return stored.image
        refuseUnreadable(stored.image)
        refuseDeletion(stored.image)
        const { deletion } = retention()
        if (permanent && deletion === 'never') throw keptForever(stored.image)
        if (permanent || deletion === 'immediate' || stored.image.status === 'deleting') {
          await purgeLocked(deps, stored, actor)
          return undefined
        }
        return await binLocked(deps, stored, actor)
      })
    },
    async deleteWithInstance(id, instance, actor) {
      await endUpload(deps, id)
      return await keeper.table.locked(id, async () => {
        const stored = keeper.need(id)
        refuseUnreadable(stored.image)
        if (!livesWith(stored.image, instance)) return undefined
        const unbound = changed(stored, { bindings: [] })
        refuseDeletion({ ...unbound.image, protected: false })
        if (retention().deletion !== 'immediate' && stored.image.status !== 'deleting') return await binLocked(deps, unbound, actor)
        await purgeLocked(deps, unbound, actor)
        return removing(unbound).image
      })
    },
    async purge(id, actor) {
      await endUpload(deps, id)
      await keeper.table.locked(id, () => purgeLocked(deps, keeper.need(id), actor))
    },
    async prune({ dryRun, signal }) {
      const plan = planPrune(
        keeper.table.all().map(({ image }) => image),
        clock.nowMs(),
        retention(),
      )
      if (dryRun) return { dryRun, purged: plan.purge, failed: [] }
      return { dryRun, ...(await executePrune(deps, plan, signal)) }
    },
  }
}

async function executePrune(deps: RemovalDeps, plan: PrunePlan, signal: AbortSignal | undefined): Promise<Omit<PruneReport, 'dryRun'>> {
  const { clock, log, keeper } = deps
  const purged: PrunePlan['purge'][number][] = []
  const failed: { id: string; reason: string }[] = []
  for (const victim of plan.purge) {
    signal?.throwIfAborted()
    try {
      await endUpload(deps, victim.id)
      // Checked again under the lock: the image may have been restored in the meantime.
      const isGone = await keeper.table.locked(victim.id, async () => {
        const stored = keeper.table.get(victim.id)
        if (!stored || planPrune([stored.image], clock.nowMs(), deps.retention()).purge.length === 0) return false
        await purgeLocked(deps, stored, 'prune')
        return true
      })
      if (isGone) purged.push(victim)
    } catch (error) {
      log.warn('an image could not be purged', { image: victim.id, error })
      failed.push({ id: victim.id, reason: errorText(error) })
    }
  }
  return { purged, failed }
}

/**
 * Makes sure that an upload does not publish the image again after its removal: an upload whose record could not be written retries that every
 * minute and after a restart. The caller must not hold the lock of the image, because an upload that is being published holds its own and waits for it.
 */
async function endUpload({ keeper, inProgress }: Pick<RemovalDeps, 'keeper' | 'inProgress'>, id: string): Promise<void> {
  if (keeper.table.get(id)) await inProgress?.()?.recordPublished(id)
}

/** Moves an image to the recycle bin. The caller holds the lock of the image. */
async function binLocked({ clock, emit, crashPoint, retention, keeper }: RemovalDeps, stored: StoredImage, actor: string): Promise<Image> {
  const { image } = await keeper.save(inBin(stored, retention(), clock.nowMs()))
  crashPoint('images:deleted')
  emit({ type: 'image.deleted', severity: 'info', subject: image.id, message: `Image ${image.name} is in the recycle bin${until(image)}.`, actor })
  return image
}

/** Removes an image permanently. The caller holds the lock of the image. */
async function purgeLocked({ disk, emit, crashPoint, keeper, manifests, compressed, ledger }: RemovalDeps, stored: StoredImage, actor: string): Promise<void> {
  const { id, name } = stored.image
  const marked = removing(stored)
  // An earlier removal may have failed after its record was written.
  const mayRepeat = stored.image.status === 'deleting' || stored.life.damage === 'manifest'
  try {
    await keeper.save(marked)
  } catch (error) {
    // Deleting must work on a full disk: gc can free the slices as soon as the manifest is removed.
    if (!(error instanceof ProblemError) || !isDiskFull(error.cause)) throw error
    keeper.table.put(keeper.accounted(marked))
  }
  crashPoint('images:purge-marked')
  try {
    await manifests.remove(id)
    if (stored.life.compressed !== null) await compressed.remove(id)
    crashPoint('images:purge-manifest-removed')
    // After the manifest, so that a full disk has room for the record.
    await ledger.append(endedPeriodsOf(keeper.need(id)), { mayRepeat })
    await disk.removeTree(keeper.folder(id))
  } catch (error) {
    throw diskProblem('The image could not be removed', error)
  }
  crashPoint('images:purge-removed')
  keeper.table.remove(id)
  keeper.unfinished.delete(id)
  emit({ type: 'image.purged', severity: 'info', subject: id, message: `Image ${name} was removed permanently; cleanup frees its space.`, actor })
}

function keptForever({ name }: Image): ProblemError {
  return problem('feature-disabled', `Image ${name} cannot be removed: this store keeps deleted images forever.`, {
    action: 'Change the policy first: store edit STORE deletion=delayed, or deletion=immediate.',
  })
}

function inBin(stored: StoredImage, retention: DeletionPolicy, nowMs: number): StoredImage {
  return binned(stored, nowMs, retention.deletion === 'never' ? null : formatTime(nowMs + retention.retentionMs))
}

function until(image: Image): string {
  return image.expiresAt === null ? ' and stays there' : ` until ${image.expiresAt}`
}
