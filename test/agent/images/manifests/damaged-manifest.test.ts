// The quick check of a manifest by its ends, and the entries that are salvaged from a damaged one.

import { describe, expect, test } from 'bun:test'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { checkManifestEnds, salvageEntries } from '../../../../agent/images/manifests/damaged-manifest.ts'
import type { ManifestCheck } from '../../../../agent/images/manifests/damaged-manifest.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest, SLICE_LENGTH_MAX } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const real = createDisk()
/** A disk whose reads take a turn of the event loop. */
const disk: Disk = {
  ...real,
  async openRead(path) {
    const file = await real.openRead(path)
    const read: DiskFile['read'] = async (into, position) => {
      await new Promise((resolve) => setImmediate(resolve))
      return file.read(into, position)
    }
    return { ...file, read }
  },
}
const [A, B] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
const OTHER = `sha256:${'0'.repeat(64)}`

/** Writes a manifest of slice A, zeros and slice B after a change, and checks it. */
async function check(change: (bytes: Buffer) => Uint8Array, manifestDigest?: string | null) {
  await using folder = await createTemporaryFolder()
  const { manifest, digest } = await encodeManifest([
    { length: 4096, digest: A },
    { length: 8192, digest: null },
    { length: 100, digest: B },
  ])
  const bytes = change(Buffer.from(manifest.bytes))
  await Bun.write(folder.file('manifest'), bytes)
  return { found: await checkManifestEnds(disk, folder.file('manifest'), manifestDigest === undefined ? digest : manifestDigest), length: bytes.byteLength }
}

const damaged = (reason: string): ManifestCheck => ({ kind: 'damaged', reason })

describe('the ends of a manifest', () => {
  test('that is whole are plausible, with or without the digest that it should have', async () => {
    const { found, length } = await check((bytes) => bytes)
    expect(found).toEqual({ kind: 'plausible', length })
    expect((await check((bytes) => bytes, null)).found).toEqual({ kind: 'plausible', length })
  })

  test.each<[string, (bytes: Buffer) => Uint8Array, string]>([
    ['that is empty', () => new Uint8Array(0), 'its file is shorter than an empty manifest'],
    ['with only a header', (bytes) => bytes.subarray(0, 60), 'its file is shorter than an empty manifest'],
    ['without its last byte', (bytes) => bytes.subarray(0, -1), 'its file has 183 bytes, which does not match 3 entries'],
    ['with one byte more', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]), 'its file has 185 bytes, which does not match 3 entries'],
  ])('%s are damaged', async (_what, change, reason) => {
    expect((await check(change)).found).toEqual(damaged(reason))
  })

  test('of an image without bytes are plausible', async () => {
    await using folder = await createTemporaryFolder()
    const { manifest, digest } = await encodeManifest([])
    await Bun.write(folder.file('manifest'), manifest.bytes)
    expect(await checkManifestEnds(disk, folder.file('manifest'), digest)).toEqual({ kind: 'plausible', length: 64 })
    await Bun.write(folder.file('manifest'), manifest.bytes.subarray(0, 63))
    expect(await checkManifestEnds(disk, folder.file('manifest'), digest)).toEqual(damaged('its file is shorter than an empty manifest'))
  })

  test('with another magic are damaged', async () => {
    const { found } = await check((bytes) => Buffer.concat([Buffer.from('X'), bytes.subarray(1)]))
    expect(found.kind).toBe('damaged')
  })

  test('of another image are damaged', async () => {
    expect((await check((bytes) => bytes, OTHER)).found).toEqual(damaged('it is not the manifest that image.json names'))
  })

  test('that are missing are damaged', async () => {
    await using folder = await createTemporaryFolder()
    expect(await checkManifestEnds(disk, folder.file('manifest'), null)).toEqual({ kind: 'damaged', reason: 'its file is missing' })
    await disk.makeFolder(folder.file('manifest'))
    expect(await checkManifestEnds(disk, folder.file('manifest'), null)).toEqual({ kind: 'damaged', reason: 'its file is missing' })
  })
})

test('every digest is salvaged whose bytes are whole, whatever the header says', async () => {
  await using folder = await createTemporaryFolder()
  const entries = Array.from({ length: 5000 }, (_, i) => ({ length: 4096, digest: Uint8Array.from([i & 255, i >> 8, 1, ...new Uint8Array(29)]) }))
  const { manifest } = await encodeManifest(entries)
  await Bun.write(folder.file('manifest'), Buffer.from(manifest.bytes).fill(255, 0, 20))
  await using file = await disk.openRead(folder.file('manifest'))
  const found = new Set<string>()
  for await (const { digest } of salvageEntries(file)) if (digest) found.add(Buffer.from(digest).toString('hex'))
  expect(entries.filter(({ digest }) => !found.has(Buffer.from(digest).toString('hex')))).toEqual([])
})

test.each([
  [112, [A, null]],
  [111, [A]],
  [72, [A]],
  [71, []],
  [32, []],
])('of a manifest that was cut to %i bytes, the whole entries are salvaged, each with the greatest length', async (length, digests) => {
  await using folder = await createTemporaryFolder()
  const { manifest } = await encodeManifest([
    { length: 4096, digest: A },
    { length: 8192, digest: null },
    { length: 100, digest: B },
  ])
  await Bun.write(folder.file('manifest'), manifest.bytes.subarray(0, length))
  await using file = await disk.openRead(folder.file('manifest'))
  expect(await Array.fromAsync(salvageEntries(file))).toEqual(digests.map((digest) => ({ length: SLICE_LENGTH_MAX, digest })))
})
