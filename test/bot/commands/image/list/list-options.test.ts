// The filters and orders of `image list`: what is sent to the agents, what is refused, and how images of several stores are put in order.

import { describe, expect, test } from 'bun:test'
import { compareImages, parseFilter, parseSort } from '../../../../../bot/commands/image/list/list-options.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import type { ImageOrder } from '../../../../../protocol/images/image-list.ts'
import { imageOf } from '../../scripted-fleet.ts'

describe('a filter', () => {
  test('has sizes in bytes, and a day as its first moment', () => {
    expect(parseFilter({ memory: '4GB', disk: '1GiB', createdAfter: '2026-11-01', createdBefore: '2026-12-01', name: '2026-11-01', owner: undefined })).toEqual(
      {
        ...{ memory: 4_000_000_000, disk: 1_073_741_824, name: '2026-11-01' },
        ...{ createdAfter: '2026-11-01T00:00:00Z', createdBefore: '2026-12-01T00:00:00Z' },
      },
    )
    expect(parseFilter({ createdAfter: '2026-11-01T12:00:00Z' })).toEqual({ createdAfter: '2026-11-01T12:00:00Z' })
    expect(parseFilter({ sort: 'name' })).toEqual({})
  })

  test('that cannot be read is refused with its name', () => {
    expect(() => parseFilter({ memory: 'much' })).toThrow('memory=much is not a size.')
    expect(() => parseFilter({ disk: 'much' })).toThrow('disk=much is not a size.')
    expect(() => parseFilter({ status: 'lost' })).toThrow('status=lost')
    expect(() => parseFilter({ createdAfter: '1 2026-11-01' })).toThrow('createdAfter=')
  })
})

test('an order is one of those that agents know', () => {
  expect([parseSort(undefined), parseSort('-length')]).toEqual([undefined, '-length'])
  expect(() => parseSort('nme')).toThrow('sort=nme')
})

describe('the order', () => {
  const order = (by: ImageOrder, members: readonly Partial<Image>[]): number[] => {
    const images = members.map((one, n) => imageOf(n + 1, one))
    return images.toSorted((a, b) => compareImages(by, a, b)).map((image) => images.indexOf(image) + 1)
  }

  test.each<[ImageOrder, Partial<Image>[], number[]]>([
    ['name', [{ name: 'B' }, { name: 'a' }, { name: 'c' }], [2, 1, 3]],
    ['-name', [{ name: 'B' }, { name: 'a' }, { name: 'c' }], [3, 1, 2]],
    // Equal ones are in the order of their ids.
    ['length', [{ length: 7 }, { length: 7 }, { length: 6 }], [3, 1, 2]],
    ['-length', [{ length: 7 }, { length: 7 }, { length: 6 }], [2, 1, 3]],
    ['length', [{ length: 10 }, { length: 9 }], [2, 1]],
    ['storedSize', [{ storedSize: 0 }, { storedSize: null }, { storedSize: 5 }], [2, 1, 3]],
    ['virtualSize', [{ virtualSize: 0 }, { virtualSize: null }], [2, 1]],
    ['cloudInit', [{ cloudInit: true }, { cloudInit: false }, { cloudInit: null }], [3, 2, 1]],
    ['owner', [{ owner: 'Bob' }, { owner: null }, { owner: 'ann' }], [2, 3, 1]],
    [
      'memory',
      [{ requirements: { cpus: null, memory: 0, disk: null } }, { requirements: null }, { requirements: { cpus: 9, memory: null, disk: 9 } }],
      [2, 3, 1],
    ],
    ['cpus', [{ requirements: { cpus: 2, memory: null, disk: null } }, { requirements: { cpus: 1, memory: 9, disk: 9 } }], [2, 1]],
    ['disk', [{ requirements: { cpus: null, memory: null, disk: 2 } }, { requirements: { cpus: 9, memory: 9, disk: 1 } }], [2, 1]],
  ])('by %s of %j is %j', (by, members, numbers) => {
    expect(order(by, members)).toEqual(numbers)
  })
})
