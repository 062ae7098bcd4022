// Life of an image after it was published: changed, bound, granted, deleted to the recycle bin, restored, purged.
//
// Purge: image.json says deleting → the manifest is gone, durably → the folder is gone. From the second step on gc may
// take the slices; a crash at any step is taken up by the next start.

import { errorText } from '../../protocol/errors.ts'
import type { Image, ImagePatch } from '../../protocol/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'
import { isDiskFull } from '../contract/failures.ts'
import { diskProblem } from './disk-problem.ts'
import type { Damage } from './damage.ts'
import type { StoredImage } from './image-file.ts'
import type { ImageKeeper } from './image-keeper.ts'
import { binned, changed, refuseDeletion, refuseUnreadable, removing, restored } from './image-states.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import { countsForOwner } from './owner-limit.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { planPrune } from './prune.ts'
import type { PrunePlan } from './prune.ts'
import type { Settling } from './settling.ts'

/** Instances that may be bound to one image, and grants it may have. */
export const BINDINGS_MAX = 1000
export const GRANTS_MAX = 1000

/** What deleting an image means: gone at once, in the recycle bin for a time, or in it for ever. */
export interface RetentionPolicy {
  readonly deletion: 'immediate' | 'delayed' | 'never'
  readonly retentionMs: number
}

export interface PruneReport {
  readonly dryRun: boolean
  readonly purged: PrunePlan['purge']
  /** Images that could not be purged now, with the reason; the next prune tries again. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[]
}

export interface LifeCycle {
  patch(id: string, patch: ImagePatch, actor: string): Promise<Image>
  bind(id: string, instance: string, actor: string): Promise<Image>
  unbind(id: string, instance: string, actor: string): Promise<Image>
  grant(id: string, subject: string, actor: string): Promise<Image>
  revoke(id: string, subject: string, actor: string): Promise<Image>
  /**
   * The image in the recycle bin, or undefined when it is gone. Deleting what is in the bin changes nothing, unless it is
   * `permanent`, which passes the bin by: the way out of a full disk that does not wait for the retention.
   */
  delete(id: string, actor: string, options?: { readonly permanent: boolean }): Promise<Image | undefined>
  /** Out of the recycle bin as it was; one whose metadata was lost is inspected anew. */
  restore(id: string, actor: string): Promise<Image>
  /** Removes for good, from whatever status. */
  purge(id: string, actor: string): Promise<void>
  /** Purges what is past its retention. */
  prune(options: { readonly dryRun: boolean; readonly signal?: AbortSignal }): Promise<PruneReport>
}

export interface LifeCycleDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly retention: RetentionPolicy
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  readonly damage: Pick<Damage, 'verifyManifest'>
  readonly settling: Pick<Settling, 'resume'>
  readonly ownerLimit: OwnerLimit
}

