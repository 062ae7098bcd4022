// The slice store: opens its parts in order, gives them to those who need them, and closes them. What it promises
// stands in agent/contract/slices.ts, what lies on disk in docs/format.md.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../../protocol/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceRoots, SliceStore } from '../contract/slices.ts'
import { collectGarbage } from './gc.ts'
import { checkIndexApart } from './index-check.ts'
import { IndexDatabase } from './index-database.ts'
import { isIndexDamaged } from './index-file.ts'
import { createIngest } from './ingest.ts'
import { PackFiles } from './pack-files.ts'
import { PackWriter } from './pack-writer.ts'
import type { CutterParameters } from '../../protocol/cutter.ts'
import { PACK_SEAL_BYTES } from './parameters.ts'
import { createPins } from './pins.ts'
import type { Quarantine, QuarantinedSlice } from './quarantine.ts'
import { openQuarantine } from './quarantine.ts'
import { createReader } from './reader.ts'
import { createReceiver } from './receiver.ts'
import type { RecoverReport } from './recover.ts'
import { recoverIndex, takeLeftOut } from './recover.ts'
import { scrubStore } from './scrub.ts'
import { sliceKey } from './slice-row.ts'
import { WorkerPool } from './worker-pool.ts'

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
}

/** An open slice store, and what its opening found. */
export interface OpenSliceStore extends SliceStore {
  readonly recovered: RecoverReport
  quarantined(): QuarantinedSlice[]
  /** What SQLite says is wrong with the index database; undefined when nothing is. */
  indexFault(): string | undefined
}

export const INDEX_FILE = 'index.db'

/** Opens the store; rebuilds the index database first when it is missing, damaged or `rebuild` is asked for. */
export async function openSliceStore(deps: SliceStoreDeps, options: { rebuild?: boolean } = {}): Promise<OpenSliceStore> {
  const { disk, clock, log, crashPoint, mount, state, cutter, workers, roots } = deps
  const sealBytes = deps.packSealBytes ?? PACK_SEAL_BYTES
  const packs = join(mount, 'packs')
  await disk.makeFolder(packs)
  await disk.makeFolder(state)
  // A killed process may have left the folder's name in memory only.
  await disk.syncFolder(mount)
  const { index, quarantine, recovered } = await openRecovered(deps, packs, sealBytes, options.rebuild ?? false)
  if (recovered.packsRead > 0 || recovered.faults.length > 0) {
    const { packsRead, slicesFound, bytesFound, tornBytes, packsMissing, faults } = recovered
    log.info('the index database was brought in step with the packs', { packsRead, slicesFound, bytesFound, tornBytes, packsMissing, faults })
  }

  const files = new PackFiles(disk, packs)
  const pause = (): Promise<void> => clock.sleep(0)
  const writer = new PackWriter({ disk, folder: packs, index, crashPoint, log, newName: newPackName, sealBytes, pause })
  if (recovered.unsealed) await writer.resume(recovered.unsealed)
  for (const pack of recovered.abandoned) writer.abandon(pack)
  let { leftOut } = recovered
  const pins = createPins()
  const pool = new WorkerPool({ count: workers, cutter, log })
  const closing = new AbortController()
  // Until the filter is whole every look-up asks the database, which is slower and as right.
  const buildFilter = async (): Promise<void> => {
    try {
      await index.rebuildFilter(async () => {
        await pause()
        closing.signal.throwIfAborted()
      })
      pool.setFilter(index.filter)
    } catch (error) {
      if (!closing.signal.aborted) log.error('the filter of known slices could not be built; ingest is slower', { error })
    }
  }
  let filtered = buildFilter()
  if (index.sliceCount < FILTER_AWAITED_MAX) await filtered
  const filterWatch = clock.every(FILTER_CHECK_MS, () => {
    if (index.isFilterWorn) filtered = filtered.then(() => (index.isFilterWorn ? buildFilter() : undefined))
  })

  const reader = createReader({
    index,
    files,
    async onCorrupt(digest, location, reason) {
      await quarantine.add(digest, location, reason)
      deps.onCorrupt?.(digest, reason)
    },
  })
  const retake = async (): Promise<void> => {
    if (leftOut.size === 0) return
    const taken = await takeLeftOut({ disk, log, folder: packs, index, quarantine, sealBytes }, leftOut)
    leftOut = taken.leftOut
    for (const pack of taken.abandoned) writer.abandon(pack)
  }
  const checkIndex = async (): Promise<string | undefined> =>
    index.sliceCount < CHECKED_HERE_MAX ? index.fault() : await checkIndexApart(join(state, INDEX_FILE))
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
    roots,
    crashPoint,
    sealBytes,
    takeLeftOut: retake,
    checkIndex,
    makeRoom: deps.makeRoom,
    pause,
  }

  return {
    recovered,
    quarantined: () => quarantine.list(),
    indexFault: () => index.fault(),
    read: reader.read,
    readStored: reader.readStored,
    ingest: (start) => createIngest({ cutter, pool, writer, index, pins }, start),
    receive: () => createReceiver({ writer, index, pins }),
    missing: (digests) => [...digests.keys()].filter((i) => !index.find(digests[i] ?? new Uint8Array(0))),
    gc: (gcOptions) => collectGarbage(maintenance, gcOptions),
    scrub: (scrubOptions) => scrubStore(maintenance, scrubOptions),
    stats() {
      const all = [...index.packs()]
      return {
        slices: index.sliceCount,
        storedBytes: index.storedBytes,
        packs: all.length,
        packBytes: all.reduce((sum, pack) => sum + pack.length, writer.openPackBytes),
        quarantined: quarantine.count,
      }
    },
    sizes: (manifest) => ({ storedBytes: storedBytes(index, manifest) }),
    async [Symbol.asyncDispose]() {
      closing.abort()
      filterWatch[Symbol.dispose]()
      await filtered
      pool[Symbol.dispose]()
      await writer[Symbol.asyncDispose]()
      await files[Symbol.asyncDispose]()
      index[Symbol.dispose]()
      if (index.isDistrusted) await removeIndex(join(state, INDEX_FILE))
    },
  }
}

