// The frame of the inspection: what happens when bytes cannot be read, when a check throws, and when it is aborted; and its bounds.

import { describe, expect, test } from 'bun:test'
import { inspectImage, VIRTUAL_SIZE_MAX } from '../../../../agent/images/formats/inspection.ts'
import { createProbe, ProbeReadFailed } from '../../../../agent/images/formats/probe.ts'
import type { ImageBytes } from '../../../../agent/images/formats/probe.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { buildQcow2 } from '../../../support/images/qcow2-image.ts'
import { copied, imageOfBytes } from '../../../support/images/inspected.ts'

const KIB = 1024

/** Counts the reads of an image, and the bytes that they ask for. */
function counted(image: ImageBytes): ImageBytes & { readonly reads: { offset: number; length: number }[]; readonly buffers: Set<ArrayBufferLike> } {
  const reads: { offset: number; length: number }[] = []
  const buffers = new Set<ArrayBufferLike>()
  return {
    reads,
    buffers,
    length: image.length,
    readInto(offset, buffer) {
      reads.push({ offset, length: buffer.byteLength })
      buffers.add(buffer.buffer)
      return image.readInto(offset, buffer)
    },
  }
}

/** Returns an image of zeros. */
function zeros(length: number): ImageBytes {
  return {
    length,
    async readInto(_offset, buffer) {
      buffer.fill(0)
      return buffer.byteLength
    },
  }
}

describe('an inspection', () => {
  test('throws the error of a read and says nothing about the image', async () => {
    const failing: ImageBytes = { length: 65_536, readInto: () => Promise.reject(new Error('EIO')) }
    await expect(inspectImage(failing, null, { clock: systemClock })).rejects.toThrow('EIO')
  })

  test('throws the reason of an abort', async () => {
    const signal = AbortSignal.abort(new Error('the agent stops'))
    await expect(inspectImage(imageOfBytes(buildQcow2().bytes), null, { clock: systemClock, signal })).rejects.toThrow('the agent stops')
  })

  test('ends in the middle of a walk when it is aborted', async () => {
    const stopped = new AbortController()
    const { bytes, l2 } = buildQcow2()
    const image: ImageBytes = {
      length: bytes.byteLength,
      async readInto(offset, buffer) {
        if (offset === l2) stopped.abort(new Error('the agent stops'))
        return copied(bytes.subarray(offset), buffer)
      },
    }
    await expect(inspectImage(image, null, { clock: systemClock, signal: stopped.signal })).rejects.toThrow('the agent stops')
  })

  test('refuses an image if a check fails in a way that nobody expects', async () => {
    // The rest of the buffer would have the bytes of an earlier read.
    const lying: ImageBytes = { length: 1024 * KIB, readInto: async () => undefined as unknown as number }
    expect(await inspectImage(lying, 'raw', { clock: systemClock })).toMatchObject({
      kind: 'refused',
      refusal: 'unsafe-image',
      format: null,
      reason: expect.stringMatching(/^Unsafe image: the check for qcow2 failed \(.+\)\. Flatten the image/),
      details: { detected: 'unknown', refusal: 'unsafe-image' },
    })
  })

  test('refuses a raw image that is longer than any disk', async () => {
    const image = zeros(VIRTUAL_SIZE_MAX + 512)
    expect(await inspectImage(image, null, { clock: systemClock })).toMatchObject({ kind: 'refused', refusal: 'unsafe-image', format: 'raw' })
    expect(await inspectImage({ ...image, length: VIRTUAL_SIZE_MAX }, null, { clock: systemClock })).toMatchObject({ kind: 'accepted', format: 'raw' })
  })

  test('reads less than 1 MiB of a raw image, however long it is', async () => {
    const image = counted(zeros(16 * KIB ** 4))
    expect(await inspectImage(image, null, { clock: systemClock })).toMatchObject({ kind: 'accepted', format: 'raw' })
    expect(image.reads.reduce((all, { length }) => all + length, 0)).toBeLessThan(KIB ** 2)
  })

  test('reads the tables of a qcow2 once, and none of its data', async () => {
    const { bytes, data } = buildQcow2({ dataClusters: 500, virtualSize: 2 ** 29 })
    const image = counted(imageOfBytes(bytes))
    expect(await inspectImage(image, null, { clock: systemClock })).toMatchObject({ kind: 'accepted', format: 'qcow2' })
    // The other detectors look at the end of the file.
    const inside = image.reads.filter(({ offset }) => offset >= data && offset < bytes.byteLength - 64 * KIB)
    expect(inside).toEqual([])
    expect(image.reads.map(({ offset }) => offset)).toEqual([...new Set(image.reads.map(({ offset }) => offset))])
  })
})