export function createLifeCycle(deps: LifeCycleDeps): LifeCycle {
  const { disk, clock, log, emit, crashPoint, retention, keeper, manifests, ownerLimit } = deps

  const edit = async (id: string, actor: string, what: string, run: (stored: StoredImage) => StoredImage | undefined): Promise<Image> => {
    const before = keeper.need(id)
    const { image } = await keeper.change(id, (stored) => {
      refuseUnreadable(stored.image)
      if (stored.image.status === 'deleting') throw problem('wrong-status', `Image ${stored.image.name} is being removed.`)
      return run(stored)
    })
    if (image !== before.image) emit({ type: 'image.changed', severity: 'info', subject: id, message: `Image ${image.name}: ${what}.`, actor })
    return image
  }

  /** The caller holds the lock. */
  const purgeUnder = async (stored: StoredImage, actor: string): Promise<void> => {
    const { id, name } = stored.image
    const going = removing(stored)
    try {
      await keeper.save(going)
    } catch (error) {
      // A full disk must not keep anybody from making room: the manifest's removal alone decides.
      if (!(error instanceof ProblemError) || !isDiskFull(error.cause)) throw error
      keeper.table.put(going)
    }
    crashPoint('images:purge-marked')
    try {
      await manifests.remove(id)
      crashPoint('images:purge-manifest-removed')
      await disk.removeTree(keeper.folder(id))
    } catch (error) {
      throw diskProblem('The image could not be removed', error)
    }
    crashPoint('images:purge-removed')
    keeper.table.remove(id)
    keeper.unfinished.delete(id)
    emit({ type: 'image.purged', severity: 'info', subject: id, message: `Image ${name} is removed for good; cleanup gives its space back.`, actor })
  }
  const purge: LifeCycle['purge'] = (id, actor) =>
    keeper.table.locked(id, () => {
      const stored = keeper.need(id)
      refuseUnreadable(stored.image)
      return purgeUnder(stored, actor)
    })

  return {
    async patch(id, patch, actor) {
      using claims = new DisposableStack()
      return await edit(id, actor, 'its description was changed', (stored) => {
        // An image in the recycle bin is counted when it is restored.
        if (patch.owner !== undefined && countsForOwner(stored.image)) claims.use(ownerLimit.claim({ id, owner: patch.owner }))
        return changed(stored, patch as Partial<Omit<Image, 'status'>>)
      })
    },
    bind: (id, instance, actor) =>
      edit(id, actor, `instance ${instance} uses it`, (stored) => {
        const { image } = stored
        if (image.bindings.includes(instance)) return undefined
        if (image.status !== 'available' && image.status !== 'degraded')
          throw problem('wrong-status', `Image ${image.name} is ${image.status}; only an available image can be bound.`)
        return changed(stored, { bindings: withMember(image.bindings, instance, BINDINGS_MAX, 'bindings') })
      }),
    unbind: (id, instance, actor) =>
      edit(id, actor, `instance ${instance} no longer uses it`, (stored) =>
        stored.image.bindings.includes(instance) ? changed(stored, { bindings: stored.image.bindings.filter((name) => name !== instance) }) : undefined,
      ),
    grant: (id, subject, actor) =>
      edit(id, actor, `granted to ${subject}`, (stored) =>
        stored.image.grants.includes(subject) ? undefined : changed(stored, { grants: withMember(stored.image.grants, subject, GRANTS_MAX, 'grants') }),
      ),
    revoke: (id, subject, actor) =>
      edit(id, actor, `no longer granted to ${subject}`, (stored) =>
        stored.image.grants.includes(subject) ? changed(stored, { grants: stored.image.grants.filter((name) => name !== subject) }) : undefined,
      ),

    delete: (id, actor, { permanent } = { permanent: false }) =>
      keeper.table.locked(id, async () => {
        const stored = keeper.need(id)
        if (stored.image.status === 'deleted' && !permanent) return stored.image
        refuseUnreadable(stored.image)
        refuseDeletion(stored.image)
        if (permanent && retention.deletion === 'never') throw keptForEver(stored.image)
        if (permanent || retention.deletion === 'immediate' || stored.image.status === 'deleting') {
          await purgeUnder(stored, actor)
          return undefined
        }
        const { image } = await keeper.save(inBin(stored, retention, clock.nowMs()))
        crashPoint('images:deleted')
        emit({ type: 'image.deleted', severity: 'info', subject: id, message: `Image ${image.name} is in the recycle bin${until(image)}.`, actor })
        return image
      }),
    async restore(id, actor) {
      // An image that comes back as available must have its manifest.
      if (keeper.need(id).image.status === 'deleted') await deps.damage.verifyManifest(id)
      using claims = new DisposableStack()
      const { image } = await keeper.change(id, (stored) => {
        const next = restored(stored)
        claims.use(ownerLimit.claim(next.image))
        return next
      })
      emit({ type: 'image.restored', severity: 'info', subject: id, message: `Image ${image.name} is restored.`, actor })
      deps.settling.resume(id)
      return image
    },
    purge,
    async prune({ dryRun, signal }) {
      const plan = planPrune(
        keeper.table.all().map(({ image }) => image),
        clock.nowMs(),
      )
      if (dryRun) return { dryRun, purged: plan.purge, failed: [] }
      const purged: PrunePlan['purge'][number][] = []
      const failed: { id: string; reason: string }[] = []
      for (const victim of plan.purge) {
        signal?.throwIfAborted()
        try {
          // The plan is checked again under the lock: somebody may have restored the image meanwhile.
          const isGone = await keeper.table.locked(victim.id, async () => {
            const stored = keeper.table.get(victim.id)
            if (!stored || planPrune([stored.image], clock.nowMs()).purge.length === 0) return false
            await purgeUnder(stored, 'prune')
            return true
          })
          if (isGone) purged.push(victim)
        } catch (error) {
          log.warn('an image could not be purged', { image: victim.id, error })
          failed.push({ id: victim.id, reason: errorText(error) })
        }
      }
      return { dryRun, purged, failed }
    },
  }
}

function withMember(set: readonly string[], member: string, countMax: number, what: string): string[] {
  if (set.length >= countMax) throw problem('limit-reached', `An image may have ${countMax} ${what}.`)
  return [...set, member].toSorted()
}

function keptForEver({ name }: Image): ProblemError {
  return problem('feature-disabled', `Image ${name} stays: this store keeps deleted images for ever.`, {
    action: 'Set images.deletion to delayed or immediate in the configuration of the store.',
  })
}

function inBin(stored: StoredImage, retention: RetentionPolicy, nowMs: number): StoredImage {
  return binned(stored, nowMs, retention.deletion === 'never' ? null : formatTime(nowMs + retention.retentionMs))
}

function until(image: Image): string {
  return image.expiresAt === null ? ' and stays there' : ` until ${image.expiresAt}`
}
