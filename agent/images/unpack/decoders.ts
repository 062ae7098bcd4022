// Decompresses a stream of one of the supported compressions, in bounded memory. Runs in the unpack worker.

import type { Transform } from 'node:stream'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { XzReadableStream } from 'xz-decompress'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import { UnpackFault } from './compression.ts'
import type { Compression } from './compression.ts'
import { createZstdFrames, ZSTD_WINDOW_BYTES_MAX } from './zstd-frames.ts'

/** Bytes that a decompressor of the runtime returns at once. */
const OUTPUT_BYTES = 256 * 1024
const ZSTD_WINDOW_LOG_MAX = Math.log2(ZSTD_WINDOW_BYTES_MAX)
/** Results of xz-embedded (xz.h, enum xz_ret), which the library puts at the end of its messages. */
const XZ_FAULTS: Readonly<Record<string, string>> = {
  '3': 'there was no memory for its dictionary',
  '4': 'it needs a dictionary of more than 64 MiB (compress it with xz -9 or less)',
  '5': 'bytes that are not xz follow its last stream',
  '6': 'it uses a filter or a check that is not supported (compress it with the defaults of xz)',
  '7': 'it is damaged: its data do not match its checksums',
  '8': 'it is cut off',
}

/** Yields the unpacked bytes. Throws UnpackFault if the compressed bytes are damaged, cut off, or followed by others. */
export async function* decode(compression: Compression, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  switch (compression) {
    case 'gzip':
      return yield* decodeGzip(source)
    case 'zstd':
      return yield* decodeZstd(source)
    case 'xz':
      return yield* decodeXz(source)
    default:
      compression satisfies never
  }
}

async function* decodeGzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let given = 0
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      given += piece.byteLength
      yield piece
    }
  }
  // Unpacks all members of a file, and stops at zeros after one.
  const gunzip = createGunzip({ chunkSize: OUTPUT_BYTES })
  yield* through(gunzip, counted(), 'bytes follow its last gzip member')
  if (gunzip.bytesWritten < given) throw new UnpackFault('bytes follow its last gzip member')
}

async function* decodeZstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    const frames = createZstdFrames()
    for await (const piece of source) {
      frames.push(piece)
      yield piece
    }
    frames.end()
  }
  const params = { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX }
  yield* through(createZstdDecompress({ chunkSize: OUTPUT_BYTES, params }), checked(), 'bytes follow its last zstd frame')
}

/** Yields what a stream of the runtime makes of the source. `rest` is the fault of a source that continues after the stream has ended. */
async function* through(stream: Transform, source: AsyncIterable<Uint8Array>, rest: string): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]()
  let sourceError: unknown
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      // An error of the stream is thrown into this generator at `yield`, so only these errors are those of the source.
      const next = await pieces.next().catch((error: unknown) => {
        sourceError = error
        throw error
      })
      if (next.done === true) return
      yield next.value
    }
  }
  const piped = pipeline(Readable.from(watched()), stream)
  // Reported below; the stream reports it first.
  piped.catch(() => {})
  try {
    for await (const chunk of stream) yield chunk as Uint8Array
    await piped
  } catch (error) {
    if (sourceError !== undefined) throw sourceError
    // The stream has ended, and does not read what is left.
    const hasRest = hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR')
    throw new UnpackFault(hasRest ? rest : faultOfRuntime(error), { cause: error })
  }
}

function faultOfRuntime(error: unknown): string {
  const message = errorText(error)
  return message.includes('unexpected end') ? 'it is cut off' : `it is damaged (${message})`
}

async function* decodeXz(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]()
  const compressed = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      },
    },
    { highWaterMark: 0 },
  )
  const reader = new XzReadableStream(compressed).getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) if (next.value.byteLength > 0) yield next.value
  } catch (error) {
    const message = errorText(error)
    const code = /error code (\d+)$/.exec(message)?.[1] ?? ''
    throw new UnpackFault(XZ_FAULTS[code] ?? `it is damaged (${message})`, { cause: error })
  }
}
