// What a lease protects from gc: the slices of its manifest that the store has, also those before a damage.

import { describe, expect, test } from 'bun:test'
import type { DiskFile } from '../../../agent/contract/disk.ts'
import { leaseRoot } from '../../../agent/sync/lease-roots.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32).fill(1)
  new DataView(digest.buffer).setUint32(0, n)
  return digest
}
const numberOf = (digest: Uint8Array): number => new DataView(digest.buffer, digest.byteOffset).getUint32(0)

/** Lists the root of a lease whose manifest has so many slices, after each of which comes a run of zeros. */
async function list({ slices = 3, missing = [] as readonly number[], isRequired = false, file = 'whole' as 'whole' | 'damaged' | 'gone' }) {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const entries = Array.from({ length: slices }, (_, n) => [
    { length: 4096, digest: digestOf(n) },
    { length: 4096, digest: null },
  ]).flat()
  const { manifest } = await encodeManifest(entries)
  const bytes = Buffer.from(manifest.bytes)
  if (file === 'damaged') bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1
  await disk.writeFileAtomic(folder.file('manifest'), bytes)
  let [opened, closed] = [0, 0]
  const open = async (id: string): Promise<DiskFile | undefined> => {
    expect(id).toBe('img_1')
    if (file === 'gone') return undefined
    opened++
    const own = await disk.openRead(folder.file('manifest'))
    return {
      read: (into, position) => own.read(into, position),
      write: (parts, position) => own.write(parts, position),
      sync: () => own.sync(),
      truncate: (length) => own.truncate(length),
      length: () => own.length(),
      [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
      close() {
        closed++
        return own.close()
      },
    }
  }
  const lookups: number[] = []
  const root = leaseRoot('img_1', {
    files: { open },
    missing(digests) {
      lookups.push(digests.length)
      return digests.flatMap((digest, i) => (missing.includes(numberOf(digest)) ? [i] : []))
    },
    isRequired: () => isRequired,
  })
  const listed: number[] = []
  let failure: string | undefined
  try {
    for await (const { digest } of root.entries()) if (digest) listed.push(numberOf(digest))
  } catch (error) {
    failure = error instanceof Error ? `${error.name}: ${error.message}` : 'no error'
  }
  return { name: root.name, listed, lookups, failure, open: opened - closed }
}

describe('a lease', () => {
  test('protects what the store has, and neither what is not copied yet nor zeros', async () => {
    expect(await list({ missing: [1] })).toEqual({ name: 'sync img_1', listed: [0, 2], lookups: [3], failure: undefined, open: 0 })
  })

  test('is looked up in parts of 256 slices', async () => {
    const { listed, lookups } = await list({ slices: 513, missing: [256] })
    expect(lookups).toEqual([256, 256, 1])
    expect(listed).toHaveLength(512)
  })

  test('that is damaged protects what comes before the damage, unless an attempt depends on it', async () => {
    expect(await list({ file: 'damaged' })).toMatchObject({ listed: [0, 1, 2], failure: undefined, open: 0 })
    expect(await list({ file: 'damaged', isRequired: true })).toMatchObject({ failure: expect.stringContaining('ManifestInvalid'), open: 0 })
  })

  test('that is gone protects nothing, unless an attempt depends on it', async () => {
    expect(await list({ file: 'gone' })).toMatchObject({ listed: [], failure: undefined })
    expect(await list({ file: 'gone', isRequired: true })).toMatchObject({ failure: 'Error: the lease of a sync in progress is missing' })
  })
})
