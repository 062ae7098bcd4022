// Manifests in files: the same as in memory, block by block, and never other bytes than those that were verified.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  encodeManifest,
  MANIFEST_BLOCK_ENTRIES,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_ENTRY_BYTES,
  ManifestInvalid,
  manifestEntries,
  viewManifest,
} from '../../../protocol/slices/manifest.ts'
import type { Manifest, ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { openManifest, walkManifest } from '../../../protocol/slices/manifest-file.ts'
import type { ManifestFile } from '../../../protocol/slices/manifest-file.ts'
import { HASHES, memoryManifestFile } from '../../support/memory/memory-manifest-file.ts'
import { createRandom, propertyOptions } from '../../support/properties.ts'
import { wholeManifest } from '../../support/images/whole-manifest.ts'

/** Entries enough for some blocks, alternating slices and zeros now and then. */
function entriesOf(count: number, seed: number): ManifestEntry[] {
  const random = createRandom(seed)
  return Array.from({ length: count }, (_, i) => ({ length: 1 + random.below(100_000), digest: i % 7 === 3 ? null : new Uint8Array(random.bytes(32)) }))
}

const COUNTS = [0, 1, 2, MANIFEST_BLOCK_ENTRIES - 1, MANIFEST_BLOCK_ENTRIES, MANIFEST_BLOCK_ENTRIES + 1, 3 * MANIFEST_BLOCK_ENTRIES + 5]

async function entriesFrom(manifest: Manifest, from: number): Promise<ManifestEntry[]> {
  const found: ManifestEntry[] = []
  for await (const block of manifest.blocks(from)) {
    expect(block.count).toBeLessThanOrEqual(MANIFEST_BLOCK_ENTRIES)
    found.push(...manifestEntries(block))
  }
  return found
}

describe('a manifest in a file', () => {
  test('is the one in memory, from any entry, offset and position', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...COUNTS), fc.nat(), fc.nat(), async (count, seed, part) => {
        const memory = (await encodeManifest(entriesOf(count, seed))).manifest
        const file = memoryManifestFile(memory.bytes)
        const { manifest, digest } = await openManifest(file, HASHES)
        expect(digest).toBe((await encodeManifest(manifestEntries(memory))).digest)
        expect([manifest.count, manifest.imageLength]).toEqual([memory.count, memory.imageLength])
        expect((await wholeManifest(manifest)).bytes).toEqual(memory.bytes)
        const from = count === 0 ? 0 : part % count
        for (const one of [manifest, memory]) expect(await entriesFrom(one, from)).toEqual([...manifestEntries(memory)].slice(from))
        const position = part % memory.bytes.byteLength
        for (const one of [manifest, memory])
          expect(Buffer.concat(await Array.fromAsync(one.pieces(position))).equals(memory.bytes.subarray(position))).toBe(true)
        for (const offset of count === 0 ? [] : [0, part % memory.imageLength, memory.imageLength - 1])
          expect(await manifest.find(offset)).toBe(memory.find(offset))
        expect(file.readLengthMax).toBeLessThanOrEqual(MANIFEST_BLOCK_ENTRIES * MANIFEST_ENTRY_BYTES + 8)
      }),
      propertyOptions(25),
    )
  }, 30_000)

  test('is refused where the one in memory is', async () => {
    const { manifest } = await encodeManifest(entriesOf(5, 1))
    for (let bit = 0; bit < manifest.bytes.byteLength * 8; bit++) {
      const bytes = manifest.bytes.slice()
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expect(openManifest(memoryManifestFile(bytes), HASHES)).rejects.toBeInstanceOf(ManifestInvalid)
      await expect(Array.fromAsync(walkManifest(memoryManifestFile(bytes), HASHES))).rejects.toBeInstanceOf(ManifestInvalid)
    }
    for (let length = 0; length < manifest.bytes.byteLength; length++)
      await expect(openManifest(memoryManifestFile(manifest.bytes.subarray(0, length)), HASHES)).rejects.toBeInstanceOf(ManifestInvalid)
  })

  test('is refused by its header when it has too many entries, before anything is allocated for them', async () => {
    const { manifest } = await encodeManifest([])
    new DataView(manifest.bytes.buffer).setBigUint64(12, BigInt(MANIFEST_ENTRIES_MAX + 1), true)
    const file = { ...memoryManifestFile(manifest.bytes), length: async () => 64 + (MANIFEST_ENTRIES_MAX + 1) * MANIFEST_ENTRY_BYTES }
    await expect(openManifest(file, HASHES)).rejects.toThrow(`the limit is ${MANIFEST_ENTRIES_MAX}`)
    expect(() => viewManifest(manifest.bytes)).toThrow(ManifestInvalid)
  })

  test('that changes after it was verified gives no entry that was not there', async () => {
    const { manifest: memory } = await encodeManifest(entriesOf(9 * MANIFEST_BLOCK_ENTRIES, 2))
    const { manifest: other } = await encodeManifest(entriesOf(9 * MANIFEST_BLOCK_ENTRIES, 3))
    for (const change of [other.bytes, memory.bytes.subarray(0, 100_000)]) {
      const file = memoryManifestFile(memory.bytes)
      const { manifest } = await openManifest(file, HASHES)
      file.bytes = change
      await expect(entriesFrom(manifest, MANIFEST_BLOCK_ENTRIES)).rejects.toBeInstanceOf(ManifestInvalid)
    }
  })

  test('keeps the four blocks that it read last', async () => {
    const { manifest: memory } = await encodeManifest(entriesOf(6 * MANIFEST_BLOCK_ENTRIES, 4))
    const file = memoryManifestFile(memory.bytes)
    let reads = 0
    const counted: ManifestFile = { length: () => file.length(), read: (into, position) => (reads++, file.read(into, position)) }
    const { manifest } = await openManifest(counted, HASHES)
    const readsOf = async (block: number): Promise<number> => {
      const before = reads
      await manifest.find(memory.offsetAt(block * MANIFEST_BLOCK_ENTRIES))
      return reads - before
    }
    const seen: number[] = []
    for (const block of [0, 1, 2, 3, 0, 1, 2, 3, 4, 1, 2, 3, 4, 0, 1]) seen.push(await readsOf(block))
    expect(seen).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1])
  })
})
