// The shrinking of scripts, on its own.

import { describe, expect, test } from 'bun:test'
import { kindOfFailure, shrink } from './shrink.ts'

const NUMBERS = Array.from({ length: 40 }, (_number, i) => i + 1)

describe('shrink', () => {
  test('keeps only what a failure needs', async () => {
    const fails = async (items: readonly number[]): Promise<boolean> => items.includes(7) && items.includes(31) && items.includes(32)
    expect(await shrink(NUMBERS, fails, () => false)).toEqual([7, 31, 32])
  })

  test('returns something that fails when it has to end early', async () => {
    let tries = 0
    const fails = async (items: readonly number[]): Promise<boolean> => {
      tries++
      return items.includes(7)
    }
    const kept = await shrink(NUMBERS, fails, () => tries >= 2)
    expect(kept).toContain(7)
    expect(kept.length).toBeLessThan(NUMBERS.length)
  })

  test('takes failures that differ in ids and numbers for one kind', () => {
    const kind = kindOfFailure(new Error('upload image-2-0 is at 0, but 38104 bytes were acknowledged'))
    expect(kindOfFailure(new Error('upload image-11-1 is at 4096, but 5000 bytes were acknowledged'))).toBe(kind)
    expect(kindOfFailure(new Error('image image-2-0 (img_01kdvdna00psaqwgxentxaja74) is gone'))).not.toBe(kind)
  })
})
