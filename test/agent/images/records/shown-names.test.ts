// Sentences about images that are in use name at most five instances.

import { describe, expect, test } from 'bun:test'
import { newLife } from '../../../../agent/images/records/image-file.ts'
import { patched, refuseDeletion } from '../../../../agent/images/records/image-states.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const names = (count: number): string[] => ['vm-1', 'vm-2', 'vm-3', 'vm-4', 'vm-5', 'vm-6', 'vm-7'].slice(0, count)

function problemOf(run: () => unknown) {
  try {
    run()
  } catch (error) {
    if (error instanceof ProblemError) return error.problem
    throw error
  }
  throw new Error('nothing was refused')
}

describe('an image that cannot be deleted', () => {
  test.each([
    [1, 'Image debian is used by vm-1.', 1],
    [5, 'Image debian is used by vm-1, vm-2, vm-3, vm-4, vm-5.', 5],
    [6, 'Image debian is used by vm-1, vm-2, vm-3, vm-4, vm-5 and 1 more.', 5],
    [7, 'Image debian is used by vm-1, vm-2, vm-3, vm-4, vm-5 and 2 more.', 5],
  ])('because %i instances use it', (count, detail, shown) => {
    const problem = problemOf(() => refuseDeletion(memoryImage({ bindings: names(count) })))
    expect(problem).toMatchObject({ detail, bindings: names(shown) })
  })

  test.each([
    ['creating', 'Image debian is creating; it can be deleted once it is available or error.'],
    ['uploading', 'Image debian is uploading; it can be deleted once it is available or error.'],
    ['pending', 'Image debian is pending; it can be deleted once it is available or error.'],
  ] as const)('because it is %s', (status, detail) => {
    expect(problemOf(() => refuseDeletion(memoryImage({ status }))).detail).toBe(detail)
  })

  test('because it is protected, whatever else it is', () => {
    const image = memoryImage({ protected: true, bindings: names(1), status: 'creating' })
    expect(problemOf(() => refuseDeletion(image)).detail).toBe('Image debian is protected against deletion.')
  })

  test.each(['available', 'degraded', 'error'] as const)('is not one that is %s and not used', (status) => {
    refuseDeletion(memoryImage({ status }))
  })
})

test.each([
  [0, 'Image debian is a virtual disk, so it cannot be edited as an image.'],
  [1, 'Image debian is a virtual disk of vm-1, so it cannot be edited as an image.'],
  [5, 'Image debian is a virtual disk of vm-1, vm-2, vm-3, vm-4, vm-5, so it cannot be edited as an image.'],
  [6, 'Image debian is a virtual disk of vm-1, vm-2, vm-3, vm-4, vm-5, so it cannot be edited as an image.'],
])('a virtual disk of %i instances cannot be edited', (count, detail) => {
  const image = memoryImage({ kind: 'virtualDisk', bindings: names(count) })
  expect(problemOf(() => patched({ image, life: newLife() }, { name: 'x' })).detail).toBe(detail)
})

test('an image has at most 64 labels after an edit', () => {
  const labels = (count: number, prefix: string): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, 'x']))
  const image = memoryImage({ labels: labels(60, 'a') })
  expect(Object.keys(patched({ image, life: newLife() }, { labels: labels(4, 'b') }).image.labels)).toHaveLength(64)
  expect(problemOf(() => patched({ image, life: newLife() }, { labels: labels(5, 'b') })).detail).toBe('Image debian would have 65 labels; the limit is 64.')
  // A label that is there already, and one that goes, count nothing.
  expect(Object.keys(patched({ image, life: newLife() }, { labels: { ...labels(5, 'b'), a0: null } }).image.labels)).toHaveLength(64)
})
