// How many failed images the problem of a sync names, and how many addresses of a name a sync tries, as literals.

import { expect, test } from 'bun:test'
import { requireAll } from '../../../agent/sync/partial-failure.ts'
import { createPeerNetwork } from '../../../agent/sync/peer-network.ts'
import { createTaskImages } from '../../../agent/sync/task-images.ts'
import { makeProblem } from '../../../protocol/problems.ts'

test.each([
  [2, '2 of 5 images were not copied; the others are here. i1: gone 1 i2: gone 2'],
  [3, '3 of 5 images were not copied; the others are here. i1: gone 1 i2: gone 2 i3: gone 3'],
  [4, '4 of 5 images were not copied; the others are here. i1: gone 1 i2: gone 2 i3: gone 3 And 1 more.'],
  [5, '5 of 5 images were not copied; the others are here. i1: gone 1 i2: gone 2 i3: gone 3 And 2 more.'],
])('of %i failed images, three are named', (failed, detail) => {
  const images = createTaskImages()
  for (let i = 1; i <= 5; i++) {
    const image = images.add(`i${i}`)
    if (i <= failed) image.failed(makeProblem('not-found', `gone ${i}`))
  }
  expect(() => requireAll(images)).toThrow(expect.objectContaining({ message: detail, problem: expect.objectContaining({ failed, total: 5 }) }))
})

test('one image alone fails with its own problem', () => {
  const images = createTaskImages()
  images.add('i1').failed(makeProblem('not-found', 'gone'))
  expect(() => requireAll(images)).toThrow(expect.objectContaining({ message: 'gone', code: 'not-found' }))
})

test('eight addresses of a name are tried', async () => {
  const addresses = (count: number): string[] => Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`)
  const resolved = (count: number) => createPeerNetwork([], async () => addresses(count)).resolve('many.example')
  expect(await resolved(8)).toEqual(addresses(8))
  expect(await resolved(9)).toEqual(addresses(8))
})
