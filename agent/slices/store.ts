// The slice store: opens its parts in order, connects them, and closes them. Its contract is agent/contract/slices.ts; the bytes on disk
// are described in docs/format.md.

import { join } from 'node:path'
import type { Disk } from '../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceRoots, SliceStats, SliceStore } from '../contract/slices.ts'
import { collectGarbage } from './gc/gc.ts'
import type { GcDeps } from './gc/gc.ts'
import type { SliceLookup } from './index/index-roles.ts'
import { openIndexUpkeep } from './rebuild/index-upkeep.ts'
import { createIngest } from './write/ingest.ts'
import { createLeftOut } from './rebuild/left-out.ts'
import { openIndex } from './rebuild/open-index.ts'
import { PackFiles } from './packs/pack-files.ts'
import { createPackSearch } from './rebuild/pack-search.ts'
import { PackWriter } from './write/pack-writer.ts'
import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import { PACK_SEAL_BYTES } from './packs/parameters.ts'
import { createPins } from './write/pins.ts'
import type { QuarantinedSlice } from './rebuild/quarantine.ts'
import { createReader } from './read/reader.ts'
import type { ReaderDeps } from './read/reader.ts'
import { createReceiver } from './write/receiver.ts'
import type { RecoverReport } from './rebuild/recover.ts'
import { scrubStore } from './scrub/scrub.ts'
import type { ScrubDeps } from './scrub/scrub.ts'
import { WorkerPool } from './write/worker-pool.ts'

export interface SliceStoreDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly crashPoint: CrashPoint
  /** The mount path; contains `packs` and `quarantine`. */
  readonly mount: string
  /** Node-local folder of the index database. */
  readonly state: string
  readonly cutter: CutterParameters
  readonly workers: number
  /** Length at which a pack is sealed; PACK_SEAL_BYTES by default. */
  readonly packSealBytes?: number
  /** What keeps slices alive, uploads and syncs before images. Listed at every gc and scrub. */
  readonly roots: readonly SliceRoots[]
  /** Called by gc when the disk has no room even for moving live slices. */
  readonly makeRoom?: () => Promise<void>
  /** Called when a read finds a damaged slice: the images that need it become Degraded. */
  readonly onCorrupt?: (digest: Uint8Array, reason: string) => void
  /** Called when the index database turns out to be damaged, and when it has been rebuilt from this many packs. */
  readonly onIndexDamaged?: (reason: string) => void
  readonly onIndexRebuilt?: (packs: number) => void
}

/** An open slice store, and what was found when it was opened. */
export interface OpenSliceStore extends SliceStore {
  readonly recovered: RecoverReport
  quarantined(): QuarantinedSlice[]
  /** Marks the quarantined slices that are stored again as repaired. Resolves when that is durable. */
  settleQuarantine(): Promise<void>
  /** Looks for the file of every pack that the index names, and returns which slices are in packs whose file is gone. */
  lostPacks(): Promise<LostPacks>
  /** Verifies the index database; returns the first fault, or undefined. */
  indexFault(): Promise<string | undefined>
}

/** Packs that the index names and whose file is gone. */
export interface LostPacks {
  readonly names: readonly string[]
  has(digest: Uint8Array): boolean
}

/** Opens the store. Rebuilds the index database first when it is missing or damaged, or when `rebuild` is true. */
export async function openSliceStore(deps: SliceStoreDeps, options: { rebuild?: boolean } = {}): Promise<OpenSliceStore> {
  const parts = await openParts(deps, options.rebuild ?? false)
  const { index, writer, pins, pool, reader, upkeep, quarantine } = parts
  return {
    recovered: parts.recovered,
    quarantined: () => quarantine.list(),
    settleQuarantine() {
      const open = new Set(quarantine.list().map(({ digest }) => digest))
      return quarantine.settle((digest) => open.has(digest))
    },
    lostPacks: () => findLostPacks(deps.disk, parts),
    indexFault: () => index.check(),
    read: reader.read,
    readStored: reader.readStored,
    ingest: (start) => createIngest({ cutter: deps.cutter, pool, writer, index, pins }, start),
    receive: () => createReceiver({ writer, index, pins }),
    missing: (digests, lengths) => missingFrom(index, digests, lengths),
    gc: (gcOptions) => upkeep.runExclusive((rebuildIndex) => collectGarbage({ ...gcParts(deps, parts), rebuildIndex }, gcOptions)),
    scrub: (scrubOptions) => scrubStore(scrubParts(deps, parts), scrubOptions),
    stats: () => statsOf(parts),
    sizes: (digests) => ({ storedBytes: digests.reduce((bytes, digest) => bytes + (index.find(digest)?.storedLength ?? 0), 0) }),
    async [Symbol.asyncDispose]() {
      await upkeep[Symbol.asyncDispose]()
      pool[Symbol.dispose]()
      await writer[Symbol.asyncDispose]()
      await parts.files[Symbol.asyncDispose]()
      await index[Symbol.asyncDispose]()
    },
  }
}

