// A streamOptimized VMDK: compressed grains as they come, each grain table after its grains, the directory and a footer at the end. Its length is known
// only then.

import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import type { InputType, ZlibOptions } from 'node:zlib'
import type { SequentialConversion } from '../../contract/convert.ts'
import { allocatedLength } from '../guest-disk.ts'
import { partLength, readGuest } from '../guest-reader.ts'
import { requireHolds, wholeSectors } from '../guest-source.ts'
import type { GuestSource } from '../guest-source.ts'
import { GRAIN_BYTES, GRAIN_SECTORS, TABLE_ENTRIES, vmdkGrain, vmdkHead, vmdkMarker, vmdkTable, vmdkTail } from './vmdk-tables.ts'

/** Longest disk in bytes. Places in the file are 32-bit sector numbers, and grains that do not compress take more than their bytes. */
export const VMDK_BYTES_MAX = 2016 * 1024 ** 3
/** The quickest level: the images are for transport, and most of what compresses well compresses at any level. */
const LEVEL = 1
/** Grains that are compressed at the same time by one conversion. */
const GRAINS_AHEAD = 4
/** Most bytes of the file for each byte of data, and of all its tables. */
const GROWTH_MAX = 1.02
const TABLES_BYTES_MAX = 4 * 1024 * 1024
const SECTOR = 512
const ZERO_GRAIN = Buffer.alloc(GRAIN_BYTES)

const deflateAsync = promisify<InputType, ZlibOptions, Buffer>(deflate)

/** What was written so far. */
interface Progress {
  /** First grain of the disk that was not written. */
  grain: number
  /** Length of the file so far. */
  bytes: number
  isDone: boolean
  /** The table of the current grains, its index, and the places of all tables, in sectors. */
  table: Uint32Array
  tableIndex: number
  readonly directory: Uint32Array
}

/** Returns the VMDK of a disk. Throws ProblemError `invalid-input` for a disk that is too long. */
export function writeVmdk(source: GuestSource): SequentialConversion {
  const size = wholeSectors(source.disk.length)
  requireHolds(size, { lengthMax: VMDK_BYTES_MAX, what: 'A streamOptimized VMDK' })
  const grains = Math.ceil(size / GRAIN_BYTES)
  const progress: Progress = {
    grain: 0,
    bytes: 0,
    isDone: false,
    table: new Uint32Array(TABLE_ENTRIES),
    tableIndex: 0,
    directory: new Uint32Array(Math.ceil(grains / TABLE_ENTRIES)),
  }
  return {
    kind: 'sequential',
    get isDone() {
      return progress.isDone
    },
    measure: async (signal) => Math.ceil((await allocatedLength(source.disk, signal)) * GROWTH_MAX) + TABLES_BYTES_MAX,
    parts: (signal) => fileParts({ source, size, grains, progress }, signal),
  }
}

interface VmdkFile {
  readonly source: GuestSource
  readonly size: number
  readonly grains: number
  readonly progress: Progress
}

/** Yields what was not written yet. The progress includes a part before it is yielded. */
async function* fileParts(file: VmdkFile, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const { source, size, grains, progress } = file
  const take = (bytes: Uint8Array): Uint8Array => {
    progress.bytes += bytes.byteLength
    return bytes
  }
  if (progress.isDone) return
  if (progress.bytes === 0) yield take(vmdkHead(size, source.seed))
  for await (const { index, compressed } of compressedGrains(source, progress.grain, signal)) {
    const tableIndex = Math.floor(index / TABLE_ENTRIES)
    if (tableIndex !== progress.tableIndex) {
      const table = endTable(progress, tableIndex)
      if (table) yield take(table)
    }
    progress.table[index % TABLE_ENTRIES] = progress.bytes / SECTOR
    progress.grain = index + 1
    yield take(vmdkGrain(index * GRAIN_SECTORS, compressed))
  }
  progress.grain = grains
  const last = endTable(progress, progress.directory.length)
  if (last) yield take(last)
  const directory = vmdkTable(progress.directory)
  const marker = vmdkMarker('directory', directory.byteLength / SECTOR)
  const tail = vmdkTail(size, (progress.bytes + marker.byteLength) / SECTOR)
  progress.isDone = true
  yield take(Buffer.concat([marker, directory, tail]))
}

/** Ends the current table and begins the one with an index. Returns the bytes of the ended table; undefined if it has no grains. */
function endTable(progress: Progress, nextIndex: number): Uint8Array | undefined {
  const { table, tableIndex } = progress
  progress.tableIndex = nextIndex
  if (table.every((entry) => entry === 0)) return undefined
  progress.table = new Uint32Array(TABLE_ENTRIES)
  const bytes = vmdkTable(table)
  const marker = vmdkMarker('table', bytes.byteLength / SECTOR)
  progress.directory[tableIndex] = (progress.bytes + marker.byteLength) / SECTOR
  return Buffer.concat([marker, bytes])
}

interface CompressedGrain {
  readonly index: number
  readonly compressed: Uint8Array
}

/** Yields the grains that are not all zeros, from a grain on, compressed in parallel. */
async function* compressedGrains(source: GuestSource, from: number, signal: AbortSignal | undefined): AsyncGenerator<CompressedGrain> {
  const ahead: Promise<CompressedGrain>[] = []
  for await (const { index, bytes } of grainsOf(source, from, signal)) {
    const compressing = deflateAsync(bytes, { level: LEVEL }).then((compressed) => ({ index, compressed }))
    compressing.catch(() => {})
    ahead.push(compressing)
    if (ahead.length < GRAINS_AHEAD) continue
    const next = await ahead.shift()
    if (next) yield next
  }
  for (const one of ahead) yield await one
}

/** Yields the grains that are not all zeros, each in a buffer of its own. */
async function* grainsOf(source: GuestSource, from: number, signal: AbortSignal | undefined): AsyncGenerator<{ index: number; bytes: Buffer }> {
  const { length } = source.disk
  let at = from * GRAIN_BYTES
  let grain = Buffer.alloc(0)
  const full = (): { index: number; bytes: Buffer } | undefined => {
    const bytes = grain
    grain = Buffer.alloc(0)
    return bytes.length > 0 && !bytes.equals(ZERO_GRAIN) ? { index: Math.ceil(at / GRAIN_BYTES) - 1, bytes } : undefined
  }
  for await (const part of readGuest(source, at, length, signal)) {
    const end = at + partLength(part)
    const partStart = at
    while (at < end) {
      const grainEnd = at - (at % GRAIN_BYTES) + GRAIN_BYTES
      const to = Math.min(end, grainEnd)
      if (part instanceof Uint8Array) {
        if (grain.length === 0) grain = Buffer.alloc(GRAIN_BYTES)
        grain.set(part.subarray(at - partStart, to - partStart), at % GRAIN_BYTES)
        at = to
      } else if (grain.length === 0) {
        // Zeros at the beginning of a grain: whole grains of them are skipped at once.
        at = Math.max(to, end - (end % GRAIN_BYTES))
      } else at = to
      if (at % GRAIN_BYTES !== 0) continue
      const done = full()
      if (done) yield done
    }
  }
  const last = full()
  if (last) yield last
}
