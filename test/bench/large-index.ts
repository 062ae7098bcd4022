// Bench `index`: how a store with many millions of slices starts and takes an image, against an empty one. The slices are
// rows of the index database only; their packs are files without bytes, as long as the database says.

import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { Database } from 'bun:sqlite'
import { dirname, join } from 'node:path'
import { IndexDatabase } from '../../agent/slices/index-database.ts'
import { packPath } from '../../agent/slices/pack-format.ts'
import { INDEX_FILE } from '../../agent/slices/store.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, median } from './figure.ts'
import { numberOf, removeFolder, timed, warm } from './measure.ts'

const MB = 1e6
const MILLION = 1_000_000
const SLICES_PER_PACK = 9_000
const SLICE_BYTES = 32 * 1024
const STORED_BYTES = 14 * 1024
const PACK_BYTES = SLICES_PER_PACK * STORED_BYTES
const ROWS_PER_TRANSACTION = 500_000

/** Start time, memory, and ingest of v1 when the start's background work (the filter of known slices) is over. */
export async function benchIndex(context: BenchContext): Promise<Figure[]> {
  const figures: Figure[] = []
  const empty = await takeImage(context, 0)
  figures.push(figure('index', 'v1 into an empty index', empty.seconds, 's'))
  for (const millions of context.millions) {
    const { seconds, cpuSeconds, openSeconds, settledSeconds, residentMB, filled } = await takeImage(context, millions)
    const name = `${millions} million slices`
    figures.push(
      figure('index', `${name}: rows inserted in order`, filled, 'slices/s'),
      figure('index', `${name}: start`, openSeconds, 's'),
      figure('index', `${name}: start until its background work is done`, settledSeconds, 's'),
      figure('index', `${name}: v1`, seconds, 's'),
      figure('index', `${name}: v1, part of the empty one's rate`, empty.seconds / seconds, 'share'),
      figure('index', `${name}: v1, CPU, part of the empty one's rate`, empty.cpuSeconds / cpuSeconds, 'share'),
      figure('index', `${name}: resident memory at most`, residentMB, 'MB'),
    )
  }
  return figures
}

interface Taken {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly openSeconds: number
  readonly settledSeconds: number
  readonly residentMB: number
  readonly filled: number
}

async function takeImage(context: BenchContext, millions: number): Promise<Taken> {
  const folder = join(context.folder, `index-${millions}`)
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await context.ours.prepare(folder)
  const store = context.ours.stored(folder)
  const filled = millions > 0 ? fill(join(folder, 'state'), join(store, 'packs'), millions * MILLION) : NaN
  context.say(`${millions} million slices are in (${Math.round(filled)}/s)`)
  const seconds: number[] = []
  const cpu: number[] = []
  const opens: number[] = []
  const settled: number[] = []
  const residents: number[] = []
  for (let i = 0; i < context.runs; i++) {
    // The image is new to the store every time; into a large one it goes once.
    const empty = join(folder, `run-${i}`)
    if (millions === 0) mkdirSync(join(empty, 'store'), { recursive: true })
    await warm(context.family.v1)
    const target = millions === 0 ? join(empty, 'store') : store
    const { output } = await timed({ ...context.program('ingest', target, `v1-${i}`, context.family.v1), env: { SLIPWAY_BENCH_SETTLE: '1' } }, folder)
    seconds.push(numberOf(output, 'seconds'))
    cpu.push(numberOf(output, 'cpuSeconds'))
    opens.push(numberOf(output, 'openSeconds'))
    settled.push(numberOf(output, 'settledSeconds'))
    residents.push(numberOf(output, 'residentBytesMax') / MB)
    await timed(context.program('remove', target, `v1-${i}`), folder)
    if (millions > 0) break
  }
  removeFolder(folder)
  return {
    seconds: median(seconds),
    cpuSeconds: median(cpu),
    openSeconds: median(opens),
    settledSeconds: median(settled),
    residentMB: median(residents),
    filled,
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
