// What a sync does about an image, by the status and the bytes of the one that is here; and how it divides the slices.

import { describe, expect, test } from 'bun:test'
import { BATCH_BYTES_MAX, BATCH_SLICES_MAX, createBatcher, planSync, sliceWindows, spaceNeeded, WINDOW_SLICES } from '../../../agent/sync/plan.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import type { ImageStatus } from '../../../protocol/images/image.ts'

const THEIRS = `sha256:${'a'.repeat(64)}`
const OTHER = `sha256:${'b'.repeat(64)}`

/** For each status: what is done when the bytes are the same, and when they are others. */
const DECISIONS: Record<Exclude<ImageStatus, 'creating' | 'uploading' | 'pending'>, readonly [string, string]> = {
  available: ['already-there', 'refused other-bytes'],
  degraded: ['copy repair', 'refused other-bytes'],
  deleted: ['copy restore', 'refused other-bytes'],
  error: ['copy repair', 'copy repair'],
  deleting: ['refused busy', 'refused busy'],
  fileUnavailable: ['refused unreadable', 'refused unreadable'],
}

function decided(here: Parameters<typeof planSync>[1]): string {
  const decision = planSync({ manifestDigest: THEIRS }, here)
  if (decision.kind === 'copy') return `copy ${decision.why}`
  return decision.kind === 'refused' ? `refused ${decision.reason}` : decision.kind
}

/** Slices by number, each with a digest of its own. */
const slices = (lengths: readonly number[]) =>
  lengths.map((length, i) => {
    const digest = new Uint8Array(32).fill(1)
    new DataView(digest.buffer).setUint32(0, i)
    return { digest, length }
  })

/** Portions of slices as their numbers and bytes. */
function portions(lengths: readonly number[]): [number, number][] {
  const batcher = createBatcher()
  const full = slices(lengths).flatMap((slice) => {
    const portion = batcher.add(slice)
    return portion ? [portion] : []
  })
  full.push(batcher.rest())
  return full.map((portion) => [portion.length, portion.reduce((sum, { length }) => sum + length, 0)])
}

describe('a sync', () => {
  test('copies an image that is not here', () => {
    expect(decided(undefined)).toBe('copy new')
  })

  test.each(Object.entries(DECISIONS))('of an image that is %s here does what the table says', (status, [same, other]) => {
    expect(decided({ status: status as ImageStatus, manifestDigest: THEIRS })).toBe(same)
    expect(decided({ status: status as ImageStatus, manifestDigest: OTHER })).toBe(other)
  })

  test('needs space for what is missing, and never for more than the source stores', () => {
    expect(spaceNeeded(100, { storedSize: null })).toBe(100)
    expect(spaceNeeded(100, { storedSize: 99 })).toBe(99)
    expect(spaceNeeded(100, { storedSize: 101 })).toBe(100)
  })
})

describe('a portion', () => {
  test('has 512 slices at most', () => {
    expect(BATCH_SLICES_MAX).toBe(512)
    expect(portions(Array.from({ length: 512 }, () => 1))).toEqual([[512, 512]])
    expect(portions(Array.from({ length: 513 }, () => 1))).toEqual([
      [512, 512],
      [1, 1],
    ])
  })

  test('has 32 MiB at most, unless one slice is longer', () => {
    expect(BATCH_BYTES_MAX).toBe(33_554_432)
    const half = BATCH_BYTES_MAX / 2
    expect(portions([half, half])).toEqual([[2, BATCH_BYTES_MAX]])
    expect(portions([half, half, 1])).toEqual([
      [2, BATCH_BYTES_MAX],
      [1, 1],
    ])
    expect(portions([half, half + 1])).toEqual([
      [1, half],
      [1, half + 1],
    ])
    expect(portions([BATCH_BYTES_MAX + 1, 1])).toEqual([
      [1, BATCH_BYTES_MAX + 1],
      [1, 1],
    ])
  })

  test('has a slice once, and one of another length for the same digest beside it', () => {
    const batcher = createBatcher()
    const [slice] = slices([4096])
    if (!slice) throw new Error('there is no slice')
    const lengths = [4096, 4097, 4096 + 65_536]
    for (const length of [...lengths, ...lengths]) expect(batcher.add({ ...slice, length })).toBeUndefined()
    expect(batcher.rest().map(({ length }) => length)).toEqual(lengths)
    expect(batcher.rest()).toEqual([])
  })
})

describe('windows of a block', () => {
  test('have 512 slices at most, each once, and no zeros', async () => {
    expect(WINDOW_SLICES).toBe(512)
    const distinct = slices(Array.from({ length: 513 }, () => 4096))
    const { manifest } = await encodeManifest([{ length: 4096, digest: null }, ...distinct.slice(0, 512), ...distinct])
    const windows = [...sliceWindows(manifest)]
    expect(windows.map((window) => window.length)).toEqual([512, 1])
    expect(windows.flat()).toEqual(distinct)
  })
})
