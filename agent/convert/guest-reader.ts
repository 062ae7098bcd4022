// Reads the guest disk of an image in order: extents are gathered into jobs of bounded length, and some jobs are loaded ahead, so that look-ups, reads
// and decompression of several clusters overlap.

import type { Part } from '../contract/convert.ts'
import { decompressCluster } from './decompress.ts'
import type { Extent, GuestDisk, SourceFile } from './guest-disk.ts'

/** Bytes of one job, and entries of one: a disk may alternate between data and zeros at every sector. */
const JOB_BYTES = 2 * 1024 * 1024
const JOB_EXTENTS_MAX = 1024
/** Jobs that are loaded at the same time by one reader. */
const JOBS_AHEAD = 3
/** Reads of one job that run at the same time. */
const READS_MAX = 8
/** Compressed clusters up to this distance are read together, up to this many bytes. */
const GAP_MAX = 16 * 1024
const TOGETHER_BYTES_MAX = 1024 * 1024

/** An extent of a job, clipped to what is wanted: bytes [from, to) of the disk. */
interface Wanted {
  readonly extent: Extent
  readonly from: number
  readonly to: number
}

/** What is loaded together. */
interface Job {
  readonly file: SourceFile
  readonly job: readonly Wanted[]
  readonly diskLength: number
}

/** Yields the bytes [start, end) of a guest disk. Zeros come as runs. Throws ProblemError `unsafe-image`, and what reading the store throws. */
export async function* readGuest(
  { disk, file }: { readonly disk: GuestDisk; readonly file: SourceFile },
  start: number,
  end: number,
  signal?: AbortSignal,
): AsyncGenerator<Part> {
  if (start >= end) return
  const stopped = new AbortController()
  const stop = signal ? AbortSignal.any([signal, stopped.signal]) : stopped.signal
  const jobs = planJobs(disk, start, end, stop)
  const ahead: Promise<readonly Part[]>[] = []
  try {
    for (let isMore = true; ;) {
      while (isMore && ahead.length < JOBS_AHEAD) {
        const next = await jobs.next()
        if (next.done) {
          isMore = false
          break
        }
        const loaded = loadJob({ file, job: next.value, diskLength: disk.length }, stop)
        // A failure is thrown when this job is yielded, or never when the reader stops before it.
        loaded.catch(() => {})
        ahead.push(loaded)
      }
      const parts = await ahead.shift()
      if (!parts) return
      stop.throwIfAborted()
      yield* parts
    }
  } finally {
    stopped.abort()
    await jobs.return(undefined)
  }
}

/** Groups the extents that cover [start, end) into jobs. Long extents are cut. */
async function* planJobs(disk: GuestDisk, start: number, end: number, signal: AbortSignal): AsyncGenerator<readonly Wanted[]> {
  let job: Wanted[] = []
  let bytes = 0
  for await (const extent of disk.extents(start, signal)) {
    if (extent.start >= end) break
    const to = Math.min(extent.end, end)
    for (let from = Math.max(extent.start, start); from < to;) {
      const length = extent.kind === 'data' ? Math.min(to - from, JOB_BYTES - bytes) : to - from
      job.push({ extent, from, to: from + length })
      from += length
      if (extent.kind !== 'zero') bytes += length
      if (bytes < JOB_BYTES && job.length < JOB_EXTENTS_MAX) continue
      yield job
      job = []
      bytes = 0
    }
  }
  if (job.length > 0) yield job
}

async function loadJob({ file, job, diskLength }: Job, signal: AbortSignal): Promise<readonly Part[]> {
  const parts: Part[][] = job.map(() => [])
  const loads: (() => Promise<void>)[] = []
  const compressed: number[] = []
  for (const [i, { extent, from, to }] of job.entries()) {
    if (extent.kind === 'zero') parts[i] = [{ zeros: to - from }]
    else if (extent.kind === 'compressed') compressed.push(i)
    else loads.push(async () => void (parts[i] = await readStretch(file, extent.at + (from - extent.start), to - from, signal)))
  }
  for (const group of groupNeighbours(job, compressed)) loads.push(() => loadCompressed({ file, job, diskLength }, group, parts, signal))
  const queue = loads.values()
  const work = async (): Promise<void> => {
    for (const load of queue) await load()
  }
  await Promise.all(Array.from({ length: Math.min(READS_MAX, loads.length) }, work))
  return parts.flat()
}

/** Reads bytes of the file. What lies behind its end reads as zeros: QEMU need not write the rest of the last cluster. */
async function readStretch(file: SourceFile, at: number, length: number, signal: AbortSignal): Promise<Part[]> {
  const parts: Part[] = []
  const end = Math.min(at + length, file.length)
  for await (const piece of file.read(at, end, signal)) parts.push(piece)
  if (end < at + length) parts.push({ zeros: at + length - end })
  return parts
}

/** Compressed clusters that are read together: bytes [at, end) of the file. */
interface Group {
  readonly at: number
  end: number
  readonly members: number[]
}

/** Groups compressed clusters that lie near each other in the file. */
function groupNeighbours(job: readonly Wanted[], indexes: readonly number[]): Group[] {
  const placed = indexes.map((i) => ({ i, ...(job[i]?.extent as Extent & { kind: 'compressed' }) })).toSorted((a, b) => a.at - b.at)
  const groups: Group[] = []
  for (const { i, at, length } of placed) {
    const group = groups.at(-1)
    if (group && at <= group.end + GAP_MAX && at + length - group.at <= TOGETHER_BYTES_MAX) {
      group.end = Math.max(group.end, at + length)
      group.members.push(i)
    } else {
      groups.push({ at, end: at + length, members: [i] })
    }
  }
  return groups
}

async function loadCompressed({ file, job, diskLength }: Job, { at, end, members }: Group, parts: Part[][], signal: AbortSignal): Promise<void> {
  const bytes = new Uint8Array(end - at)
  let filled = 0
  for await (const piece of file.read(at, end, signal)) {
    bytes.set(piece, filled)
    filled += piece.byteLength
  }
  for (const i of members) {
    const wanted = job[i]
    if (wanted?.extent.kind !== 'compressed') continue
    const { extent, from, to } = wanted
    const { start, codec } = extent
    const cluster = await decompressCluster(bytes.subarray(extent.at - at, extent.at - at + extent.length), {
      codec,
      start,
      length: extent.end - start,
      lengthMin: Math.min(extent.end, diskLength) - start,
    })
    parts[i] = [cluster.subarray(from - extent.start, to - extent.start)]
  }
}

/** Returns the length of a part in bytes. */
export function partLength(part: Part): number {
  return part instanceof Uint8Array ? part.byteLength : part.zeros
}
