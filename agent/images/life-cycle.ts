// Changes of a published image: metadata, bindings, grants, and restoring from the recycle bin. removal.ts deletes images.

import { makeGrant } from '../../protocol/images/grant.ts'
import type { Grant } from '../../protocol/images/grant.ts'
import type { Image, ImagePatch } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { Damage } from './damage/damage.ts'
import type { StoredImage } from './records/image-file.ts'
import { changed, livesWith, patched, refuseUnreadable, restored } from './records/image-states.ts'
import { refuseOtherKinds } from './records/image-rules.ts'
import { countsForOwner } from './owner-limit.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { createRemoval } from './removal.ts'
import type { Removal, RemovalDeps } from './removal.ts'
import type { Settling } from './settling.ts'

/** Maximum number of bindings and of grants per image. */
export const BINDINGS_MAX = 1000
export const GRANTS_MAX = 1000

export interface LifeCycle extends Removal {
  /**
   * Changes metadata. Throws `limit-reached` if the image exceeds a limit of the new owner, `kind-not-accepted` for a kind that the store does not take, and
   * `virtual-disk` for a virtual disk.
   */
  patch(id: string, patch: ImagePatch, actor: string): Promise<Image>
  bind(id: string, instance: string, actor: string): Promise<Image>
  /**
   * Removes a binding. A virtual disk is deleted with its last binding, as the policy of the store says, in the same durable write; the answer
   * then has the status `deleted`, or `deleting` if it was removed permanently. Throws `wrong-status` while such a disk is being inspected.
   */
  unbind(id: string, instance: string, actor: string): Promise<Image>
  /** Sets the rights of a user or group, instead of those that it had. */
  grant(id: string, grant: Grant, actor: string): Promise<Image>
  revoke(id: string, subject: string, actor: string): Promise<Image>
  /** Restores an image from the recycle bin with its earlier status. An image that failed before it was available is inspected again. */
  restore(id: string, actor: string): Promise<Image>
}

export interface LifeCycleDeps extends RemovalDeps {
  readonly damage: Pick<Damage, 'verifyManifest'>
  readonly settling: Pick<Settling, 'resume'>
  readonly ownerLimit: OwnerLimit
  /** Kinds of images that the store takes now; none for all. */
  readonly acceptedKinds: () => readonly Image['kind'][]
}

/** Creates the life cycle of the images of a catalogue. */
export function createLifeCycle(deps: LifeCycleDeps): LifeCycle {
  const { emit, keeper, ownerLimit, acceptedKinds } = deps
  const removal = createRemoval(deps)

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

  return {
    ...removal,
    async patch(id, patch, actor) {
      using claims = new DisposableStack()
      return await edit(id, actor, 'its metadata was changed', (stored) => {
        // An image in the recycle bin is counted when it is restored.
        if (patch.owner !== undefined && countsForOwner(stored.image)) claims.use(ownerLimit.claim({ id, owner: patch.owner, length: stored.image.length }))
        if (patch.kind !== undefined && patch.kind !== stored.image.kind) refuseOtherKinds(acceptedKinds(), { kind: patch.kind }, undefined)
        return patched(stored, patch)
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
    async unbind(id, instance, actor) {
      if (livesWith(keeper.need(id).image, instance)) {
        const gone = await removal.deleteWithInstance(id, instance, actor)
        if (gone) return gone
      }
      return await edit(id, actor, `instance ${instance} no longer uses it`, (stored) =>
        stored.image.bindings.includes(instance) ? changed(stored, { bindings: stored.image.bindings.filter((name) => name !== instance) }) : undefined,
      )
    },
    grant: (id, { subject, rights }, actor) =>
      edit(id, actor, `granted to ${subject}`, (stored) => {
        const grants = withGrant(stored.image.grants, makeGrant(subject, rights))
        return grants && changed(stored, { grants })
      }),
    revoke: (id, subject, actor) =>
      edit(id, actor, `no longer granted to ${subject}`, (stored) => {
        const grants = stored.image.grants.filter((grant) => grant.subject !== subject)
        return grants.length === stored.image.grants.length ? undefined : changed(stored, { grants })
      }),
    async restore(id, actor) {
      // A restored image may become available only if its manifest is intact.
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
  }
}

function withMember(set: readonly string[], member: string, countMax: number, what: string): string[] {
  refuseFull(set, countMax, what)
  return [...set, member].toSorted()
}

/** Returns the grants with one added or replaced, sorted by subject; undefined if it is among them. */
function withGrant(grants: readonly Grant[], grant: Grant): Grant[] | undefined {
  const others = grants.filter(({ subject }) => subject !== grant.subject)
  const before = grants.find(({ subject }) => subject === grant.subject)
  if (before?.rights.join() === grant.rights.join()) return undefined
  refuseFull(others, GRANTS_MAX, 'grants')
  return [...others, grant].toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
}

function refuseFull(set: readonly unknown[], countMax: number, what: string): void {
  if (set.length >= countMax) throw problem('limit-reached', `An image can have at most ${countMax} ${what}.`)
}