describe('a probe', () => {
  const bytes = Uint8Array.from({ length: 200 * KIB }, (_, i) => (i * 7 + (i >> 8)) & 0xff)

  test.each([
    [0, 100],
    [65_530, 10],
    [65_536, 65_536],
    [60_000, 65_536],
    [100, 150 * KIB],
    [200 * KIB - 10, 100],
    [200 * KIB, 10],
    [300 * KIB, 10],
    [5, 0],
  ])('reads the bytes at %i, %i', async (offset, length) => {
    const probe = createProbe(imageOfBytes(bytes), { clock: systemClock })
    expect(Buffer.compare(await probe.readAt(offset, length), bytes.subarray(offset, offset + length))).toBe(0)
  })

  test('reads a block once while it is kept, and keeps at most 32', async () => {
    const image = counted(zeros(100 * 64 * KIB))
    const probe = createProbe(image, { clock: systemClock })
    for (let block = 0; block < 32; block++) await probe.readAt(block * 64 * KIB, 8)
    await probe.readAt(8, 8)
    expect(image.reads.length).toBe(32)
    await probe.readAt(32 * 64 * KIB, 8)
    // The block that was not used for the longest time is gone; the first was used again.
    await probe.readAt(16, 8)
    expect(image.reads.length).toBe(33)
    await probe.readAt(64 * KIB, 8)
    expect(image.reads.length).toBe(34)
  })

  test('reads into a few buffers, however much it reads', async () => {
    const image = counted(zeros(1000 * 64 * KIB))
    const probe = createProbe(image, { clock: systemClock })
    for (let block = 0; block < 998; block++) {
      await probe.readAt(block * 64 * KIB, 8)
      await probe.readAt(block * 64 * KIB + 10, 64 * KIB)
      if (block % 100 === 0) await probe.readAt(block * 64 * KIB, 2 * KIB ** 2)
    }
    // 32 blocks, and one buffer for long reads.
    expect(image.buffers.size).toBe(33)
    expect([...image.buffers].reduce((all, { byteLength }) => all + byteLength, 0)).toBe(4 * KIB ** 2)
  })

  test('ends a read where the image ends, although its buffer has more bytes', async () => {
    const probe = createProbe(imageOfBytes(bytes), { clock: systemClock, blocksMax: 1 })
    expect((await probe.readAt(0, 65_536)).byteLength).toBe(65_536)
    expect(await probe.readAt(200 * KIB - 3, 100)).toEqual(bytes.slice(-3))
    expect((await probe.readAt(0, 150 * KIB)).byteLength).toBe(150 * KIB)
    expect(await probe.readAt(100 * KIB + 1, 150 * KIB)).toEqual(bytes.slice(100 * KIB + 1))
  })

  test.each([-1, 11, Number.NaN])('refuses a read of 10 bytes that returns %d', async (count) => {
    const probe = createProbe({ length: 10, readInto: async () => count }, { clock: systemClock })
    await expect(probe.readAt(0, 10)).rejects.toThrow(`a read of 10 bytes returned ${count}`)
  })

  test.each([
    [0, 2 * KIB ** 2 + 1],
    [-1, 10],
    [0.5, 10],
    [0, Number.NaN],
    [Number.MAX_SAFE_INTEGER + 1, 1],
  ])('refuses to read at %d, %d', async (offset, length) => {
    const probe = createProbe(imageOfBytes(bytes), { clock: systemClock })
    await expect(probe.readAt(offset, length)).rejects.toThrow(/^(?:no bytes at|a read of)/)
  })

  test('reports a failed read as such', async () => {
    const probe = createProbe({ length: 10, readInto: () => Promise.reject(new Error('EIO')) }, { clock: systemClock })
    await expect(probe.readAt(0, 4)).rejects.toBeInstanceOf(ProbeReadFailed)
  })
})
