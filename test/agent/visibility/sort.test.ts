// Sorted fingerprints of a manifest, whatever the order and the number of its entries.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { fingerprintWord } from '../../../agent/visibility/run-layout.ts'
import { sortedFingerprints } from '../../../agent/visibility/sort.ts'
import { propertyOptions } from '../../support/properties.ts'

const wordsOf = (digest: Uint8Array): number[] => [0, 4, 8].map((at) => fingerprintWord(digest, at))
const keyOf = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join('')

async function sorted(digests: readonly Uint8Array[], passRows: number): Promise<string[]> {
  const read = async function* () {
    for (let at = 0; at < digests.length; at += 7) {
      const window = new Uint8Array(40 * digests.slice(at, at + 7).length)
      for (const [i, digest] of digests.slice(at, at + 7).entries()) window.set(digest, 40 * i + 8)
      yield window
    }
  }
  const keys: string[] = []
  for await (const words of sortedFingerprints(read, async () => {}, passRows)) {
    for (let at = 0; at < words.length; at += 3) keys.push(keyOf([...words.subarray(at, at + 3)]))
  }
  return keys
}

describe('sortedFingerprints', () => {
  test('returns each fingerprint once and in order, in one pass or in many', async () => {
    // Few values for the first bytes, so that many digests have the same prefix.
    const digest = fc
      .tuple(fc.uint8Array({ minLength: 4, maxLength: 4, max: 2 }), fc.uint8Array({ minLength: 28, maxLength: 28 }))
      .map(([head, tail]) => Uint8Array.of(...head, ...tail))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(digest, fc.uint8Array({ minLength: 32, maxLength: 32 })), { maxLength: 200 }),
        fc.integer({ min: 1, max: 250 }),
        async (digests, passRows) => {
          const expected = [...new Set(digests.map((digest) => keyOf(wordsOf(digest))))].filter((key) => !/^0+$/.test(key)).toSorted()
          expect(await sorted(digests, passRows)).toEqual(expected)
        },
      ),
      propertyOptions(200),
    )
  })

  test('leaves out zero runs', async () => {
    expect(await sorted([new Uint8Array(32), new Uint8Array(32).fill(1), new Uint8Array(32)], 10)).toEqual(['01'.repeat(12)])
  })
})
