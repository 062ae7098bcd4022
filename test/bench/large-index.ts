// Bench `index`: how a store with many millions of slices starts and ingests an image, compared with an empty one. The slices are
// only rows of the index database; their packs are sparse files with the lengths in the database.

import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { IndexFile } from '../../agent/slices/index/index-file.ts'
import { INDEX_FILE } from '../../agent/slices/rebuild/open-index.ts'
import { packPath } from '../../agent/slices/packs/pack-format.ts'
import { encodeRow, RUN_ROW_BYTES } from '../../agent/slices/index/run-format.ts'
import { RunWriter } from '../../agent/slices/index/run-writer.ts'
import type { PackEntry } from '../../agent/slices/packs/slice-row.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, median } from './figure.ts'
import { dropCaches, numberOf, removeFolder, timed, warm } from './measure.ts'

const MB = 1e6
const MILLION = 1_000_000
const SLICES_PER_PACK = 9_000
const SLICE_BYTES = 32 * 1024
const STORED_BYTES = 14 * 1024
const PACK_BYTES = SLICES_PER_PACK * STORED_BYTES
/** Share of all rows in each run, the oldest first. */
const RUN_SHARES = [0.6, 0.25, 0.1, 0.04, 0.01]

/**
 * Measures start time, memory, and ingest until the store is closed, after the background work of the start (the filter of known slices): of
 * v1 with an index that the start has read into the page cache, and of random bytes with an index that is not cached.
 */
export async function benchIndex(context: BenchContext): Promise<Figure[]> {
  const canDrop = await dropCaches()
  if (!canDrop) context.say('The page cache cannot be dropped here: the cases with a cold index are skipped.')
  const empty = await takeImages(context, 0, canDrop)
  const figures: Figure[] = [
    figure('index', 'v1 into an empty index', empty.warm.seconds, 's'),
    ...(empty.cold ? [figure('index', 'random bytes into an empty index, longest stall of the event loop', empty.cold.stallMs, 'ms')] : []),
  ]
  for (const millions of context.millions) {
    const { warm: taken, cold, filled } = await takeImages(context, millions, canDrop)
    const name = `${millions} million slices`
    figures.push(
      figure('index', `${name}: rows inserted in order`, filled, 'slices/s'),
      figure('index', `${name}: start`, taken.openSeconds, 's'),
      figure('index', `${name}: start until its background work is done`, taken.settledSeconds, 's'),
      figure('index', `${name}: v1`, taken.seconds, 's'),
      figure('index', `${name}: v1, part of the empty one's rate`, empty.warm.seconds / taken.seconds, 'share'),
      figure('index', `${name}: v1, CPU, part of the empty one's rate`, empty.warm.cpuSeconds / taken.cpuSeconds, 'share'),
    )
    if (cold && empty.cold) {
      figures.push(
        figure('index', `${name}: random bytes, cold index, part of the empty one's rate`, empty.cold.seconds / cold.seconds, 'share'),
        figure('index', `${name}: random bytes, cold index, CPU, part of the empty one's rate`, empty.cold.cpuSeconds / cold.cpuSeconds, 'share'),
        figure('index', `${name}: random bytes, cold index, longest stall of the event loop`, cold.stallMs, 'ms'),
      )
    }
    figures.push(figure('index', `${name}: resident memory at most`, Math.max(taken.residentMB, cold?.residentMB ?? 0), 'MB'))
  }
  return figures
}

interface Taken {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly stallMs: number
  readonly openSeconds: number
  readonly settledSeconds: number
  readonly residentMB: number
}

interface AllTaken {
  readonly warm: Taken
  readonly cold: Taken | undefined
  readonly filled: number
}

/** Ingests the images. Each is new to the store every time; a large store ingests it once. */
async function takeImages(context: BenchContext, millions: number, canDrop: boolean): Promise<AllTaken> {
  const folder = join(context.folder, `index-${millions}`)
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await context.ours.prepare(folder)
  const store = context.ours.stored(folder)
  const filled = millions > 0 ? await fill(join(folder, 'state'), join(store, 'packs'), millions * MILLION) : NaN
  context.say(`${millions} million slices are inserted (${Math.round(filled)}/s)`)
  const random = canDrop ? await context.randomFile('index-random', context.randomBytes) : undefined
  const warmRuns: Taken[] = []
  const coldRuns: Taken[] = []
  for (let i = 0; i < (millions > 0 ? 1 : context.runs); i++) {
    const target = millions > 0 ? store : join(folder, `run-${i}`, 'store')
    mkdirSync(target, { recursive: true })
    warmRuns.push(await take(context, folder, target, context.family.v1, {}))
    if (random !== undefined) coldRuns.push(await take(context, folder, target, random, { SLIPWAY_BENCH_COLD: '1' }))
  }
  removeFolder(folder)
  return { warm: medianOf(warmRuns), cold: coldRuns.length > 0 ? medianOf(coldRuns) : undefined, filled }
}

