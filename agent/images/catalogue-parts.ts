// Creates the parts of the catalogue: publication adds images, settling inspects them and computes their digests, the life cycle changes and
// removes them, and damage tracking records damaged slices and manifests.

import { join } from 'node:path'
import type { Image } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { Disk, StatAll } from '../contract/disk.ts'
import type { ImagesInProgress, OwnedImage } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceIngester, SliceMaintenance, SliceProvider } from '../contract/slices.ts'
import type { DeletionPolicy } from '../contract/store.ts'
import type { UsageLedger } from '../contract/usage.ts'
import type { Space } from '../contract/space.ts'
import type { EmitEvent } from '../contract/work.ts'
import { createGroupRecords } from './groups/group-records.ts'
import type { GroupRecords } from './groups/group-records.ts'
import { createMediaGroups } from './media-groups.ts'
import type { OpenMediaGroups } from './media-groups.ts'
import { createDamage } from './damage/damage.ts'
import type { Damage } from './damage/damage.ts'
import { createImageKeeper } from './records/image-keeper.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { createImageTable } from './records/image-table.ts'
import { createLifeCycle } from './life-cycle.ts'
import type { LifeCycle } from './life-cycle.ts'
import { createManifestFiles } from './manifests/manifest-files.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import { createOwnerLimit } from './owner-limit.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { createPublication } from './publication.ts'
import type { Publication } from './publication.ts'
import { createSettling } from './settling.ts'
import type { Settling } from './settling.ts'
import { createUnpacking } from './unpack/unpacking.ts'
import type { Unpacking } from './unpack/unpacking.ts'

export interface CatalogueDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path, which contains images/ and quarantine/. */
  readonly mount: string
  readonly slices: SliceProvider & Pick<SliceMaintenance, 'sizes'> & Pick<SliceIngester, 'ingest'>
  /** Path of the snapshot of the catalogue in the state folder. Without it, every start reads the files of all images. */
  readonly snapshotPath?: string
  /** Asks for the states of many files at a time, for the snapshot. */
  readonly statAll?: StatAll
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** Receives the usage of images that are removed. */
  readonly ledger: UsageLedger
  /** What deleting an image does now. */
  readonly retention: () => DeletionPolicy
  /** Maximum number of images per owner. Default: no limit. */
  readonly imagesPerOwnerMax?: number
  /** Maximum total length of the images of one owner in bytes. Default: no limit. */
  readonly bytesPerOwnerMax?: number
  /** Kinds of images that the store takes now; none for all. Default: all. */
  readonly acceptedKinds?: () => readonly Image['kind'][]
  /** Length of the longest image in bytes that a compressed file may unpack to. Default: no limit. */
  readonly imageLengthMax?: number
  /** Promises space to images that are unpacked. Default: space is not limited. */
  readonly space?: Pick<Space, 'promise' | 'state'>
  /** Returns the images that unfinished uploads will become. They count towards the limit of their owner. */
  readonly expected?: () => Iterable<OwnedImage>
  /** Shows the images that unfinished uploads will become, with status `uploading` or `pending`. Default: none. */
  readonly inProgress?: () => ImagesInProgress | undefined
  /** Returns the milliseconds since an upload last received a body at full speed, 0 while one does. Default: digests never wait for uploads. */
  readonly quietMs?: () => number
  /** Called after every change of any image. Must not throw or block. */
  readonly changed?: () => void
  /** Called when damage of an image is found that was not known. Must not throw. */
  readonly damaged?: () => void
}

export interface CatalogueParts {
  readonly groups: OpenMediaGroups
  readonly groupRecords: GroupRecords
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Manifests of compressed files that are not unpacked yet. */
  readonly compressed: ManifestFiles
  readonly unpacking: Unpacking
  readonly damage: Damage
  readonly ownerLimit: OwnerLimit
  readonly settling: Settling
  readonly publication: Publication
  readonly lifeCycle: LifeCycle
}

/** Creates the parts without reading from disk. */
export function createCatalogueParts(deps: CatalogueDeps): CatalogueParts {
  const { disk, clock, log, emit, crashPoint, slices, retention, ledger } = deps
  const folder = join(deps.mount, 'images')
  const groupRecords = createGroupRecords()
  const table = createImageTable(deps.changed, groupRecords.place, clock)
  const keeper = createImageKeeper({ disk, folder, table, nowMs: () => clock.nowMs(), ledger, inProgress: deps.inProgress })
  const pause = (): Promise<void> => clock.sleep(0)
  const manifests = createManifestFiles({
    disk,
    folder,
    name: 'manifest',
    pause,
    async onDamaged(id, error) {
      // The reader may have an older file open, so the image is marked as damaged only if its current file is damaged.
      await damage.verifyManifest(id)
      return problem('data-corrupt', `The manifest of image ${id} is damaged: ${error.message}.`, {}, { cause: error })
    },
  })
  const compressed = createManifestFiles({ disk, folder, name: 'compressed', pause, onDamaged: async (_id, error) => error })
  const limits = { lengthMax: deps.imageLengthMax ?? Number.POSITIVE_INFINITY, space: deps.space }
  const unpacking = createUnpacking({ disk, clock, crashPoint, slices, manifests, compressed, folder: (id) => keeper.folder(id), limits })
  const damage: Damage = createDamage({ clock, log, emit, keeper, manifests, damaged: () => deps.damaged?.(), resume: (id) => settling.resume(id) })
  const ownerLimit = createOwnerLimit({
    imagesMax: deps.imagesPerOwnerMax ?? 0,
    bytesMax: deps.bytesPerOwnerMax ?? 0,
    *images() {
      // A compressed file counts with its own length until it is unpacked.
      for (const { image, life } of table.each()) yield life.compressed === null ? image : { ...image, manifestDigest: life.compressed }
    },
    expected: deps.expected ?? (() => []),
  })
  const quietMs = deps.quietMs ?? (() => Number.POSITIVE_INFINITY)
  const acceptedKinds = deps.acceptedKinds ?? (() => [])
  const settling: Settling = createSettling({ clock, log, slices, emit, crashPoint, keeper, damage, quietMs, ownerLimit, unpacking, acceptedKinds })
  const groups = createMediaGroups({
    disk,
    clock,
    log,
    emit,
    crashPoint,
    mount: deps.mount,
    records: groupRecords,
    table,
    inProgress: () => deps.inProgress?.(),
  })
  const publication = createPublication({ disk, clock, emit, crashPoint, keeper, manifests, compressed, ownerLimit, settling, groups })
  const lifeCycle = createLifeCycle({
    ledger,
    disk,
    clock,
    log,
    emit,
    crashPoint,
    retention,
    keeper,
    manifests,
    compressed,
    damage,
    settling,
    ownerLimit,
    acceptedKinds,
    inProgress: deps.inProgress,
  })
  return { groups, groupRecords, keeper, manifests, compressed, unpacking, damage, ownerLimit, settling, publication, lifeCycle }
}
