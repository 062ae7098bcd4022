// Receiver: stores complete slices from outside after verifying the SHA-256 of each. Slices that are put at the same time are decompressed in
// parallel and written together, because a write for each slice would take most of the time.

import { DIGEST_BYTES } from '../../../protocol/slices/digest.ts'
import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceReceiver } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackRow } from '../packs/pack-format.ts'
import type { PackWriter } from './pack-writer.ts'
import type { Pins } from './pins.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../packs/record.ts'
import { sliceBytes, SliceBytesInvalid } from '../packs/slice-bytes.ts'

/** Bytes of slices that are joined into one write. */
const WRITE_BYTES_MAX = 1024 * 1024

export interface ReceiverDeps {
  readonly writer: PackWriter
  readonly index: SliceLookup
  readonly pins: Pins
}

/** Creates a receiver; see the contract. */
export function createReceiver({ writer, index, pins }: ReceiverDeps): SliceReceiver {
  const hold = pins.hold()
  const generation = writer.generation
  const append = createJoinedAppend(writer)

  const pinIfFound = (digest: Uint8Array, length?: number): boolean => {
    const found = index.find(digest)
    if (!found || (length !== undefined && found.length !== length)) return false
    hold.add(digest)
    return true
  }

  return {
    pin: (digests, lengths) => digests.flatMap((digest, i) => (pinIfFound(digest, lengths?.[i]) ? [] : [i])),

    async put(frame) {
      writer.check(generation)
      await verify(frame)
      if (pinIfFound(frame.digest)) return
      hold.add(frame.digest)
      await append(frame)
    },

    async sync() {
      await writer.sync()
      writer.check(generation)
    },

    async [Symbol.asyncDispose]() {
      hold.release()
    },
  }
}

/** Returns a function that appends slices. Those that arrive while a write is in progress are written together by the next one. */
function createJoinedAppend(writer: PackWriter): (frame: SliceFrame) => Promise<void> {
  let waiting: SliceFrame[] = []
  let last: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined

  const writeAll = async (): Promise<void> => {
    const frames = waiting
    waiting = []
    next = undefined
    for (let from = 0; from < frames.length;) {
      let to = from
      let joined = 0
      for (let frame = frames[to]; frame && joined < WRITE_BYTES_MAX; frame = frames[++to]) joined += frame.stored.byteLength
      const { bytes, rows } = encodeRecords(frames.slice(from, to))
      await writer.append([bytes], rows)
      from = to
    }
  }
  return (frame) => {
    waiting.push(frame)
    if (!next) {
      next = last.then(writeAll)
      // Whoever put a slice of the failed write gets its error; the next write fails by itself if the writer still does.
      last = next.catch(() => {})
    }
    return next
  }
}

/** Encodes slices as consecutive records; the offsets of the rows count from the first one. */
function encodeRecords(frames: readonly SliceFrame[]): { readonly bytes: Buffer; readonly rows: PackRow[] } {
  const bytes = Buffer.allocUnsafe(frames.reduce((sum, { stored }) => sum + RECORD_HEADER_BYTES + stored.byteLength, 0))
  const rows: PackRow[] = []
  let offset = 0
  for (const { digest, codec, length, stored } of frames) {
    writeRecordHeader(bytes, offset, { digest, codec, length, storedLength: stored.byteLength, checksum: checksumOf(stored) })
    bytes.set(stored, offset + RECORD_HEADER_BYTES)
    rows.push({ digest, offset, length, storedLength: stored.byteLength })
    offset += RECORD_HEADER_BYTES + stored.byteLength
  }
  return { bytes, rows }
}

async function verify(frame: SliceFrame): Promise<void> {
  const mismatch = (cause?: unknown): SliceUnreadable =>
    new SliceUnreadable(frame.digest, 'corrupt', 'the bytes of a received slice do not match its digest', { cause })
  let bytes: Uint8Array
  try {
    bytes = await sliceBytes(frame)
  } catch (error) {
    if (error instanceof SliceBytesInvalid) throw mismatch(error)
    throw error
  }
  const digest = Buffer.allocUnsafe(DIGEST_BYTES)
  Bun.SHA256.hash(bytes, digest)
  if (digest.compare(frame.digest) !== 0) throw mismatch()
}
