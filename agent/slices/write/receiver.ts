// Receiver: stores complete slices from outside after verifying the SHA-256 of each.

import { DIGEST_BYTES } from '../../../protocol/digest.ts'
import type { SliceFrame } from '../../../protocol/frames.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceReceiver } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackWriter } from './pack-writer.ts'
import type { Pins } from './pins.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../packs/record.ts'
import { sliceBytes, SliceBytesInvalid } from '../packs/slice-bytes.ts'

export interface ReceiverDeps {
  readonly writer: PackWriter
  readonly index: SliceLookup
  readonly pins: Pins
}

/** Creates a receiver; see the contract. */
export function createReceiver({ writer, index, pins }: ReceiverDeps): SliceReceiver {
  const hold = pins.hold()
  const generation = writer.generation

  const pinIfFound = (digest: Uint8Array, length?: number): boolean => {
    const found = index.find(digest)
    if (!found || (length !== undefined && found.length !== length)) return false
    hold.add(digest)
    return true
  }

  return {
    pin: (digests, lengths) => [...digests.keys()].filter((i) => !pinIfFound(digests[i] ?? new Uint8Array(0), lengths?.[i])),

    async put(frame) {
      writer.check(generation)
      await verify(frame)
      if (pinIfFound(frame.digest)) return
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
