// Compares the digest of an image with the SHA-256 of its bytes: long and short runs of zeros, unaligned ends, hashing inline and in a worker.

import { expect, test } from 'bun:test'
import { computeWholeDigest } from '../../../../agent/images/digest/whole-digest.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { openImageStore } from '../../../support/images/image-store.ts'
import { createRandom, runSeed } from '../../../support/properties.ts'
import { countWorkers } from '../../../support/machine/counted-workers.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'

const KIB = 1024
const MIB = 1024 * KIB
const random = createRandom(runSeed())

const pause = (): Promise<void> => systemClock.sleep(0)
const zeros = (length: number): Buffer => Buffer.alloc(length)

const CASES: readonly (readonly [string, readonly Buffer[]])[] = [
  ['all zeros, hashed in a worker', [zeros(9 * MIB + 5)]],
  ['all zeros, hashed inline', [zeros(2 * MIB + 1)]],
  [
    'long runs of zeros at the start, in the middle and at the end',
    [zeros(3 * MIB), random.bytes(2 * MIB), zeros(5 * MIB), random.bytes(777), zeros(2 * MIB - 777)],
  ],
  ['runs of zeros too short to be skipped', [random.bytes(3 * MIB), zeros(MIB - 4 * KIB), random.bytes(100 * KIB), zeros(12 * KIB), random.bytes(2 * MIB)]],
  ['no zeros, and an unaligned end', [random.bytes(6 * MIB + 1)]],
  ['one byte after zeros', [zeros(8 * MIB), Buffer.from([1])]],
  ['less than a buffer', [random.bytes(100)]],
]

test.each(CASES)('the digest of %s', async (_name, parts) => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const bytes = Buffer.concat(parts)
  const { id, digest } = await store.add(bytes)
  const expected = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`
  expect(digest).toBe(expected)
  const manifest = await manifestOf(store.catalogue, id)
  const signal = new AbortController().signal
  expect<string>(await computeWholeDigest(store.slices, manifest, { isAwaited: true, pause, signal })).toBe(expected)
})

test.each([
  [4 * MIB, 0],
  [4 * MIB + 1, 1],
])('an image of %d bytes is hashed in %d workers', async (length, workers) => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id, digest } = await store.add(random.bytes(length))
  const manifest = await manifestOf(store.catalogue, id)
  using counted = countWorkers()
  expect<string | null>(await computeWholeDigest(store.slices, manifest, { isAwaited: true, pause, signal: new AbortController().signal })).toBe(digest)
  expect([counted.started, counted.terminated]).toEqual([workers, workers])
})

test('an aborted digest rejects with the reason of the signal', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id } = await store.add(random.bytes(6 * MIB))
  const manifest = await manifestOf(store.catalogue, id)
  const signal = AbortSignal.abort(new Error('left'))
  await expect(computeWholeDigest(store.slices, manifest, { isAwaited: false, pause, signal })).rejects.toThrow('left')
})

test('a run of zeros is read from a megabyte on not at all, and shorter ones are', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const bytes = Buffer.concat([random.bytes(64 * KIB), zeros(2 * MIB), random.bytes(64 * KIB), zeros(512 * KIB), random.bytes(64 * KIB), zeros(3 * MIB)])
  const { id } = await store.add(bytes)
  const manifest = await manifestOf(store.catalogue, id)
  const ranges: (readonly [number, number])[] = []
  const slices: typeof store.slices = {
    ...store.slices,
    read(of, start = 0, end = 0, signal) {
      ranges.push([start, end])
      return store.slices.read(of, start, end, signal)
    },
  }
  const hashed: number[] = []
  const onHashed = (count: number): void => void hashed.push(count)
  const signal = new AbortController().signal
  const digest = await computeWholeDigest(slices, manifest, { isAwaited: true, pause, signal, onHashed })
  expect<string>(digest).toBe(`sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`)
  expect(ranges).toEqual([
    [0, 64 * KIB],
    [2 * MIB + 64 * KIB, 2 * MIB + 704 * KIB],
  ])
  expect(hashed).toEqual([2 * MIB, 3 * MIB])
})
