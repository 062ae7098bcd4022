// Our slice store as a process of its own, so that it is timed like the peers: start, open, work, make durable, end.
//
//   bun test/bench/store-program.ts ingest STORE NAME FILE     stores FILE as image NAME
//   bun test/bench/store-program.ts read STORE NAME [digest]   reads every byte of the image, verified; with `digest` also computes its SHA-256
//   bun test/bench/store-program.ts remove STORE NAME          removes the image; its slices stay until gc
//   bun test/bench/store-program.ts gc|scrub|stats STORE
//
// Prints one JSON line. The index database is next to the store. SLIPWAY_BENCH_AVERAGE_KIB creates a new store with another
// cutter; SLIPWAY_BENCH_SETTLE=1 waits for the background work of the start, so that the rest is measured alone; SLIPWAY_BENCH_COLD=1 then
// drops the page cache except for the ingested file, as if the index were larger than the free memory.

import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Checkpoint } from '../../agent/contract/slices.ts'
import { CUTTER_DEFAULT } from '../../agent/slices/packs/parameters.ts'
import type { OpenSliceStore } from '../../agent/slices/store.ts'
import { openSliceStore } from '../../agent/slices/store.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { createLog } from '../../agent/system/log.ts'
import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import type { ManifestEntry, MemoryManifest } from '../../protocol/slices/manifest.ts'
import { decodeManifest, encodeManifest, manifestEntries } from '../../protocol/slices/manifest.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { dropCaches, warm } from './measure.ts'

const MIB = 1024 * 1024
const KIB = 1024
/** Bytes between two checkpoints, as in the agent during an upload. */
const CHECKPOINT_BYTES = 64 * MIB
const MANIFEST_BYTES_MAX = 1024 * MIB
/** Effectively no limit. */
const SCRUB_BYTES_PER_SECOND = 1e12
const SETTLE_MS = 500
/** Bytes that reading the counters itself adds. */
const SETTLE_BYTES = 16 * KIB
/** Time between two measurements of the event loop during an ingest, in milliseconds. */
const LOOK_MS = 2

const disk = createDisk()
const [, , command = '', folder = '', name = '', extra = ''] = process.argv
const manifestPath = (image: string): string => join(folder, 'images', image, 'manifest')

function cutter(): CutterParameters {
  const average = Number(process.env['SLIPWAY_BENCH_AVERAGE_KIB'] ?? '0') * KIB
  return average > 0 ? { ...CUTTER_DEFAULT, minimum: average / 4, average, maximum: average * 4 } : CUTTER_DEFAULT
}

async function loadManifest(image: string): Promise<MemoryManifest> {
  return (await decodeManifest(await disk.readFile(manifestPath(image), MANIFEST_BYTES_MAX))).manifest
}

function images(): string[] {
  try {
    return readdirSync(join(folder, 'images'))
  } catch {
    return []
  }
}

async function* roots(): AsyncGenerator<{ name: string; entries: () => Iterable<ManifestEntry> }> {
  for (const image of images()) {
    const manifest = await loadManifest(image)
    yield { name: image, entries: () => manifestEntries(manifest) }
  }
}

function openStore(): Promise<OpenSliceStore> {
  return openSliceStore({
    disk,
    clock: systemClock,
    log: createLog({ clock: systemClock, level: 'warn' }),
    crashPoint: () => {},
    mount: folder,
    state: join(dirname(folder), 'state'),
    cutter: cutter(),
    workers: availableParallelism(),
    roots: [{ list: roots }],
  })
}

async function ingest(store: OpenSliceStore): Promise<object> {
  const file = openSync(extra, 'r')
  const length = fstatSync(file).size
  const piece = Buffer.alloc(MIB)
  const entries: ManifestEntry[] = []
  const releases: (() => void)[] = []
  let storedBytes = 0
  const keep = (checkpoint: Checkpoint): void => {
    for (const entry of checkpoint.entries) entries.push(entry)
    storedBytes += checkpoint.storedBytes
    releases.push(() => checkpoint.release())
  }
  await using taking = store.ingest({ offset: 0, tail: new Uint8Array(0) })
  let kept = Promise.resolve()
  let since = 0
  for (let at = 0; at < length;) {
    const read = readSync(file, piece, 0, piece.length, at)
    await taking.write(piece.subarray(0, read))
    at += read
    since += read
    if (since < CHECKPOINT_BYTES) continue
    since = 0
    const checkpoint = taking.checkpoint()
    kept = kept.then(async () => keep(await checkpoint))
  }
  closeSync(file)
  const last = taking.finish()
  await kept
  keep(await last)
  const { manifest, digest } = await encodeManifest(entries)
  await disk.makeFolder(join(folder, 'images', name))
  await disk.writeFileAtomic(manifestPath(name), manifest.bytes)
  for (const release of releases) release()
  return { image: name, of: basename(extra), length, entries: manifest.count, storedBytes, digest }
}

