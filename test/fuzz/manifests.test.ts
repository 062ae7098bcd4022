// Fuzzes manifests in memory and in files, as read from the mount path and from other stores.

import { expect, test } from 'bun:test'
import { decodeManifest, encodeManifest, manifestEntries, ManifestInvalid, MANIFEST_TRAILER_BYTES } from '../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../protocol/slices/manifest.ts'
import { openManifest, walkManifest } from '../../protocol/slices/manifest-file.ts'
import { fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import { HASHES, memoryManifestFile } from '../support/memory/memory-manifest-file.ts'
import { createRandom } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'

function entries(random: Random): ManifestEntry[] {
  return Array.from({ length: random.below(random.pick([2, 8, 200])) }, () => {
    const isZero = random.chance(0.3)
    const length = isZero
      ? 1 + random.below(2 ** 31) * random.pick([1, 2 ** 14])
      : random.pick([1, 4096, 32_768, 131_072, 4_194_304, 1 + random.below(4_194_304)])
    return { length, digest: isZero ? null : new Uint8Array(random.bytes(32)) }
  })
}

async function encoded(random: Random): Promise<Uint8Array> {
  return (await encodeManifest(entries(random))).manifest.bytes
}

/** Writes the digest of the rest into the trailer of a manifest, so that the decoder reaches errors behind the digest check. */
function sealed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = new Uint8Array(bytes)
  const end = own.byteLength - MANIFEST_TRAILER_BYTES
  if (end >= 0) own.set(new Uint8Array(new Bun.CryptoHasher('sha256').update(own.subarray(0, end)).digest()), end)
  return own
}

test(
  'the manifest codec',
  async () => {
    const corpus = await Promise.all(Array.from({ length: 20 }, (_, i) => encoded(createRandom(i + 1))))
    const result = await fuzz({
      name: 'manifests',
      corpus,
      lengthMax: 64 * 1024,
      async run(input, random) {
        const bytes = random.chance(0.9) ? sealed(input) : new Uint8Array(input)
        let decoded: Awaited<ReturnType<typeof decodeManifest>>
        try {
          decoded = await decodeManifest(bytes)
        } catch (error) {
          if (!(error instanceof ManifestInvalid)) throw error
          await checkRefused(bytes)
          return false
        }
        const { manifest, digest } = decoded
        const again = await encodeManifest(manifestEntries(manifest))
        if (again.digest !== digest || Buffer.compare(again.manifest.bytes, bytes) !== 0)
          throw new Error('an accepted manifest does not encode to the same bytes')
        for (let i = 0; i < 8 && manifest.imageLength > 0; i++) {
          const offset = Math.floor((random.below(2 ** 31) / 2 ** 31) * manifest.imageLength)
          const found = manifest.find(offset)
          if (offset < manifest.offsetAt(found) || offset >= manifest.offsetAt(found) + manifest.lengthAt(found))
            throw new Error(`offset ${offset} is not in entry ${found}`)
        }
        await checkFile(bytes, decoded)
        return true
      },
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

/** Checks that bytes refused in memory are also refused in a file, when it is opened or walked. */
async function checkRefused(bytes: Uint8Array): Promise<void> {
  for (const read of [() => openManifest(memoryManifestFile(bytes), HASHES), () => Array.fromAsync(walkManifest(memoryManifestFile(bytes), HASHES))]) {
    try {
      await read()
    } catch (error) {
      if (!(error instanceof ManifestInvalid)) throw error
      continue
    }
    throw new Error('a manifest was accepted in a file and refused in memory')
  }
}

/** Checks that bytes accepted in memory decode to the same manifest in a file. */
async function checkFile(bytes: Uint8Array, { manifest, digest }: Awaited<ReturnType<typeof decodeManifest>>): Promise<void> {
  const opened = await openManifest(memoryManifestFile(bytes), HASHES)
  if (opened.digest !== digest || opened.manifest.count !== manifest.count) throw new Error('a manifest differs in a file')
  const blocks = await Array.fromAsync(opened.manifest.blocks())
  const found = blocks.flatMap((block) => [...manifestEntries(block)])
  if (!Bun.deepEquals(found, [...manifestEntries(manifest)])) throw new Error('a manifest in a file has other entries')
}
