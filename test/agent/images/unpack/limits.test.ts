// How far an image may unpack, as literals (docs/operations.md): 1 GiB freely, then a thousand times its compressed length, and never beyond the store's limit.

import { expect, test } from 'bun:test'
import { promiseStep, refuseExcess } from '../../../../agent/images/unpack/unpack-limits.ts'

const GIB = 1_073_741_824

test.each([
  ['1 GiB of a byte', GIB, 1, undefined],
  ['1 GiB and a byte of a byte', GIB + 1, 1, 'it unpacks to more than 1000 times its length'],
  ['a thousand times the length', 2_000_000_000, 2_000_000, undefined],
  ['a byte more than a thousand times the length', 2_000_000_001, 2_000_000, 'it unpacks to more than 1000 times its length'],
  ['the limit of the store', 100 * GIB, GIB, undefined],
  ['a byte more than the limit of the store', 100 * GIB + 1, GIB, 'the limit of this store (uploads.max-length)'],
])('%s: %i bytes of %i', (_what, length, compressedLength, fault) => {
  const unpack = (): void => refuseExcess(length, compressedLength, { lengthMax: 100 * GIB, space: undefined })
  if (fault === undefined) expect(unpack).not.toThrow()
  else expect(unpack).toThrow(fault)
})

test('each step needs 64 MiB of space, or says how much there is', async () => {
  const promised: unknown[] = []
  const state = { totalBytes: 100, freeBytes: 90, reservedBytes: 0, promisedBytes: 0, availableBytes: 5_000_000 }
  const limits = (hasRoom: boolean) => ({
    lengthMax: GIB,
    space: { promise: async (key: string, bytes: number) => (promised.push([key, bytes]), hasRoom), state: async () => state },
  })
  await promiseStep(limits(true), 'unpack img_1')
  expect(promised).toEqual([['unpack img_1', 67_108_864]])
  await expect(promiseStep(limits(false), 'unpack img_1')).rejects.toThrow('The store has 5.0 MB above its reserve; unpacking needs 67 MB more.')
  // A store without limits promises nothing.
  await promiseStep({ lengthMax: GIB, space: undefined }, 'unpack img_1')
})
