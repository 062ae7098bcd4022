// The worker thread of ingest by itself: what it stores, what it leaves to the main thread, and the records that it writes.

import { describe, expect, test } from 'bun:test'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import type { Filter } from '../../../../agent/slices/index/filter.ts'
import { encodeTable, NOT_STORED, viewTable } from '../../../../agent/slices/write/ingest-messages.ts'
import type { Table, TableRow, WorkerReply, WorkerRequest } from '../../../../agent/slices/write/ingest-messages.ts'
import type { CutterParameters } from '../../../../protocol/slices/cutter.ts'
import { createRandom } from '../../../support/properties.ts'

const BLOCK = 4096
/** Each slice of this cutter is one block, because that is the maximum. */
const CUTTER = { block: BLOCK, minimum: BLOCK, average: 2 * BLOCK, maximum: BLOCK }

interface Done {
  readonly table: Table
  readonly output: Buffer
}

/** A worker that is sent its first message, and the filter if there is one. */
function startWorker(filter?: Filter, cutter: CutterParameters = CUTTER) {
  const worker = new Worker(new URL('../../../../agent/slices/write/ingest-worker.ts', import.meta.url).href)
  const post = (request: WorkerRequest): void => worker.postMessage(request)
  post({ kind: 'start', cutter })
  if (filter) post({ kind: 'filter', buffer: filter.buffer, capacity: filter.capacity })
  const run = (request: WorkerRequest): Promise<Done> =>
    new Promise((resolve, reject) => {
      const listen = ({ data }: MessageEvent<WorkerReply>): void => {
        if (data.kind === 'cut') return
        worker.removeEventListener('message', listen)
        if (data.kind === 'done') resolve({ table: viewTable(data.table), output: Buffer.from(data.output) })
        else reject(new Error(data.message))
      }
      worker.addEventListener('message', listen)
      post(request)
    })
  return {
    segment: (blocks: readonly Buffer[]) => {
      const input = Uint8Array.from(Buffer.concat(blocks)).buffer
      return run({ kind: 'segment', input, output: new ArrayBuffer(2 * input.byteLength), start: 0, end: input.byteLength, last: true })
    },
    store: (blocks: readonly Buffer[], rows: readonly TableRow[]) => {
      const input = Uint8Array.from(Buffer.concat(blocks)).buffer
      return run({ kind: 'store', input, output: new ArrayBuffer(2 * input.byteLength), table: encodeTable(rows) })
    },
    [Symbol.dispose]: () => worker.terminate(),
  }
}

/** A block that cannot be compressed. */
const noise = (seed: number): Buffer => createRandom(seed).bytes(BLOCK)
const digestOf = (bytes: Uint8Array): Uint8Array => Bun.SHA256.hash(bytes) as Uint8Array
const recordOffsets = ({ table }: Done): number[] => Array.from({ length: table.count }, (_, i) => table.recordOffsetAt(i))
/** A record of a block of noise: its header, and its bytes as they are. */
const RECORD = 64 + BLOCK

describe('a segment', () => {
  test('has a record for each new slice, one if a slice comes twice, and none for zeros', async () => {
    const [a, b, zeros] = [noise(1), noise(2), Buffer.alloc(BLOCK)]
    using worker = startWorker(createFilter(1000))
    const done = await worker.segment([a, zeros, a, b])
    expect(recordOffsets(done)).toEqual([0, NOT_STORED, NOT_STORED, RECORD])
    const digests = [0, 1, 2, 3].map((i) => Buffer.from(done.table.digestAt(i)).toString('hex'))
    expect(digests).toEqual([digestOf(a), new Uint8Array(32), digestOf(a), digestOf(b)].map((digest) => Buffer.from(digest).toString('hex')))
    expect([0, 1, 2, 3].map((i) => done.table.startAt(i))).toEqual([0, 4096, 8192, 12_288])
    expect([0, 1, 2, 3].map((i) => done.table.lengthAt(i))).toEqual([4096, 4096, 4096, 4096])
    expect(done.output.subarray(64, RECORD).equals(a)).toBe(true)
  })

  test('has no record for a slice that may be stored already', async () => {
    const [a, b] = [noise(1), noise(2)]
    const filter = createFilter(1000)
    filter.add(digestOf(a))
    using worker = startWorker(filter)
    expect(recordOffsets(await worker.segment([a, b]))).toEqual([NOT_STORED, 0])
  })

  test('has no record at all before the filter is known', async () => {
    using worker = startWorker()
    expect(recordOffsets(await worker.segment([noise(1), noise(2)]))).toEqual([NOT_STORED, NOT_STORED])
  })

  test('may have a record again in the next segment: only the filter remembers', async () => {
    using worker = startWorker(createFilter(1000))
    expect(recordOffsets(await worker.segment([noise(1)]))).toEqual([0])
    expect(recordOffsets(await worker.segment([noise(1)]))).toEqual([0])
  })
})

