// Unpacking in a worker: the bytes, what each side reports when it fails, and that the worker and the source end with the stream.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { UnpackFault } from '../../../../agent/images/unpack/compression.ts'
import { unpackStream } from '../../../../agent/images/unpack/unpacked-stream.ts'
import type { UnpackReply } from '../../../../agent/images/unpack/unpack-messages.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { countWorkers } from '../../../support/machine/counted-workers.ts'
import { until } from '../../../support/until.ts'

// Starting a worker on a busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const PIECE_BYTES = 100_000
const PLAIN = seededBytes(3_000_000, 1)
const PACKED = gzipSync(PLAIN)

/** The packed bytes in pieces. `fails` is thrown instead of the piece with this number. */
function createSource({ bytes = PACKED, fails = Infinity }: { bytes?: Uint8Array; fails?: number } = {}) {
  const state = { given: 0, isReturned: false }
  const source: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (state.given === fails) throw new Error('the disk failed')
        const value = bytes.subarray(state.given * PIECE_BYTES, (state.given + 1) * PIECE_BYTES)
        state.given++
        return value.byteLength === 0 ? { done: true, value: undefined } : { done: false, value }
      },
      async return() {
        state.isReturned = true
        return { done: true, value: undefined }
      },
    }),
  }
  return { source, state }
}

describe('an unpacked stream', () => {
  test('has the bytes in order and counts the compressed ones; its worker and its source end with it', async () => {
    using workers = countWorkers()
    const { source, state } = createSource()
    const pieces: Uint8Array[] = []
    const read: number[] = []
    for await (const { bytes, readBytes } of unpackStream('gzip', source, new AbortController().signal)) {
      pieces.push(bytes)
      read.push(readBytes)
    }
    expect(Buffer.concat(pieces).equals(PLAIN)).toBe(true)
    expect(read).toEqual(read.toSorted((a, b) => a - b))
    expect(read.at(-1)).toBe(PACKED.byteLength)
    expect([workers.started, workers.terminated, state.isReturned]).toEqual([1, 1, true])
  })

  test('has at most four pieces that its reader has not taken', async () => {
    using workers = countWorkers()
    // One compressed piece that unpacks to many.
    const { source } = createSource({ bytes: gzipSync(Buffer.alloc(16 * 1024 * 1024)) })
    const unpacked = unpackStream('gzip', source, new AbortController().signal)
    const pieces = (): number => workers.sent.filter((reply) => (reply as UnpackReply).kind === 'unpacked').length
    await unpacked.next()
    await until('four pieces are there', () => pieces() >= 4)
    await Bun.sleep(50)
    expect(pieces()).toBe(4)
    await unpacked.next()
    await until('the next one is there', () => pieces() === 5)
    await unpacked.return(undefined)
  })

  test('ends its worker and its source when the reader leaves', async () => {
    using workers = countWorkers()
    const { source, state } = createSource()
    for await (const _piece of unpackStream('gzip', source, new AbortController().signal)) break
    expect([workers.started, workers.terminated, state.isReturned]).toEqual([1, 1, true])
  })

  test('throws the reason of the signal between two pieces, and then ends both', async () => {
    using workers = countWorkers()
    const { source, state } = createSource()
    const abort = new AbortController()
    const read = async (): Promise<void> => {
      for await (const _piece of unpackStream('gzip', source, abort.signal)) abort.abort(new Error('the agent stops'))
    }
    await expect(read()).rejects.toThrow('the agent stops')
    expect([workers.started, workers.terminated, state.isReturned]).toEqual([1, 1, true])
  })

  test('throws what the source throws, and then ends both', async () => {
    using workers = countWorkers()
    const { source, state } = createSource({ fails: 3 })
    const read = async (): Promise<void> => {
      for await (const _piece of unpackStream('gzip', source, new AbortController().signal));
    }
    await expect(read()).rejects.toThrow('the disk failed')
    expect([workers.started, workers.terminated, state.isReturned]).toEqual([1, 1, true])
  })

  test('that is damaged is a fault of its bytes', async () => {
    using workers = countWorkers()
    const { source } = createSource({ bytes: PACKED.subarray(0, -1) })
    const read = async (): Promise<void> => {
      for await (const _piece of unpackStream('gzip', source, new AbortController().signal));
    }
    const error = await read().catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(UnpackFault)
    expect((error as Error).message).toBe('it is cut off')
    expect(workers.terminated).toBe(1)
  })

  test('of an aborted signal starts no worker', async () => {
    using workers = countWorkers()
    const { source, state } = createSource()
    await expect(unpackStream('gzip', source, AbortSignal.abort(new Error('left'))).next()).rejects.toThrow('left')
    expect([workers.started, state.given]).toEqual([0, 0])
  })
})
