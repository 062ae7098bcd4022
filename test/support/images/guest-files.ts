// Files of images for tests of the converter: on disk, in memory, and sparse without taking space.

import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs'
import { readAllocation } from '../../../agent/convert/allocation.ts'
import { openConversion } from '../../../agent/convert/converter.ts'
import type { Conversion, ConversionForm, Part } from '../../../agent/contract/convert.ts'
import type { GuestDisk, SourceFile, SourceRun } from '../../../agent/convert/guest-disk.ts'

const BLOCK = 4096
const PIECE_BYTES = 100_000

/** Bytes at an offset of a file that is otherwise zeros. */
export type Island = readonly [offset: number, bytes: Uint8Array]

/** Returns a file of `length` bytes that is zeros except for islands, which begin and end at multiples of 4096 or at the end of the file. */
export function sparseSource(length: number, islands: readonly Island[]): SourceFile {
  const sorted = islands.toSorted(([a], [b]) => a - b)
  return {
    length,
    async *read(start, end) {
      let at = start
      while (at < end) {
        const island = sorted.find(([offset, bytes]) => offset + bytes.byteLength > at)
        const from = island ? Math.max(at, island[0]) : end
        if (!island || from > at) {
          const to = Math.min(end, from, at + PIECE_BYTES)
          yield new Uint8Array(to - at)
          at = to
          continue
        }
        const to = Math.min(end, island[0] + island[1].byteLength, at + PIECE_BYTES)
        yield island[1].slice(at - island[0], to - island[0])
        at = to
      }
    },
    async *runs(from) {
      const runs: SourceRun[] = []
      let at = 0
      for (const [offset, bytes] of sorted) {
        if (offset > at) runs.push({ start: at, end: offset, isZero: true })
        at = offset + bytes.byteLength
        runs.push({ start: offset, end: at, isZero: false })
      }
      if (at < length) runs.push({ start: at, end: length, isZero: true })
      yield* runs.filter(({ end }) => end > from)
    },
  }
}

/** Returns a file of bytes in memory; its aligned blocks of zeros are known to be zeros, as in a store. */
export function memorySource(bytes: Uint8Array): SourceFile {
  const islands: Island[] = []
  for (let at = 0; at < bytes.byteLength; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK)
    if (block.every((byte) => byte === 0)) continue
    const last = islands.at(-1)
    if (last && last[0] + last[1].byteLength === at) islands[islands.length - 1] = [last[0], bytes.subarray(last[0], at + block.byteLength)]
    else islands.push([at, block])
  }
  return sparseSource(bytes.byteLength, islands)
}

/** Returns a file on disk; nothing in it is known to be zeros. */
export function diskSource(path: string): SourceFile {
  const { size } = statSync(path)
  return {
    length: size,
    async *read(start, end) {
      for (let at = start; at < end; at += PIECE_BYTES)
        yield new Uint8Array(
          await Bun.file(path)
            .slice(at, Math.min(end, at + PIECE_BYTES))
            .arrayBuffer(),
        )
    },
    async *runs(from) {
      if (from < size) yield { start: 0, end: size, isZero: false }
    },
  }
}

/** Writes a conversion to a file with holes, and returns its length. */
export async function writeConversion(conversion: Conversion, path: string): Promise<number> {
  const file = openSync(path, 'w')
  let at = 0
  try {
    const parts = conversion.kind === 'seekable' ? conversion.parts(0, conversion.length) : conversion.parts()
    for await (const part of parts) {
      if (part instanceof Uint8Array) {
        for (let written = 0; written < part.byteLength;) written += writeSync(file, part, written, part.byteLength - written, at + written)
        at += part.byteLength
      } else at += part.zeros
    }
    ftruncateSync(file, at)
  } finally {
    closeSync(file)
  }
  return at
}

/** Opens the conversion of a guest disk, always with the same seed. */
export function convert(disk: GuestDisk, file: SourceFile, form: ConversionForm): Promise<Conversion> {
  return openConversion({ disk, file, allocation: (signal) => readAllocation(disk, signal), seed: new Uint8Array(32).fill(7) }, form)
}

/** Returns the bytes of parts. */
export async function partsToBytes(parts: AsyncIterable<Part>): Promise<Buffer> {
  const found: Uint8Array[] = []
  for await (const part of parts) found.push(part instanceof Uint8Array ? part.slice() : new Uint8Array(part.zeros))
  return Buffer.concat(found)
}