describe('a part of an image', () => {
  test('is cut from its start to its end, and what is left over comes before the rest is done', async () => {
    const worker = new Worker(new URL('../../../../agent/slices/write/ingest-worker.ts', import.meta.url).href)
    try {
      const replies: WorkerReply[] = []
      const { promise, resolve } = Promise.withResolvers<void>()
      worker.addEventListener('message', ({ data }: MessageEvent<WorkerReply>) => {
        replies.push(data)
        if (data.kind !== 'cut') resolve()
      })
      const input = Uint8Array.from(Buffer.concat([noise(9).subarray(0, 100), noise(1), noise(2), Buffer.alloc(50, 'rest'), noise(8)])).buffer
      worker.postMessage({ kind: 'start', cutter: CUTTER })
      worker.postMessage({ kind: 'segment', input, output: new ArrayBuffer(4 * BLOCK), start: 100, end: 100 + 2 * BLOCK + 50, last: false })
      await promise
      const [cut, done] = replies
      expect(cut).toEqual({ kind: 'cut', carry: new Uint8Array(Buffer.alloc(50, 'rest')) })
      if (done?.kind !== 'done') throw new Error('the job was not done')
      const table = viewTable(done.table)
      expect([0, 1].map((i) => [table.startAt(i), table.lengthAt(i)])).toEqual([
        [100, 4096],
        [4196, 4096],
      ])
      expect(table.count).toBe(2)
    } finally {
      worker.terminate()
    }
  })

  test('that cannot be cut is reported, and the worker goes on', async () => {
    using worker = startWorker(createFilter(1000))
    const row = { digest: digestOf(noise(1)), start: 10 * BLOCK, length: BLOCK }
    await expect(worker.store([noise(1)], [row])).rejects.toThrow()
    expect(recordOffsets(await worker.segment([noise(1)]))).toEqual([0])
  })
})

describe('a store job', () => {
  test('writes the slices that its table names, and no others', async () => {
    const blocks = [noise(1), noise(2), noise(3)]
    const rows = [2, 0].map((n) => ({
      digest: digestOf(blocks[n] ?? Buffer.alloc(0)),
      start: n * BLOCK,
      length: BLOCK,
    }))
    using worker = startWorker()
    const { table, output } = await worker.store(blocks, rows)
    expect([0, 1].map((i) => [table.startAt(i), table.lengthAt(i), table.recordOffsetAt(i), table.recordLengthAt(i)])).toEqual([
      [8192, 4096, 0, RECORD],
      [0, 4096, RECORD, RECORD],
    ])
    expect(output.subarray(64, RECORD).equals(blocks[2] ?? Buffer.alloc(0))).toBe(true)
    expect(output.subarray(RECORD + 64, 2 * RECORD).equals(blocks[0] ?? Buffer.alloc(0))).toBe(true)
  })
})

describe('a record', () => {
  /** Offsets in a record: docs/format.md. */
  const codecOf = (record: Buffer): number => record.readUInt8(4)
  const storedLengthOf = (record: Buffer): number => record.readUInt32LE(12)

  test('is compressed if that saves a sixteenth, and its checksum is of the stored bytes', async () => {
    const text = Buffer.alloc(BLOCK, 'compresses well ')
    using worker = startWorker(createFilter(1000))
    const { table, output } = await worker.segment([text, noise(1), Buffer.alloc(BLOCK, 'another text ')])
    const records = [0, 1, 2].map((i) => output.subarray(table.recordOffsetAt(i), table.recordOffsetAt(i) + table.recordLengthAt(i)))
    expect(records.map(codecOf)).toEqual([1, 0, 1])
    expect(records.map((record) => storedLengthOf(record) === record.length - 64)).toEqual([true, true, true])
    expect(storedLengthOf(records[1] ?? Buffer.alloc(64))).toBe(4096)
    for (const record of records) expect(record.readBigUInt64LE(16)).toBe(Bun.hash.xxHash64(record.subarray(64)))
  })

  // After a slice that does not shrink, the first 4 KiB of the next one and 4 KiB from its middle on tell whether it may. Letters: 4 KiB of noise or text.
  test.each([
    ['nnnnnnnn', 'nnnntttt', 1],
    ['nnnnnnnn', 'tnnnntnt', 1],
    ['nnnnnnnn', 'ntttnttt', 0],
    ['tttttttt', 'ntttnttt', 1],
    ['nnnn', 'ntnt', 0],
    // The first slice of a worker is tried.
    ['', 'ntttnttt', 1],
    // Slices of less than 16 KiB are always tried.
    ['nnn', 'ntn', 1],
  ])('after %s, %s has codec %i', async (before, slice, codec) => {
    const length = slice.length * BLOCK
    const bytesOf = (letters: string, seed: number): Buffer =>
      Buffer.concat(letters.split('').map((letter, i) => (letter === 'n' ? noise(seed + i) : Buffer.alloc(BLOCK, 'compresses well '))))
    using worker = startWorker(createFilter(1000), { block: BLOCK, minimum: length, average: 2 * length, maximum: length })
    const { table, output } = await worker.segment([bytesOf(before, 100), bytesOf(slice, 200)])
    const last = before === '' ? 0 : 1
    expect([table.count, codecOf(output.subarray(table.recordOffsetAt(last)))]).toEqual([last + 1, codec])
  })
})
