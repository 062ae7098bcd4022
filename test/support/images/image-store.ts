// Opens a slice store with a catalogue in a folder, for tests of images, content and sync.

import { join } from 'node:path'
import { isReadable, isServed } from '../../../agent/access/readable.ts'
import { createCatalogue } from '../../../agent/images/catalogue.ts'
import type { Catalogue } from '../../../agent/images/catalogue.ts'
import type { CatalogueDeps } from '../../../agent/images/catalogue-parts.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { openSliceStore } from '../../../agent/slices/store.ts'
import type { OpenSliceStore } from '../../../agent/slices/store.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createLedger } from '../../../agent/usage/ledger.ts'
import type { UsageLedger, UsageRecords } from '../../../agent/contract/usage.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { Clock, CrashPoint } from '../../../agent/contract/runtime.ts'
import type { SliceRoots } from '../../../agent/contract/slices.ts'
import type { DeletionPolicy } from '../../../agent/contract/store.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { openVisibility } from '../../../agent/visibility/visibility.ts'
import type { Visibility } from '../../../agent/visibility/visibility.ts'
import { newId } from '../../../protocol/ids.ts'
import type { Image, ImageDraft } from '../../../protocol/images/image.ts'
import { createMemoryLog } from '../memory/memory-log.ts'
import type { MemoryLog } from '../memory/memory-log.ts'
import type { TemporaryFolder } from '../machine/temporary-folder.ts'

export interface ImageStore extends AsyncDisposable {
  readonly slices: OpenSliceStore
  readonly catalogue: Catalogue
  readonly ledger: UsageLedger & UsageRecords
  readonly visibility: Visibility
  readonly events: NewEvent[]
  readonly log: MemoryLog
  readonly disk: Disk
  readonly mount: string
  /** Stores bytes and publishes them as an image. Does not wait for the inspection. */
  publish(bytes: Uint8Array, draft?: Partial<ImageDraft>, id?: string): Promise<Image>
  /** Like `publish`, but waits until the image is inspected and its digest is computed. */
  add(bytes: Uint8Array, draft?: Partial<ImageDraft>): Promise<Image>
  /** Reads the complete content of an image. */
  read(id: string): Promise<Buffer>
}

export interface ImageStoreOptions {
  readonly clock?: Clock
  readonly disk?: Disk
  readonly crashPoint?: CrashPoint
  /** What deleting an image does; a function for a policy that changes. */
  readonly retention?: DeletionPolicy | CatalogueDeps['retention']
  /** Returns the milliseconds since the last body arrived. Digests wait for uploads to end. */
  readonly quietMs?: () => number
  /** Maximum number of images per owner, and the images that unfinished uploads will become. */
  readonly imagesPerOwnerMax?: number
  readonly bytesPerOwnerMax?: number
  readonly expected?: CatalogueDeps['expected']
  readonly inProgress?: CatalogueDeps['inProgress']
  /** Longest image that a compressed file may unpack to, and where it gets space from. */
  readonly imageLengthMax?: number
  readonly space?: CatalogueDeps['space']
  /** Called when damage of an image is found that was not known. */
  readonly damaged?: () => void
  /** Whether the catalogue has a snapshot in the state folder. */
  readonly hasSnapshot?: boolean
  /** Additional roots, which are listed before the images. */
  readonly roots?: readonly SliceRoots[]
}

/** Opens a store in a folder. Opening the same folder again is a restart of the agent. */
export async function openImageStore(folder: TemporaryFolder, options: ImageStoreOptions = {}): Promise<ImageStore> {
  const mount = folder.file('mount')
  const disk = options.disk ?? createDisk()
  const clock = options.clock ?? systemClock
  const crashPoint = options.crashPoint ?? (() => {})
  const log = createMemoryLog()
  const events: NewEvent[] = []
  await disk.makeFolder(mount)
  const slices = await openSliceStore({
    disk,
    // The store sleeps to let other work run, which would never end with a manual clock.
    clock: systemClock,
    log,
    crashPoint,
    mount,
    state: folder.file('state'),
    cutter: CUTTER_DEFAULT,
    workers: 1,
    roots: [...(options.roots ?? []), { list: () => catalogue.roots.list() }],
  })
  const policy = options.retention ?? { deletion: 'delayed', retentionMs: 3 * 86_400_000 }
  const retention = typeof policy === 'function' ? policy : () => policy
  let visibility: Visibility | undefined
  const changed = () => visibility?.wake()
  const ledger = createLedger({ disk, clock: systemClock, crashPoint, folder: join(mount, 'usage') })
  const catalogue = await createCatalogue({
    ledger,
    disk,
    clock,
    log,
    mount,
    slices,
    emit: (event) => void events.push(event),
    crashPoint,
    retention,
    changed,
    ...(options.hasSnapshot && { snapshotPath: folder.file('state', 'catalogue-snapshot') }),
    ...(options.imagesPerOwnerMax !== undefined && { imagesPerOwnerMax: options.imagesPerOwnerMax }),
    ...(options.bytesPerOwnerMax !== undefined && { bytesPerOwnerMax: options.bytesPerOwnerMax }),
    ...(options.imageLengthMax !== undefined && { imageLengthMax: options.imageLengthMax }),
    ...(options.space && { space: options.space }),
    ...(options.expected && { expected: options.expected }),
    ...(options.inProgress && { inProgress: options.inProgress }),
    ...(options.quietMs && { quietMs: options.quietMs }),
    ...(options.damaged && { damaged: options.damaged }),
  })
  visibility = await openVisibility({
    disk: createDisk(),
    clock: systemClock,
    log,
    folder: folder.file('state', 'visibility'),
    images: catalogue,
    isReadable,
    isServed,
  })
  visibility.start()

  const publish: ImageStore['publish'] = async (bytes, draft = {}, id = newId('img', clock.nowMs())) => {
    await using ingest = slices.ingest({ offset: 0, tail: new Uint8Array(0) })
    await ingest.write(bytes)
    const end = await ingest.finish()
    const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
    const blocks = async function* () {
      yield end.entries
    }
    const image = await catalogue.publish({ id, draft: { name: id, description: '', ...draft }, source }, { blocks, length: bytes.byteLength })
    end.release()
    return image
  }
  return {
    slices,
    catalogue,
    ledger,
    visibility,
    events,
    log,
    disk,
    mount,
    publish,
    async add(bytes, draft) {
      const { id } = await publish(bytes, draft)
      await catalogue.settled()
      return catalogue.need(id)
    },
    async read(id) {
      using content = await catalogue.open(id)
      const { manifest } = content
      const pieces: Uint8Array[] = []
      for await (const piece of slices.read(manifest, 0, manifest.imageLength)) pieces.push(piece.slice())
      return Buffer.concat(pieces)
    },
    async [Symbol.asyncDispose]() {
      await visibility[Symbol.asyncDispose]()
      await catalogue[Symbol.asyncDispose]()
      await slices[Symbol.asyncDispose]()
    },
  }
}

/** Returns pseudorandom bytes that depend only on the seed. */
export function seededBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let state = seed >>> 0 || 1
  for (let i = 0; i < length; i++) {
    // xorshift32 makes every block differ.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state & 0xff
  }
  return bytes
}