async function read(store: OpenSliceStore): Promise<object> {
  const manifest = await loadManifest(name)
  const hash = extra === 'digest' ? new Bun.CryptoHasher('sha256') : undefined
  let nonZeroBytes = 0
  for (let i = 0; i < manifest.count; i++) if (!manifest.isZeroAt(i)) nonZeroBytes += manifest.lengthAt(i)
  const startedMs = performance.now()
  let length = 0
  for await (const piece of store.read(manifest, 0, manifest.imageLength)) {
    length += piece.byteLength
    hash?.update(piece)
  }
  return { length, nonZeroBytes, seconds: (performance.now() - startedMs) / 1000, digest: hash?.digest('hex') }
}

/** Waits until the process neither works nor reads: the filter of a large store is built in the background after the start. */
async function settle(): Promise<void> {
  // Returns the bytes that all threads have read, also from the page cache (proc(5)).
  const bytesRead = async (): Promise<string> => /rchar: (\d+)/.exec(await Bun.file('/proc/self/io').text())?.[1] ?? ''
  for (;;) {
    const before = process.cpuUsage()
    const readBefore = Number(await bytesRead())
    await Bun.sleep(SETTLE_MS)
    const { user, system } = process.cpuUsage(before)
    if ((user + system) / 1000 < SETTLE_MS / 20 && Number(await bytesRead()) - readBefore < SETTLE_BYTES) return
  }
}

/** Measures the longest time that the event loop is blocked until `end` is called, in milliseconds. */
function watchStalls(): { end(): number } {
  let stallMsMax = 0
  let seenMs = performance.now()
  const look = (): void => {
    const nowMs = performance.now()
    stallMsMax = Math.max(stallMsMax, nowMs - seenMs - LOOK_MS)
    seenMs = nowMs
  }
  const timer = setInterval(look, LOOK_MS)
  return {
    end() {
      clearInterval(timer)
      look()
      return stallMsMax
    },
  }
}

/** Runs the command until the store is closed, because rows of the index may be in memory before. */
async function runToTheEnd(): Promise<object> {
  const { answer, settledMs, settledCpu } = await run()
  const { user, system } = process.cpuUsage(settledCpu)
  return { ...answer, closedSeconds: (performance.now() - settledMs) / 1000, closedCpuSeconds: (user + system) / 1e6 }
}

interface Ran {
  readonly answer: object
  readonly settledMs: number
  readonly settledCpu: NodeJS.CpuUsage
}

async function run(): Promise<Ran> {
  const startedMs = performance.now()
  await using store = await openStore()
  const openSeconds = (performance.now() - startedMs) / 1000
  if (process.env['SLIPWAY_BENCH_SETTLE'] === '1') await settle()
  if (process.env['SLIPWAY_BENCH_COLD'] === '1') {
    if (!(await dropCaches())) throw new Error('the page cache cannot be dropped here')
    await warm(extra)
  }
  const settledMs = performance.now()
  const settledSeconds = (settledMs - startedMs) / 1000
  const settledCpu = process.cpuUsage()
  const answer = await work(store, startedMs)
  return { answer: { ...answer, openSeconds, settledSeconds }, settledMs, settledCpu }
}

async function work(store: OpenSliceStore, startedMs: number): Promise<object> {
  switch (command) {
    case 'ingest': {
      const cpu = process.cpuUsage()
      const beganMs = performance.now()
      const stalls = watchStalls()
      const taken = await ingest(store)
      const stallMsMax = stalls.end()
      const { user, system } = process.cpuUsage(cpu)
      return { ...taken, seconds: (performance.now() - beganMs) / 1000, cpuSeconds: (user + system) / 1e6, stallMsMax }
    }
    case 'read':
      return read(store)
    case 'remove':
      await disk.removeTree(join(folder, 'images', name))
      return {}
    case 'gc': {
      const report = await store.gc({ dryRun: false })
      return { ...report, seconds: (performance.now() - startedMs) / 1000 }
    }
    case 'scrub': {
      const report = await store.scrub({ bytesPerSecond: SCRUB_BYTES_PER_SECOND })
      return { ...report, seconds: (performance.now() - startedMs) / 1000 }
    }
    case 'stats':
      return { ...store.stats() }
    default:
      throw new Error(`store-program has no command "${command}"`)
  }
}

const answer = await runToTheEnd()
console.log(JSON.stringify({ ...answer, residentBytesMax: residentBytesMax(process.pid) }))
