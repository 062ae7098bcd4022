// Bench `index`: how a store with many millions of slices starts and takes an image, against an empty one. The slices are
// rows of the index database only; their packs are files without bytes, as long as the database says.

import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { Database } from 'bun:sqlite'
import { basename, dirname, join } from 'node:path'
import { IndexDatabase } from '../../agent/slices/index-database.ts'
import { packPath } from '../../agent/slices/pack-format.ts'
import { INDEX_FILE } from '../../agent/slices/open-index.ts'
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
const ROWS_PER_TRANSACTION = 500_000

/**
 * Start time, memory, and ingest until the store is closed, when the start's background work (the filter of known slices) is over: of v1
 * with an index that the start has brought into the page cache, and of random bytes with one that is not there.
 */
export async function benchIndex(context: BenchContext): Promise<Figure[]> {
  const canDrop = await dropCaches()
  if (!canDrop) context.say('The page cache cannot be dropped here: the cases with a cold index are left out.')
  const empty = await takeImages(context, 0, canDrop)
  const figures: Figure[] = [
    figure('index', 'v1 into an empty index', empty.warm.seconds, 's'),
    figure('index', 'v1 into an empty index, longest stall of the event loop', empty.warm.stallMs, 'ms'),
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
      figure('index', `${name}: v1, longest stall of the event loop`, taken.stallMs, 'ms'),
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

/** Each image is new to the store every time; into a large one it goes once. */
async function takeImages(context: BenchContext, millions: number, canDrop: boolean): Promise<AllTaken> {
  const folder = join(context.folder, `index-${millions}`)
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await context.ours.prepare(folder)
  const store = context.ours.stored(folder)
  const filled = millions > 0 ? fill(join(folder, 'state'), join(store, 'packs'), millions * MILLION) : NaN
  context.say(`${millions} million slices are in (${Math.round(filled)}/s)`)
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
  context.say(`took ${basename(file)}: ${taken.seconds.toFixed(2)} s, ${taken.cpuSeconds.toFixed(2)} CPU s, stalls up to ${taken.stallMs.toFixed(0)} ms`)
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

/** Rows in the order of their digests, spread over the whole space; gives rows a second. */
function fill(state: string, packs: string, slices: number): number {
  mkdirSync(state, { recursive: true })
  const path = join(state, INDEX_FILE)
  IndexDatabase.open(path)[Symbol.dispose]()
  const database = new Database(path, { strict: true })
  database.run('PRAGMA synchronous = OFF')
  const startedMs = performance.now()
  const addPack = database.query<unknown, [number, string, number]>('INSERT INTO packs (id, name, length, sealed) VALUES (?, ?, ?, 1)')
  const addSlice = database.query<unknown, [Uint8Array, number, number, number, number]>(
    'INSERT INTO slices (digest, pack, offset, length, stored) VALUES (?, ?, ?, ?, ?)',
  )
  for (let pack = 1; pack <= Math.ceil(slices / SLICES_PER_PACK); pack++) {
    const name = Bun.hash(`pack ${pack}`).toString(16).padStart(16, '0').repeat(2)
    addPack.run(pack, name, PACK_BYTES)
    const file = join(packs, packPath(name))
    mkdirSync(dirname(file), { recursive: true })
    const opened = openSync(file, 'w')
    ftruncateSync(opened, PACK_BYTES)
    closeSync(opened)
  }
  const digest = Buffer.alloc(32)
  const step = 2n ** 64n / BigInt(slices)
  const insert = database.transaction((from: number, to: number) => {
    for (let i = from; i < to; i++) {
      digest.writeBigUInt64BE(BigInt(i) * step, 0)
      // The rest of a digest is as random as its beginning: the filter takes its bits from there.
      for (let word = 1; word < 4; word++) digest.writeBigUInt64LE(Bun.hash.xxHash3(digest.subarray(0, 8), BigInt(word)), word * 8)
      // Slices of one pack have digests of all kinds, as in a store that was filled by images.
      const pack = (i % Math.ceil(slices / SLICES_PER_PACK)) + 1
      addSlice.run(digest, pack, 16 + Math.floor((i * SLICES_PER_PACK) / slices) * STORED_BYTES, SLICE_BYTES, STORED_BYTES - 64)
    }
  })
  for (let at = 0; at < slices; at += ROWS_PER_TRANSACTION) insert(at, Math.min(slices, at + ROWS_PER_TRANSACTION))
  const rate = (slices / (performance.now() - startedMs)) * 1000
  database.run('INSERT OR REPLACE INTO counts (key, value) VALUES (?, ?), (?, ?)', ['rows', slices, 'bytes', slices * (STORED_BYTES - 64)])
  database.run('PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
  return rate
}