type StoreParts = Awaited<ReturnType<typeof openParts>>

/** Opens the parts in the order of their dependencies: the index with the packs, what writes, what keeps the index usable, what reads. */
async function openParts(deps: SliceStoreDeps, rebuild: boolean) {
  const { disk, clock, log, crashPoint, mount, state, cutter, workers } = deps
  const folder = join(mount, 'packs')
  const sealBytes = deps.packSealBytes ?? PACK_SEAL_BYTES
  await disk.makeFolder(folder)
  await disk.makeFolder(state)
  // A process that was killed may have created the folder without syncing its name.
  await disk.syncFolder(mount)
  const { index, quarantine, recovered } = await openIndex({ disk, clock, log, mount, state, packs: folder, sealBytes }, rebuild)

  const files = new PackFiles(disk, folder)
  const writer = new PackWriter({ disk, folder, index, crashPoint, log, newName: newPackName, sealBytes })
  if (recovered.unsealed) await writer.resume(recovered.unsealed)
  for (const pack of recovered.abandoned) writer.abandon(pack)
  const pins = createPins()
  const pool = new WorkerPool({ count: workers, cutter, log })

  const pause = (): Promise<void> => clock.sleep(0)
  const leftOut = createLeftOut({ disk, log, folder, index, quarantine, sealBytes }, recovered.leftOut, (pack) => writer.abandon(pack))
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
  const onCorrupt: ReaderDeps['onCorrupt'] = async (digest, location, reason) => {
    await quarantine.add(digest, location, reason)
    deps.onCorrupt?.(digest, reason)
  }
  const reader = createReader({ index, files, search, pause, onCorrupt })
  return { folder, sealBytes, index, quarantine, recovered, files, pins, pool, writer, pause, leftOut, upkeep, search, reader }
}

/** What gc uses, without the rebuild, which it is given with its exclusive run. */
function gcParts({ disk, log, crashPoint, roots, makeRoom }: SliceStoreDeps, parts: StoreParts): Omit<GcDeps, 'rebuildIndex'> {
  const { index, files, quarantine, writer, pins, folder, sealBytes, pause, leftOut } = parts
  const system = { disk, log, crashPoint, pause }
  const contents = { index, files, quarantine, roots, retryLeftOut: leftOut.retry }
  const writing = { writer, pins, folder, sealBytes, makeRoom }
  return { ...system, ...contents, ...writing }
}

/** What scrub uses. */
function scrubParts({ clock, log, roots }: SliceStoreDeps, parts: StoreParts): ScrubDeps {
  const { index, files, quarantine, search, upkeep, pause, leftOut } = parts
  const system = { clock, log, pause }
  const contents = { index, files, quarantine, roots, retryLeftOut: leftOut.retry }
  const repair = { search, checkIndex: () => index.check(), rebuildIndex: upkeep.rebuildIndex }
  return { ...system, ...contents, ...repair }
}

function missingFrom(index: SliceLookup, digests: readonly Uint8Array[], lengths: readonly number[] | undefined): number[] {
  return digests.flatMap((digest, i) => {
    const found = index.find(digest)
    return found && (!lengths || found.length === lengths[i]) ? [] : [i]
  })
}

async function findLostPacks(disk: Disk, { index, files }: StoreParts): Promise<LostPacks> {
  const lost = new Map<number, string>()
  for (const { id, name } of [...index.packs()]) {
    // gc removes a pack from the index before it removes the file.
    if ((await disk.stat(files.path(name))) === undefined && index.pack(id) !== undefined) lost.set(id, name)
  }
  return {
    names: [...lost.values()],
    has(digest) {
      const found = lost.size > 0 ? index.find(digest) : undefined
      return found !== undefined && lost.has(found.pack)
    },
  }
}

function statsOf({ index, writer, quarantine, upkeep }: StoreParts): SliceStats {
  const packs = [...index.packs()]
  return {
    slices: index.sliceCount,
    storedBytes: index.storedBytes,
    packs: packs.length,
    packBytes: packs.reduce((sum, pack) => sum + pack.length, writer.openPackBytes),
    quarantined: quarantine.count,
    rebuilding: upkeep.progress ?? null,
  }
}

function newPackName(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
}
