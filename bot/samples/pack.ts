// Samples as bytes. A block has samples of one series in ascending slots (the minute of an hour, the hour of a day). Each is its slot, a mask of the members that
// differ from the sample before, and these differences. An idle store takes about five bytes a minute.
//
// All numbers are LEB128: seven bits a byte, the lowest first, the highest bit for "more follows"; a difference d is 2d, or -2d - 1 when it is negative.

import { bounded, MEMBERS, NO_SAMPLE } from './sample.ts'
import type { Sample } from './sample.ts'

/** A sample and its place in a block. */
export interface Slot {
  readonly slot: number
  readonly sample: Sample
}

/** Packs samples in ascending slots. */
export function packSlots(slots: readonly Slot[]): Uint8Array {
  const bytes: number[] = []
  let before = NO_SAMPLE
  for (const { slot, sample } of slots) {
    writeNumber(bytes, slot)
    const changed = MEMBERS.filter((member) => sample[member] !== before[member])
    writeNumber(
      bytes,
      changed.reduce((mask, member) => mask + 2 ** MEMBERS.indexOf(member), 0),
    )
    for (const member of changed) {
      const difference = sample[member] - before[member]
      writeNumber(bytes, difference >= 0 ? difference * 2 : -difference * 2 - 1)
    }
    before = sample
  }
  return Uint8Array.from(bytes)
}

/** Unpacks a block. What cannot be read ends it: the samples before are whole. */
export function unpackSlots(bytes: Uint8Array): Slot[] {
  const slots: Slot[] = []
  const reader = { bytes, at: 0 }
  let before = NO_SAMPLE
  while (reader.at < bytes.length) {
    const slot = readNumber(reader)
    const mask = readNumber(reader)
    if (slot === undefined || mask === undefined) return slots
    const sample: Record<keyof Sample, number> = { ...before }
    for (const [i, member] of MEMBERS.entries()) {
      if (Math.floor(mask / 2 ** i) % 2 === 0) continue
      const zigzag = readNumber(reader)
      if (zigzag === undefined) return slots
      sample[member] = bounded(sample[member] + (zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2))
    }
    slots.push({ slot, sample })
    before = sample
  }
  return slots
}

/** Writes a whole number below 2^53; bit operations of JavaScript have 32 bits only. */
function writeNumber(bytes: number[], value: number): void {
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
}

/** Reads a number; undefined when the bytes end in it, or when it is too large to be one of ours. */
function readNumber(reader: { readonly bytes: Uint8Array; at: number }): number | undefined {
  let value = 0
  for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
    const byte = reader.bytes[reader.at++]
    if (byte === undefined) return undefined
    value += (byte % 128) * factor
    if (byte < 128) return value
  }
  return undefined
}