async function take(context: BenchContext, folder: string, target: string, file: string, env: Readonly<Record<string, string>>): Promise<Taken> {
  await warm(file)
  const { output } = await timed({ ...context.program('ingest', target, basename(file), file), env: { SLIPWAY_BENCH_SETTLE: '1', ...env } }, folder)
  const taken = {
    seconds: numberOf(output, 'closedSeconds'),
    cpuSeconds: numberOf(output, 'closedCpuSeconds'),
    stallMs: numberOf(output, 'stallMsMax'),
    openSeconds: numberOf(output, 'openSeconds'),
    settledSeconds: numberOf(output, 'settledSeconds'),
    residentMB: numberOf(output, 'residentBytesMax') / MB,
  }
  context.say(`ingested ${basename(file)}: ${taken.seconds.toFixed(2)} s, ${taken.cpuSeconds.toFixed(2)} CPU s, stalls up to ${taken.stallMs.toFixed(0)} ms`)
  return taken
}

function medianOf(runs: readonly Taken[]): Taken {
  const of = (member: keyof Taken): number => median(runs.map((run) => run[member]))
  return {
    seconds: of('seconds'),
    cpuSeconds: of('cpuSeconds'),
    stallMs: of('stallMs'),
    openSeconds: of('openSeconds'),
    settledSeconds: of('settledSeconds'),
    residentMB: of('residentMB'),
  }
}

/** Inserts rows in the order of their digests, spread over the whole space, in runs as in a store that has grown. Returns rows per second. */
async function fill(state: string, packs: string, slices: number): Promise<number> {
  mkdirSync(state, { recursive: true })
  const path = join(state, INDEX_FILE)
  using file = IndexFile.open(path)
  const startedMs = performance.now()
  const packCount = Math.ceil(slices / SLICES_PER_PACK)
  file.write({ packs: Array.from({ length: packCount }, (_, i) => makePack(packs, i + 1)) })
  await using stack = new AsyncDisposableStack()
  const writers: RunWriter[] = []
  for (const [i, share] of RUN_SHARES.entries()) {
    writers.push(stack.use(await RunWriter.create(`${path}.${i + 1}.run`, i + 1, Math.ceil(slices * share * 1.01) + 1000)))
  }
  const row = Buffer.alloc(RUN_ROW_BYTES)
  const digest = row.subarray(0, 32)
  const step = 2n ** 64n / BigInt(slices)
  for (let i = 0; i < slices; i++) {
    digest.writeBigUInt64BE(BigInt(i) * step, 0)
    // The rest of a digest must be random too, because the filter uses its bits.
    for (let word = 1; word < 4; word++) digest.writeBigUInt64LE(Bun.hash.xxHash3(digest.subarray(0, 8), BigInt(word)), word * 8)
    // Digests of the slices in one pack are spread over the whole space, as in a store that was filled by images.
    const pack = (i % packCount) + 1
    encodeRow(row, 0, {
      digest,
      pack,
      offset: 16 + Math.floor((i * SLICES_PER_PACK) / slices) * STORED_BYTES,
      length: SLICE_BYTES,
      storedLength: STORED_BYTES - 64,
    })
    const writer = writers[runOf(digest.readUInt32LE(28) / 2 ** 32)]
    if (writer?.push(row, 0)) await writer.write()
  }
  for (const writer of writers) await writer.end()
  const seconds = (performance.now() - startedMs) / 1000
  // The first share is the oldest run.
  file.write({
    runs: writers.map((_, i) => ({ run: i + 1, age: i + 1 })),
    counts: { rows: slices, bytes: slices * (STORED_BYTES - 64), lastPack: packCount, lastRun: writers.length },
  })
  return slices / seconds
}

/** Returns the run of a number from 0 to 1. */
function runOf(number: number): number {
  let left = number
  for (const [i, share] of RUN_SHARES.entries()) {
    left -= share
    if (left < 0) return i
  }
  return 0
}

/** Creates a sealed pack whose file has its length but no data. */
function makePack(packs: string, id: number): PackEntry {
  const name = Bun.hash(`pack ${id}`).toString(16).padStart(16, '0').repeat(2)
  const file = join(packs, packPath(name))
  mkdirSync(dirname(file), { recursive: true })
  const opened = openSync(file, 'w')
  ftruncateSync(opened, PACK_BYTES)
  closeSync(opened)
  return { id, name, length: PACK_BYTES, sealed: true }
}
