// What counts towards the limits of an owner, and where each limit is reached.

import { describe, expect, test } from 'bun:test'
import type { OwnedImage } from '../../../agent/contract/images.ts'
import { countsForOwner, createOwnerLimit } from '../../../agent/images/owner-limit.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { imageStatusSchema } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const DIGEST = `sha256:${'1'.repeat(64)}`
const image = (id: string, length = 10, changes: Partial<Image> = {}): Image => memoryImage({ id, owner: 'ann', length, manifestDigest: DIGEST, ...changes })
const owned = (id: string, length = 10, owner: string | null = 'ann'): OwnedImage => ({ id, owner, length })

function limitOf(limits: { imagesMax?: number; bytesMax?: number }, images: readonly Image[], expected: readonly OwnedImage[] = []) {
  return createOwnerLimit({ imagesMax: 0, bytesMax: 0, ...limits, images: () => images, expected: () => expected })
}

function problemOf(limit: ReturnType<typeof limitOf>, claimed: OwnedImage): ProblemError['problem'] | undefined {
  try {
    limit.claim(claimed)[Symbol.dispose]()
  } catch (error) {
    if (error instanceof ProblemError) return error.problem
    throw error
  }
  return undefined
}

test('every image counts that is neither in the recycle bin nor being removed', () => {
  const counting = imageStatusSchema.options.filter((status) => countsForOwner(memoryImage({ status })))
  expect(counting).toEqual(['creating', 'uploading', 'pending', 'available', 'degraded', 'fileUnavailable', 'error'])
})

describe('the number of images', () => {
  test.each<[string, readonly Image[], readonly OwnedImage[], boolean]>([
    ['one image', [image('a')], [], true],
    ['two images', [image('a'), image('b')], [], false],
    ['an image and an upload', [image('a')], [owned('b')], false],
    ['an upload that has just become an image', [image('a')], [owned('a')], true],
    ['two images, one of them of somebody else', [image('a'), image('b', 10, { owner: 'bob' })], [], true],
    ['two images, one of them without an owner', [image('a'), image('b', 10, { owner: null })], [], true],
    ['two images, one of them in the recycle bin', [image('a'), image('b', 10, { status: 'deleted' })], [], true],
    ['two images, one of them this image itself', [image('a'), image('new')], [], true],
    ['three images, one of them this image itself', [image('a'), image('b'), image('new')], [], true],
    ['two images, one of them without content', [image('a'), image('b', 10, { manifestDigest: null })], [], false],
  ])('with %s and a limit of two', (_what, images, expected, isAdmitted) => {
    expect(problemOf(limitOf({ imagesMax: 2 }, images, expected), owned('new')) === undefined).toBe(isAdmitted)
  })

  test('counts claims until they end', () => {
    const limit = limitOf({ imagesMax: 1 }, [])
    const first = limit.claim(owned('a'))
    expect(problemOf(limit, owned('b'))).toBeDefined()
    first[Symbol.dispose]()
    expect(problemOf(limit, owned('b'))).toBeUndefined()
  })

  test.each<[string | null, readonly Image[], string, string]>([
    ['ann', [image('a')], 'owner ann has 1 image', 'Delete an image of this owner'],
    ['ann', [image('a'), image('b')], 'owner ann has 2 images', 'Delete an image of this owner'],
    [null, [image('a', 1, { owner: null })], 'the store has 1 image without an owner', 'Delete an image without an owner, or name an owner'],
    ['', [image('a', 1, { owner: null }), image('b', 1, { owner: '' })], 'the store has 2 images without an owner', 'Delete an image without an owner'],
  ])('that owner %p has is said', (owner, images, who, action) => {
    const found = problemOf(limitOf({ imagesMax: 1 }, images), owned('new', 10, owner))
    expect(found).toMatchObject({
      detail: `Maximum image limit reached: ${who}, unfinished uploads included; the limit is 1.`,
      limit: 1,
      owner: owner === '' ? null : owner,
    })
    expect(found?.action).toStartWith(action)
    expect(found?.action).toContain('images.max-per-owner')
  })
})

describe('the bytes of images', () => {
  test.each<[string, readonly Image[], readonly OwnedImage[], number, boolean]>([
    ['up to the limit', [image('a', 60)], [], 40, true],
    ['one above it', [image('a', 60)], [], 41, false],
    ['beside an upload', [image('a', 30)], [owned('b', 30)], 41, false],
    ['beside an upload that has just become an image, with the greater length', [image('a', 30)], [owned('a', 60)], 41, false],
    ['beside an image that was an upload, with the greater length', [image('a', 60)], [owned('a', 30)], 40, true],
    ['beside an image without content', [image('a', 90, { manifestDigest: null })], [], 100, true],
    ['beside what others have', [image('a', 90, { owner: 'bob' })], [], 100, true],
    ['beside an image that has all of them', [image('a', 100)], [], 1, false],
    ['that grow up to the limit', [image('a', 60), image('new', 30)], [], 40, true],
    ['that grow above the limit', [image('a', 60), image('new', 40)], [], 41, false],
    ['that were above it before, and do not grow', [image('a', 90), image('new', 40)], [], 40, true],
    ['that were above it before, and shrink', [image('a', 90), image('new', 40)], [], 39, true],
  ])('%s', (_what, images, expected, length, isAdmitted) => {
    expect(problemOf(limitOf({ bytesMax: 100 }, images, expected), owned('new', length)) === undefined).toBe(isAdmitted)
  })

  test.each<[string | null, string]>([
    ['ann', 'the images of owner ann have'],
    [null, 'the images without an owner have'],
  ])('that owner %p has are said', (owner, who) => {
    const found = problemOf(limitOf({ bytesMax: 5000 }, [image('a', 3000, { owner })]), owned('new', 2001, owner))
    expect(found).toMatchObject({
      detail: `Maximum image limit reached: ${who} 3.0 kB, unfinished uploads included, and this image has 2.0 kB; the limit is 5.0 kB.`,
      limitBytes: 5000,
      usedBytes: 3000,
      lengthBytes: 2001,
      owner,
    })
    expect(found?.action).toContain('images.max-bytes-per-owner')
  })
})

test('one byte is a limit', () => {
  expect(problemOf(limitOf({ bytesMax: 1 }, []), owned('new', 1))).toBeUndefined()
  expect(problemOf(limitOf({ bytesMax: 1 }, []), owned('new', 2))).toBeDefined()
})

test('without a limit, nothing is counted', () => {
  const limit = createOwnerLimit({
    imagesMax: 0,
    bytesMax: 0,
    images: () => {
      throw new Error('counted')
    },
    expected: () => [],
  })
  expect(problemOf(limit, owned('new'))).toBeUndefined()
})
