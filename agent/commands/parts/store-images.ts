// The images of a store: the catalogue, and the index of who may see which slice.

import { join } from 'node:path'
import { isReadable, isServed } from '../../access/readable.ts'
import type { Disk } from '../../contract/disk.ts'
import type { StoreSettings } from '../../contract/store.ts'
import type { UsageLedger } from '../../contract/usage.ts'
import type { Space } from '../../contract/space.ts'
import type { EmitEvent } from '../../contract/work.ts'
import { createCatalogue } from '../../images/catalogue.ts'
import type { Catalogue } from '../../images/catalogue.ts'
import type { OpenSliceStore } from '../../slices/store.ts'
import { openVisibility } from '../../visibility/visibility.ts'
import type { Visibility } from '../../visibility/visibility.ts'
import type { Foundation } from './foundation.ts'
import type { LateParts } from './late-parts.ts'
import { createStatAll } from '../../system/stat-all.ts'

const VISIBILITY_FOLDER = 'visibility'
const SNAPSHOT_FILE = 'catalogue-snapshot'

export interface StoreImagesDeps {
  readonly foundation: Foundation
  readonly emit: EmitEvent
  /** Gives up ballast for small writes, so that images can be deleted on a full disk. */
  readonly disk: Disk
  /** Inspection reads from it too, but none of that leaves the agent, so it is the store whose traffic is not counted. */
  readonly slices: OpenSliceStore
  readonly late: LateParts
  readonly space: Space
  readonly ledger: UsageLedger
  /** What deleting an image does, and which kinds are taken; operators may change both at any time. */
  readonly settings: Pick<StoreSettings, 'acceptedKinds' | 'deletionPolicy'>
}

/** Loads the catalogue. */
export function openStoreImages({ foundation, emit, disk, slices, late, ledger, settings, space }: StoreImagesDeps): Promise<Catalogue> {
  const { config, clock, log, crashPoint } = foundation
  return createCatalogue({
    disk,
    clock,
    log: log.child({ part: 'images' }),
    mount: config.store.mount,
    snapshotPath: join(config.store.state, SNAPSHOT_FILE),
    statAll: createStatAll(),
    slices,
    emit,
    crashPoint,
    space,
    imageLengthMax: config.uploads.lengthMax,
    ledger,
    retention: () => settings.deletionPolicy(),
    acceptedKinds: () => settings.acceptedKinds(),
    imagesPerOwnerMax: config.images.maxPerOwner,
    bytesPerOwnerMax: config.images.maxBytesPerOwner,
    // No body arrives before uploads are open.
    expected: () => (late.has('uploads') ? late.get('uploads').expectedImages() : []),
    inProgress: () => (late.has('uploads') ? late.get('uploads').inProgress : undefined),
    quietMs: () => (late.has('uploads') ? late.get('uploads').quietMs() : Number.POSITIVE_INFINITY),
    damaged: () => {
      if (late.has('healing')) late.get('healing').wake()
    },
    changed: () => {
      if (late.has('visibility')) late.get('visibility').wake()
    },
  })
}

/** Opens the index of visible slices. It reads every image when it is opened, so changes before that are not missed. */
export function openStoreVisibility({ config, disk, clock, log }: Foundation, images: Catalogue): Promise<Visibility> {
  return openVisibility({
    disk,
    clock,
    log: log.child({ part: 'visibility' }),
    folder: join(config.store.state, VISIBILITY_FOLDER),
    images,
    isReadable,
    isServed,
  })
}
