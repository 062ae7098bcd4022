// Decompresses one cluster on a thread of the runtime, to exactly its length.

import { promisify } from 'node:util'
import { inflate, inflateRaw, zstdDecompress } from 'node:zlib'
import type { InputType, ZlibOptions } from 'node:zlib'
import { damagedTables } from './guest-disk.ts'
import type { ClusterCodec } from './guest-disk.ts'
import { zstdFrameLength } from './zstd-frame.ts'

/** Bytes of the marker before a compressed grain: its sector on the disk, and the length of its compressed bytes. */
const MARKER_BYTES = 12
const SECTOR = 512

type Inflate = (bytes: InputType, options: ZlibOptions) => Promise<Buffer>
const inflateAsync = promisify<InputType, ZlibOptions, Buffer>(inflate) satisfies Inflate
const inflateRawAsync = promisify<InputType, ZlibOptions, Buffer>(inflateRaw) satisfies Inflate
const zstdAsync = promisify<InputType, object, Buffer>(zstdDecompress)

/** A compressed cluster. `start` is its offset on the disk, `length` its decompressed length. */
export interface CompressedCluster {
  readonly codec: ClusterCodec
  readonly start: number
  readonly length: number
  /** Bytes up to the end of the disk, if it ends within the cluster: QEMU compresses no more of a grain. */
  readonly lengthMin: number
}

/**
 * Decompresses a cluster; bytes after its end are ignored. Never takes more memory than the cluster is long, and a window of at most 8 MiB. Throws
 * ProblemError `unsafe-image` when the bytes are not a cluster of this length.
 */
export async function decompressCluster(bytes: Uint8Array, { codec, start, length, lengthMin }: CompressedCluster): Promise<Uint8Array> {
  let found: Uint8Array
  try {
    found = await run(bytes, codec, { start, length })
  } catch (cause) {
    throw damagedTables(`the compressed cluster at ${start} of the disk does not decompress`, cause)
  }
  if (found.byteLength < lengthMin) throw damagedTables(`the compressed cluster at ${start} of the disk has ${found.byteLength} bytes, not ${length}`)
  return found
}

function run(bytes: Uint8Array, codec: ClusterCodec, { start, length }: { start: number; length: number }): Promise<Uint8Array> {
  const options = { maxOutputLength: length }
  switch (codec) {
    case 'deflate':
      return inflateRawAsync(bytes, options)
    case 'zstd': {
      const end = zstdFrameLength(bytes)
      if (end === undefined) throw new Error('it is not a zstd frame')
      return zstdAsync(bytes.subarray(0, end), options)
    }
    case 'grain':
      return inflateAsync(grainBytes(bytes, start), options)
  }
}

/** Returns the compressed bytes of a grain. Throws when its marker belongs to another one. */
function grainBytes(bytes: Uint8Array, start: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < MARKER_BYTES) throw new Error('its marker is missing')
  const length = view.getUint32(8, true)
  if (view.getBigUint64(0, true) !== BigInt(start / SECTOR)) throw new Error('its marker names another grain')
  if (MARKER_BYTES + length > bytes.byteLength) throw new Error(`its marker says that it is ${length} bytes long`)
  return bytes.subarray(MARKER_BYTES, MARKER_BYTES + length)
}
