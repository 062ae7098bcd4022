// Publication: adds an image to the catalogue.
//
//   manifest durable → image.json durable (creating) → settling.ts: inspection → declared digest verified → available | error
//
// A crash leaves either unreferenced slices only, or an image that the next start resumes.

import { isId } from '../../protocol/ids.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { Disk } from '../contract/disk.ts'
import type { ImagePublisher } from '../contract/images.ts'
import { diskProblem } from './records/disk-problem.ts'
import type { MediaGroups } from './media-groups.ts'
import type { StoredImage } from './records/image-file.ts'
import { adopted, changed, fresh, freshCompressed, refused, restored, resynced } from './records/image-states.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { announceOutcome } from './settling.ts'
import type { Settling, SettlingDeps } from './settling.ts'

export interface PublicationDeps extends Pick<SettlingDeps, 'clock' | 'emit' | 'crashPoint' | 'keeper'> {
  readonly disk: Disk
  readonly manifests: ManifestFiles
  /** Manifests of compressed files that are not unpacked yet. */
  readonly compressed: ManifestFiles
  readonly ownerLimit: OwnerLimit
  readonly settling: Pick<Settling, 'resume' | 'settle'>
  readonly groups: Pick<MediaGroups, 'hideUnknown'>
}

export type Publication = Pick<ImagePublisher, 'publish' | 'refuse' | 'adopt'>

/** Creates the publication of a catalogue. */
export function createPublication(deps: PublicationDeps): Publication {
  const { disk, clock, emit, keeper, manifests, settling } = deps
  /** Returns the published image with this id, durable. The caller holds its lock. */
  const published = async (id: string): Promise<Image | undefined> => {
    if (!isId('img', id)) throw new Error(`${id} is not the id of an image`)
    const stored = keeper.unfinished.has(id) ? undefined : keeper.table.get(id)
    // Whether it was published is not known until its folder can be read: an upload that counted as published would be removed.
    if (stored?.image.status === 'fileUnavailable') throw problem('store-unavailable', `The files of image ${id} cannot be read.`)
    return stored && (await keeper.confirm(stored)).image
  }
  return {
    publish: (image, content) =>
      keeper.table.locked(image.id, async () => {
        const known = await published(image.id)
        if (known) return known
        const isCompressed = image.draft.decompress === true
        const { digest } = await storeManifest(deps, image.id, () => (isCompressed ? deps.compressed : manifests).writeContent(image.id, content))
        const stored = await store(deps, (isCompressed ? freshCompressed : fresh)(image, content.length, digest, clock.nowMs()))
        emit({ type: 'image.created', severity: 'info', subject: image.id, message: `Image ${image.draft.name} was created and is being inspected.` })
        settling.resume(image.id)
        return stored.image
      }),
    refuse: (image, length, refusal) =>
      keeper.table.locked(image.id, async () => {
        const known = await published(image.id)
        if (known) return known
        await disk.makeFolder(keeper.folder(image.id))
        const stored = await store(deps, refused(image, length, refusal, clock.nowMs()))
        announceOutcome(deps, image.id)
        return stored.image
      }),
    async adopt(image, manifest) {
      if (!isId('img', image.id)) throw problem('invalid-input', `"${image.id}" is not the id of an image.`)
      // Before the image exists, so that it is never visible to more callers than in the store that it comes from.
      if (image.hidden && image.mediaGroup !== null) await deps.groups.hideUnknown(image.mediaGroup)
      const isNew = await keeper.table.locked(image.id, () => adoptLocked(deps, image, manifest))
      // The copy is complete once the image has been inspected.
      if (isNew) await settling.settle(image.id)
      return isNew
    },
  }
}

/** Writes a manifest into the folder of an image. The caller holds the lock of the image. */
async function storeManifest<Written>(deps: PublicationDeps, id: string, write: () => Promise<Written>): Promise<Written> {
  const { disk, keeper, crashPoint } = deps
  try {
    await disk.makeFolder(keeper.folder(id))
    const written = await write()
    crashPoint('images:manifest-written')
    return written
  } catch (error) {
    await removeUnpublished(deps, id)
    throw diskProblem('The image could not be published', error)
  }
}

/** Writes image.json, after the manifest. The caller holds the lock of the image. */
async function store(deps: PublicationDeps, stored: StoredImage): Promise<StoredImage> {
  const { keeper, settling, crashPoint } = deps
  const { id } = stored.image
  try {
    const saved = await keeper.save(stored)
    crashPoint('images:image-written')
    return saved
  } catch (error) {
    // The image exists if its file was replaced before the write failed.
    if (keeper.table.get(id)) settling.resume(id)
    else await removeUnpublished(deps, id)
    throw error
  }
}

/** Removes the folder of an image that could not be published: a manifest alone would be an image in error at the next start. */
async function removeUnpublished({ disk, keeper }: PublicationDeps, id: string): Promise<void> {
  if (!keeper.table.get(id)) await disk.removeTree(keeper.folder(id)).catch(() => {})
}

/** Adds, restores or repairs a copied image. Returns false if it already exists. The caller holds the lock of the image. */
async function adoptLocked(deps: PublicationDeps, image: Image, manifest: Manifest): Promise<boolean> {
  const { clock, keeper, manifests, ownerLimit } = deps
  const { id } = image
  const there = keeper.unfinished.has(id) ? undefined : keeper.table.get(id)
  if (there) {
    refuseAdoption(there, image)
    if (there.image.status === 'creating' || there.image.status === 'available') {
      await keeper.confirm(there)
      return false
    }
    if (there.image.status === 'deleted' && there.life.damage === null && there.life.before?.status === 'available') {
      const back = restored(there)
      using _claim = ownerLimit.claim(back.image)
      await keeper.save(back)
      return true
    }
  }
  const found = there ? resynced(there, image, clock.nowMs()) : adopted(image, clock.nowMs())
  const stored = changed(found, { length: manifest.imageLength })
  using _claim = ownerLimit.claim(stored.image)
  await storeManifest(deps, id, () => manifests.write(id, manifest))
  await store(deps, stored)
  return true
}

/** Throws ProblemError if the existing image must not be replaced. */
function refuseAdoption({ image: there, life }: StoredImage, { id, manifestDigest }: Image): void {
  if (there.status === 'fileUnavailable') throw problem('store-unavailable', `The files of image ${id} in this store cannot be read.`)
  if (there.status !== 'error' && there.manifestDigest !== manifestDigest && life.damage !== 'metadata')
    throw problem('conflict', `This store has another image with the id ${id}, named ${there.name}, with different content.`)
  if (there.status === 'deleting') throw problem('wrong-status', `Image ${there.name} is being removed from this store.`)
}
