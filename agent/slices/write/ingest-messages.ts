// Messages between the main thread and an ingest worker. Buffers are transferred and returned, never copied.

import { digestIn } from '../../../protocol/slices/digest.ts'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'

/** The first message to a worker. */
export interface WorkerStart {
  readonly kind: 'start'
  readonly cutter: CutterParameters
}

/** The filter of stored slices; sent again whenever it is replaced. */
export interface WorkerFilter {
  readonly kind: 'filter'
  readonly buffer: SharedArrayBuffer
  readonly capacity: number
}

/** Cut, hash and store the bytes [start, end) of `input`; records go to `output`. */
export interface SegmentJob {
  readonly kind: 'segment'
  readonly input: ArrayBuffer
  readonly output: ArrayBuffer
  readonly start: number
  readonly end: number
  /** The image ends here, or a zero run follows: no bytes may be left over. */
  readonly last: boolean
}

/** Store the slices of `input` that a table names, whatever the filter says. */
export interface StoreJob {
  readonly kind: 'store'
  readonly input: ArrayBuffer
  readonly output: ArrayBuffer
  readonly table: ArrayBuffer
}

export type WorkerRequest = WorkerStart | WorkerFilter | SegmentJob | StoreJob

/** Sent as soon as a segment is cut, so that another worker can start the next one: the bytes after the last slice. */
export interface SegmentCut {
  readonly kind: 'cut'
  readonly carry: Uint8Array<ArrayBuffer>
}

/** The end of a job: its buffers, and a table of its slices. */
export interface JobDone {
  readonly kind: 'done'
  readonly input: ArrayBuffer
  readonly output: ArrayBuffer
  readonly table: ArrayBuffer
}

/** The job failed because of a defect; the message is logged. */
export interface JobFailed {
  readonly kind: 'failed'
  readonly message: string
}

export type WorkerReply = SegmentCut | JobDone | JobFailed

/** Bytes of one row of a table: digest · u32 start · u32 length · u32 record offset · u32 record length. */
export const TABLE_ROW_BYTES = 48
/** Record offset of a piece without a record: a zero run (digest all zero), or a slice that may be stored already. */
export const NOT_STORED = 0xffff_ffff

/** A decoded table of pieces. */
export interface Table {
  readonly count: number
  digestAt(i: number): Uint8Array
  startAt(i: number): number
  lengthAt(i: number): number
  recordOffsetAt(i: number): number
  recordLengthAt(i: number): number
  isZeroAt(i: number): boolean
}

/** Returns a view of an encoded table. */
export function viewTable(buffer: ArrayBuffer): Table {
  const bytes = new Uint8Array(buffer)
  const words = new Uint32Array(buffer)
  const word = (i: number, n: number): number => words[i * 12 + 8 + n] ?? 0
  return {
    count: buffer.byteLength / TABLE_ROW_BYTES,
    digestAt: (i) => digestIn(bytes, i * TABLE_ROW_BYTES),
    startAt: (i) => word(i, 0),
    lengthAt: (i) => word(i, 1),
    recordOffsetAt: (i) => word(i, 2),
    recordLengthAt: (i) => word(i, 3),
    isZeroAt: (i) => {
      for (let n = 0; n < 8; n++) if (words[i * 12 + n] !== 0) return false
      return true
    },
  }
}

/** A row of a table. */
export interface TableRow {
  /** Null for a zero run. */
  readonly digest: Uint8Array | null
  readonly start: number
  readonly length: number
  /** Where its record is in the output; missing for a piece without a record. */
  readonly record?: { readonly offset: number; readonly length: number }
}

export function encodeTable(rows: readonly TableRow[]): ArrayBuffer {
  const buffer = new ArrayBuffer(rows.length * TABLE_ROW_BYTES)
  const bytes = new Uint8Array(buffer)
  const words = new Uint32Array(buffer)
  rows.forEach(({ digest, start, length, record }, i) => {
    if (digest) bytes.set(digest, i * TABLE_ROW_BYTES)
    words.set(record ? [start, length, record.offset, record.length] : [start, length, NOT_STORED], i * 12 + 8)
  })
  return buffer
}