/** Up to this many slices the start waits for the filter; it takes well under a second. */
const FILTER_AWAITED_MAX = 200_000

/** An index database of up to so many slices is checked at once, a larger one on a thread of its own. */
const CHECKED_HERE_MAX = 20_000

/** How often the filter is looked at: a store grows by far less than its capacity in this time. */
const FILTER_CHECK_MS = 5000

interface Recovered {
  readonly index: IndexDatabase
  readonly quarantine: Quarantine
  readonly recovered: RecoverReport
}

/** The index database in step with the packs; a damaged one is made anew from them. */
async function openRecovered({ disk, clock, log, mount, state }: SliceStoreDeps, packs: string, sealBytes: number, rebuild: boolean): Promise<Recovered> {
  const path = join(state, INDEX_FILE)
  if (rebuild) await removeIndex(path)
  for (let isNew = rebuild; ; isNew = true) {
    let index: IndexDatabase | undefined
    try {
      index = IndexDatabase.open(path)
      const quarantine = await openQuarantine({ disk, clock, log, folder: join(mount, 'quarantine'), index })
      return { index, quarantine, recovered: await recoverIndex({ disk, log, folder: packs, index, quarantine, sealBytes }) }
    } catch (error) {
      index?.[Symbol.dispose]()
      if (isNew || !isIndexDamaged(error)) throw error
      log.warn('the index database cannot be used and is rebuilt from the packs', { error })
      await removeIndex(path)
    }
  }
}

/** Derived data on the node itself: nothing is lost with it, and no order is needed. */
async function removeIndex(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(path + suffix, { force: true })
}

function storedBytes(index: IndexDatabase, manifest: Manifest): number {
  const seen = new Set<string>()
  let bytes = 0
  for (let i = 0; i < manifest.count; i++) {
    if (manifest.isZeroAt(i)) continue
    const key = sliceKey(manifest.digestAt(i))
    if (seen.has(key)) continue
    seen.add(key)
    bytes += index.find(manifest.digestAt(i))?.storedLength ?? 0
  }
  return bytes
}

function newPackName(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
}
