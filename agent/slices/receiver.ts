// Receiver: takes whole slices that come from outside, each verified by its SHA-256 before it is stored.

import { CODEC_RAW, CODEC_ZSTD } from '../../protocol/frames.ts'
import type { SliceFrame } from '../../protocol/frames.ts'
import { SLICE_LENGTH_MAX } from '../../protocol/manifest.ts'
import { SliceUnreadable } from '../contract/slices.ts'
import type { SliceReceiver } from '../contract/slices.ts'
import type { IndexDatabase } from './index-database.ts'
import type { PackWriter } from './pack-writer.ts'
import type { Pins } from './pins.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from './record.ts'

export interface ReceiverDeps {
  readonly writer: PackWriter
  readonly index: IndexDatabase
  readonly pins: Pins
}

export function createReceiver({ writer, index, pins }: ReceiverDeps): SliceReceiver {
  const hold = pins.hold()
  const generation = writer.generation

  const pinIfThere = (digest: Uint8Array, length?: number): boolean => {
    const found = index.find(digest)
    if (!found || (length !== undefined && found.length !== length)) return false
    hold.add(digest)
    return true
  }

  return {
    pin: (digests, lengths) => [...digests.keys()].filter((i) => !pinIfThere(digests[i] ?? new Uint8Array(0), lengths?.[i])),

    async put(frame) {
      writer.check(generation)
      await verify(frame)
      if (pinIfThere(frame.digest)) return
      hold.add(frame.digest)
      const header = Buffer.alloc(RECORD_HEADER_BYTES)
      const { digest, codec, length, stored } = frame
      writeRecordHeader(header, 0, { digest, codec, length, storedLength: stored.byteLength, checksum: checksumOf(stored) })
      await writer.append([header, stored], [{ digest, offset: 0, length, storedLength: stored.byteLength }])
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

async function verify(frame: SliceFrame): Promise<void> {
  const mismatch = (): SliceUnreadable => new SliceUnreadable(frame.digest, 'corrupt', 'the bytes of a received slice do not match its digest')
  const isCodecKnown = frame.codec === CODEC_RAW || frame.codec === CODEC_ZSTD
  // A record out of these bounds could never be read again.
  if (!isCodecKnown || frame.length === 0 || frame.length > SLICE_LENGTH_MAX || frame.stored.byteLength > frame.length) throw mismatch()
  let bytes = frame.stored
  if (frame.codec === CODEC_ZSTD) {
    try {
      bytes = await decompressSlice(frame.stored, frame.length)
    } catch {
      throw mismatch()
    }
  }
  const digest = Buffer.allocUnsafe(32)
  if (bytes.byteLength === frame.length) Bun.SHA256.hash(bytes, digest)
  if (bytes.byteLength !== frame.length || digest.compare(frame.digest) !== 0) throw mismatch()
}

/** Decompresses one slice on a thread of the runtime. Throws when the frame is damaged or says another length. */
export async function decompressSlice(stored: Uint8Array, length: number): Promise<Uint8Array> {
  const announced = zstdContentSize(stored)
  // A frame that announces more than the slice may have is refused before memory is taken for it.
  if (announced !== length) throw new Error(`a zstd frame announces ${announced} bytes for a slice of ${length}`)
  return Bun.zstdDecompress(stored)
}

/** Content size that a zstd frame announces (RFC 8878 §3.1.1.1), or undefined when it announces none. */
export function zstdContentSize(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.byteLength < 6 || view.getUint32(0, true) !== 0xfd2f_b528) return undefined
  const descriptor = view.getUint8(4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes
  const sizeFlag = descriptor >> 6
  if (at + [1, 2, 4, 8][sizeFlag]! > frame.byteLength) return undefined
  switch (sizeFlag) {
    case 0:
      return isSingleSegment ? view.getUint8(at) : undefined
    case 1:
      return view.getUint16(at, true) + 256
    case 2:
      return view.getUint32(at, true)
    default:
      return Number(view.getBigUint64(at, true))
  }
}
