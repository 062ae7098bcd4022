// The slice store: opens its parts in order, gives them to those who need them, and closes them. What it promises
// stands in agent/contract/slices.ts, what lies on disk in docs/format.md.

import { join } from 'node:path'
import type { Disk } from '../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceRoots, SliceStore } from '../contract/slices.ts'
import { collectGarbage } from './gc/gc.ts'
import { openIndexUpkeep } from './rebuild/index-upkeep.ts'
import { createIngest } from './write/ingest.ts'
import { createLeftOut } from './rebuild/left-out.ts'
import { openIndex } from './rebuild/open-index.ts'
import { PackFiles } from './packs/pack-files.ts'
import { createPackSearch } from './rebuild/pack-search.ts'
import { PackWriter } from './write/pack-writer.ts'
import type { CutterParameters } from '../../protocol/cutter.ts'
import { PACK_SEAL_BYTES } from './packs/parameters.ts'
import { createPins } from './write/pins.ts'
import type { QuarantinedSlice } from './rebuild/quarantine.ts'
import { createReader } from './read/reader.ts'
import { createReceiver } from './write/receiver.ts'
import type { RecoverReport } from './rebuild/recover.ts'
import { scrubStore } from './scrub/scrub.ts'
import { WorkerPool } from './write/worker-pool.ts'

export interface SliceStoreDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly crashPoint: CrashPoint
  /** The mount path; `packs` and `quarantine` lie below it. */
  readonly mount: string
  /** Node-local folder of the index database. */
  readonly state: string
  readonly cutter: CutterParameters
  readonly workers: number
  /** Length at which a pack is sealed; PACK_SEAL_BYTES when it is not given. */
  readonly packSealBytes?: number
  /** What keeps slices alive, uploads and syncs before images. Asked at every gc and scrub. */
  readonly roots: readonly SliceRoots[]
  /** Called by gc when there is not even room to move what is live. */
  readonly makeRoom?: () => Promise<void>
  /** Told when a read finds a damaged slice: the images that need it are degraded. */
  readonly onCorrupt?: (digest: Uint8Array, reason: string) => void
  /** Told when the index database turns out to be damaged, and when it is whole again, made anew from so many packs. */
  readonly onIndexDamaged?: (reason: string) => void
  readonly onIndexRebuilt?: (packs: number) => void
}

/** An open slice store, and what its opening found. */
export interface OpenSliceStore extends SliceStore {
  readonly recovered: RecoverReport
  quarantined(): QuarantinedSlice[]
  /** What is wrong with the index database; undefined when nothing is. */
  indexFault(): Promise<string | undefined>
}

/** Opens the store; rebuilds the index database first when it is missing, damaged or `rebuild` is asked for. */
export async function openSliceStore(deps: SliceStoreDeps, options: { rebuild?: boolean } = {}): Promise<OpenSliceStore> {
  const { disk, clock, log, crashPoint, mount, state, cutter, workers, roots } = deps
  const sealBytes = deps.packSealBytes ?? PACK_SEAL_BYTES
  const packs = join(mount, 'packs')
  await disk.makeFolder(packs)
  await disk.makeFolder(state)
  // A killed process may have left the folder's name in memory only.
  await disk.syncFolder(mount)
  const { index, quarantine, recovered } = await openIndex({ disk, clock, log, mount, state, packs, sealBytes }, options.rebuild ?? false)

  const files = new PackFiles(disk, packs)
  const pause = (): Promise<void> => clock.sleep(0)
  const writer = new PackWriter({ disk, folder: packs, index, crashPoint, log, newName: newPackName, sealBytes })
  if (recovered.unsealed) await writer.resume(recovered.unsealed)
  for (const pack of recovered.abandoned) writer.abandon(pack)
  const leftOut = createLeftOut({ disk, log, folder: packs, index, quarantine, sealBytes }, recovered.leftOut, (pack) => writer.abandon(pack))
  const pins = createPins()
  const pool = new WorkerPool({ count: workers, cutter, log })
  const upkeep = await openIndexUpkeep({
    clock,
    log,
    index,
    files,
    quarantine,
    pause,
    leaveOut: leftOut.add,
    onFilter: () => pool.setFilter(index.filter),
    onDamaged: (reason) => deps.onIndexDamaged?.(reason),
    onRebuilt: (count) => deps.onIndexRebuilt?.(count),
  })
  const search = createPackSearch({ log, index, files, quarantine, retryLeftOut: leftOut.retry, pause })
  const reader = createReader({
    index,
    files,
    search,
    pause,
    async onCorrupt(digest, location, reason) {
      await quarantine.add(digest, location, reason)
      deps.onCorrupt?.(digest, reason)
    },
  })
  const maintenance = {
    disk,
    clock,
    log,
    folder: packs,
    index,
    writer,
    files,
    pins,
    quarantine,
    search,
    roots,
    crashPoint,
    sealBytes,
    retryLeftOut: leftOut.retry,
    checkIndex: () => index.check(),
    rebuildIndex: upkeep.rebuildIndex,
    makeRoom: deps.makeRoom,
    pause,
  }

  return {
    recovered,
    quarantined: () => quarantine.list(),
    indexFault: () => index.check(),
    read: reader.read,
    readStored: reader.readStored,
    ingest: (start) => createIngest({ cutter, pool, writer, index, pins }, start),
    receive: () => createReceiver({ writer, index, pins }),
    missing: (digests, lengths) =>
      [...digests.keys()].filter((i) => {
        const found = index.find(digests[i] ?? new Uint8Array(0))
        return !found || (lengths !== undefined && found.length !== lengths[i])
      }),
    gc: (gcOptions) => upkeep.runExclusive((rebuildIndex) => collectGarbage({ ...maintenance, rebuildIndex }, gcOptions)),
    scrub: (scrubOptions) => scrubStore(maintenance, scrubOptions),
    stats() {
      const all = [...index.packs()]
      return {
        slices: index.sliceCount,
        storedBytes: index.storedBytes,
        packs: all.length,
        packBytes: all.reduce((sum, pack) => sum + pack.length, writer.openPackBytes),
        quarantined: quarantine.count,
        rebuilding: upkeep.progress ?? null,
      }
    },
    sizes: (digests) => ({ storedBytes: digests.reduce((bytes, digest) => bytes + (index.find(digest)?.storedLength ?? 0), 0) }),
    async [Symbol.asyncDispose]() {
      await upkeep[Symbol.asyncDispose]()
      pool[Symbol.dispose]()
      await writer[Symbol.asyncDispose]()
      await files[Symbol.asyncDispose]()
      await index[Symbol.asyncDispose]()
    },
  }
}

function newPackName(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
}
