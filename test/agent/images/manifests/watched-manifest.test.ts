// A manifest that is read from its file on demand: damage is reported before the reader learns of it, and disk errors are passed on.

import { expect, test } from 'bun:test'
import { watchManifest } from '../../../../agent/images/manifests/watched-manifest.ts'
import { encodeManifest, ManifestInvalid } from '../../../../protocol/slices/manifest.ts'
import type { Manifest } from '../../../../protocol/slices/manifest.ts'

const { manifest } = await encodeManifest([1, 2, 3].map((i) => ({ length: 4096, digest: new Uint8Array(32).fill(i) })))

/** A manifest whose reads throw an error after the first item. */
function failing(error: Error): Manifest {
  return {
    ...manifest,
    async *blocks(from) {
      yield* manifest.blocks(from)
      throw error
    },
    async *pieces(position) {
      yield* manifest.pieces(position)
      throw error
    },
    find: () => Promise.reject(error),
  }
}

const ways: readonly [string, (watched: Manifest) => Promise<unknown>][] = [
  ['its blocks', (watched) => Array.fromAsync(watched.blocks())],
  ['its pieces', (watched) => Array.fromAsync(watched.pieces())],
  ['a search in it', async (watched) => watched.find(0)],
]

test.each(ways)('damage found by reading %s is reported, and the reader gets the error of the report', async (_what, read) => {
  const reported: Error[] = []
  const damage = new ManifestInvalid('damaged')
  const watched = watchManifest(failing(damage), async (error) => {
    reported.push(error)
    return new Error('reported')
  })
  await expect(read(watched)).rejects.toThrow('reported')
  expect(reported).toEqual([damage])
})

test.each(ways)('a disk error while reading %s is no damage', async (_what, read) => {
  const watched = watchManifest(failing(new Error('EIO')), () => Promise.resolve(new Error('reported')))
  await expect(read(watched)).rejects.toThrow('EIO')
})

test('an intact manifest is read as it is, from any position', async () => {
  const watched = watchManifest(manifest, () => Promise.resolve(new Error('reported')))
  expect([watched.count, watched.imageLength]).toEqual([3, 12_288])
  expect(await watched.find(4096)).toEqual(await manifest.find(4096))
  expect((await Array.fromAsync(watched.blocks(2))).map(({ first, count }) => [first, count])).toEqual([[2, 1]])
  expect(await Array.fromAsync(watched.blocks(3))).toEqual([])
  expect(Buffer.concat(await Array.fromAsync(watched.pieces(100)))).toEqual(Buffer.from(manifest.bytes.subarray(100)))
})
