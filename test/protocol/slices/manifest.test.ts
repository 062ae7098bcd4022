// The manifest codec: what goes in comes out, and no flipped byte passes.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { decodeManifest, encodeManifest, manifestEntries, ManifestInvalid, manifestLength, SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { propertyOptions } from '../../support/properties.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => {
  // A digest of zeros stands for a zero run, which no slice has.
  if (bytes.every((byte) => byte === 0)) bytes[0] = 1
  return bytes
})
const slice = fc.record({ length: fc.integer({ min: 1, max: SLICE_LENGTH_MAX }), digest })
const zeros = fc.record({ length: fc.integer({ min: 0, max: 2 ** 45 }), digest: fc.constant(null) })
const entries: fc.Arbitrary<ManifestEntry[]> = fc.array(fc.oneof(slice, zeros), { maxLength: 40 })

/** Entries as the codec keeps them: neighbouring zero runs are one, empty ones none. */
function normal(list: readonly ManifestEntry[]): ManifestEntry[] {
  const kept: { length: number; digest: Uint8Array | null }[] = []
  for (const { length, digest } of list) {
    const last = kept.at(-1)
    if (length === 0) continue
    if (last && last.digest === null && digest === null) last.length += length
    else kept.push({ length, digest })
  }
  return kept
}

async function isValid(bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  try {
    await decodeManifest(bytes)
    return true
  } catch (error) {
    if (error instanceof ManifestInvalid) return false
    throw error
  }
}

describe('manifest', () => {
  test('gives back what was encoded', async () => {
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const { manifest, digest } = await encodeManifest(list)
        expect(manifest.bytes.byteLength).toBe(manifestLength(manifest.count))
        const decoded = await decodeManifest(manifest.bytes.slice())
        expect(decoded.digest).toBe(digest)
        expect([...manifestEntries(decoded.manifest)]).toEqual(normal(list))
        expect(decoded.manifest.imageLength).toBe(list.reduce((sum, entry) => sum + entry.length, 0))
      }),
      propertyOptions(300),
    )
  })

  test('accepts the longest slice, refuses one that is a byte longer, and zeros of any length', async () => {
    const lengths = (length: number, digest: Uint8Array | null) => encodeManifest([{ length, digest }])
    const name = new Uint8Array(32).fill(7)
    expect(await isValid((await lengths(SLICE_LENGTH_MAX, name)).manifest.bytes)).toBe(true)
    expect(await isValid((await lengths(SLICE_LENGTH_MAX + 1, name)).manifest.bytes)).toBe(false)
    expect(await isValid((await lengths(SLICE_LENGTH_MAX + 1, null)).manifest.bytes)).toBe(true)
  })

  test('finds the entry of every offset', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(1_000_000), async (list, part) => {
        const { manifest } = await encodeManifest(list)
        fc.pre(manifest.imageLength > 0)
        const offset = Math.floor((part / 1_000_001) * manifest.imageLength)
        for (const at of [0, offset, manifest.imageLength - 1]) {
          const found = manifest.find(at)
          expect(manifest.offsetAt(found)).toBeLessThanOrEqual(at)
          expect(manifest.offsetAt(found) + manifest.lengthAt(found)).toBeGreaterThan(at)
        }
      }),
      propertyOptions(200),
    )
  })

  test('is found damaged wherever one bit differs, and when it is cut or longer', async () => {
    const { manifest } = await encodeManifest([
      { length: 65_536, digest: new Uint8Array(32).fill(7) },
      { length: 4096, digest: null },
      { length: 20_000, digest: new Uint8Array(32).fill(9) },
    ])
    for (let bit = 0; bit < manifest.bytes.byteLength * 8; bit++) {
      const damaged = manifest.bytes.slice()
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(await isValid(damaged)).toBe(false)
    }
    for (let length = 0; length < manifest.bytes.byteLength; length++) expect(await isValid(manifest.bytes.slice(0, length))).toBe(false)
    expect(await isValid(new Uint8Array([...manifest.bytes, 0]))).toBe(false)
  })

  test('refuses what is sealed well but makes no sense', async () => {
    const seal = async (edit: (view: DataView) => void): Promise<Uint8Array<ArrayBuffer>> => {
      const { manifest } = await encodeManifest([
        { length: 65_536, digest: new Uint8Array(32).fill(7) },
        { length: 4096, digest: new Uint8Array(32).fill(8) },
        { length: 4096, digest: null },
      ])
      const bytes = manifest.bytes.slice()
      edit(new DataView(bytes.buffer))
      const sealed = bytes.subarray(0, bytes.byteLength - 32)
      bytes.set(new Uint8Array(await crypto.subtle.digest('SHA-256', sealed)), sealed.byteLength)
      return bytes
    }
    expect(await isValid(await seal(() => {}))).toBe(true)
    expect(await isValid(await seal((view) => view.setBigUint64(32, 5n, true)))).toBe(false)
    expect(await isValid(await seal((view) => view.setBigUint64(72, 0n, true)))).toBe(false)
    expect(await isValid(await seal((view) => view.setBigUint64(24, 100n, true)))).toBe(false)
    expect(await isValid(await seal((view) => view.setBigUint64(24, 2n ** 60n, true)))).toBe(false)
    expect(await isValid(await seal((view) => view.setUint32(8, 2, true)))).toBe(false)
    expect(await isValid(await seal((view) => view.setUint32(20, 1, true)))).toBe(false)
    // Two runs of zeros, one after the other.
    expect(await isValid(await seal((view) => new Uint8Array(view.buffer, 80, 32).fill(0)))).toBe(false)
    expect(await isValid(await seal((view) => view.setBigUint64(72, BigInt(SLICE_LENGTH_MAX + 1), true)))).toBe(false)
  })
})
