// Worker thread of ingest: cuts segments, hashes the slices, compresses the new ones, and encodes them as records that are ready to be appended to a
// pack. It keeps no state between jobs except the filter.

import { CODEC_RAW, CODEC_ZSTD } from '../../../protocol/slices/frames.ts'
import { DIGEST_BYTES } from '../../../protocol/slices/digest.ts'
import { createCutter } from '../../../protocol/slices/cutter.ts'
import type { Cutter } from '../../../protocol/slices/cutter.ts'
import { lowerThreadPriority, PRIORITY_OF_WORK } from '../../contract/thread-priority.ts'
import { BLOCK_PRIMITIVES } from './block-primitives.ts'
import { viewFilter } from '../index/filter.ts'
import type { Filter } from '../index/filter.ts'
import { encodeTable, viewTable } from './ingest-messages.ts'
import type { SegmentJob, StoreJob, TableRow, WorkerReply, WorkerRequest } from './ingest-messages.ts'
import { COMPRESSION_SAVING_MIN, ZSTD_LEVEL } from '../packs/parameters.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../packs/record.ts'

declare const self: Worker

lowerThreadPriority(PRIORITY_OF_WORK)

let cutter: Cutter | undefined
let filter: Filter | undefined

self.addEventListener('message', (event: MessageEvent<WorkerRequest>) => {
  try {
    take(event.data)
  } catch (error) {
    reply({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }, [])
  }
})

function take(request: WorkerRequest): void {
  switch (request.kind) {
    case 'start':
      cutter = createCutter(request.cutter, BLOCK_PRIMITIVES)
      return
    case 'filter':
      filter = viewFilter(request.buffer, request.capacity)
      return
    case 'segment':
      takeSegment(request)
      return
    case 'store':
      takeStore(request)
      return
    default:
      request satisfies never
  }
}

function takeSegment(job: SegmentJob): void {
  if (!cutter) throw new Error('a segment came before the start message')
  const bytes = Buffer.from(job.input, job.start, job.end - job.start)
  const cuts = cutter.cut(bytes, job.last)
  const carry = new Uint8Array(bytes.length - cuts.consumed)
  carry.set(bytes.subarray(cuts.consumed))
  reply({ kind: 'cut', carry }, [carry.buffer])

  const output = Buffer.from(job.output)
  const rows: TableRow[] = []
  const stored = new Set<string>()
  let start = 0
  let filled = 0
  for (const [i, end] of cuts.ends.entries()) {
    const length = end - start
    const row = { start: job.start + start, length }
    if (cuts.zeros[i]) {
      rows.push({ ...row, digest: null })
    } else {
      const slice = bytes.subarray(start, end)
      const digest = sha256(slice)
      const key = digest.toString('latin1')
      if (filter && !filter.mayHave(digest) && !stored.has(key)) {
        const record = { offset: filled, length: writeRecord(output, filled, digest, slice) }
        rows.push({ ...row, digest, record })
        filled += record.length
        stored.add(key)
      } else {
        rows.push({ ...row, digest })
      }
    }
    start = end
  }
  const table = encodeTable(rows)
  reply({ kind: 'done', input: job.input, output: job.output, table }, [job.input, job.output, table])
}

function takeStore(job: StoreJob): void {
  const wanted = viewTable(job.table)
  const output = Buffer.from(job.output)
  const rows: TableRow[] = []
  let filled = 0
  for (let i = 0; i < wanted.count; i++) {
    const slice = Buffer.from(job.input, wanted.startAt(i), wanted.lengthAt(i))
    const record = { offset: filled, length: writeRecord(output, filled, wanted.digestAt(i), slice) }
    rows.push({ digest: wanted.digestAt(i), start: wanted.startAt(i), length: wanted.lengthAt(i), record })
    filled += record.length
  }
  const table = encodeTable(rows)
  reply({ kind: 'done', input: job.input, output: job.output, table }, [job.input, job.output, table])
}

function sha256(bytes: Uint8Array): Buffer {
  const digest = Buffer.allocUnsafe(DIGEST_BYTES)
  Bun.SHA256.hash(bytes, digest)
  return digest
}

/** Whether the last slice shrank. If not, samples decide whether compressing the next one is worth trying. */
let hasShrunk = true
const SAMPLE_BYTES = 4096

function isSmaller(compressed: Uint8Array, bytes: Uint8Array): boolean {
  return compressed.length <= bytes.length * (1 - COMPRESSION_SAVING_MIN)
}

/** Whether compressing is worth trying: after an incompressible slice, two samples of the next one are compressed first. */
function mayShrink(slice: Buffer): boolean {
  if (hasShrunk || slice.length < 4 * SAMPLE_BYTES) return true
  const middle = slice.length >> 1
  return [slice.subarray(0, SAMPLE_BYTES), slice.subarray(middle, middle + SAMPLE_BYTES)].some((sample) =>
    isSmaller(Bun.zstdCompressSync(sample, { level: ZSTD_LEVEL }), sample),
  )
}

/** Writes the record of a slice at `at`; returns its length. */
function writeRecord(output: Buffer, at: number, digest: Uint8Array, slice: Buffer): number {
  const compressed = mayShrink(slice) ? Bun.zstdCompressSync(slice, { level: ZSTD_LEVEL }) : slice
  const isCompressed = compressed !== slice && isSmaller(compressed, slice)
  hasShrunk = isCompressed
  const stored = isCompressed ? compressed : slice
  output.set(stored, at + RECORD_HEADER_BYTES)
  writeRecordHeader(output, at, {
    digest,
    codec: isCompressed ? CODEC_ZSTD : CODEC_RAW,
    length: slice.length,
    storedLength: stored.length,
    checksum: checksumOf(stored),
  })
  return RECORD_HEADER_BYTES + stored.length
}

function reply(message: WorkerReply, transfer: ArrayBuffer[]): void {
  self.postMessage(message, transfer)
}
