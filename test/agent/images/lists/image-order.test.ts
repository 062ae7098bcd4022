// Orders of thousands of images: sorted in the background in turns, while images come, change and go.

import { expect, test } from 'bun:test'
import { createImageOrders } from '../../../../agent/images/lists/image-order.ts'
import type { Listed } from '../../../../agent/images/lists/image-order.ts'
import { sortKey } from '../../../../agent/images/lists/sort-keys.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

/** 5000 images are sorted in three stretches: of 2048, 2048 and 904. */
const COUNT = 5000

function listed(number: number, length: number): Listed {
  return { image: memoryImage({ id: `img_${String(number).padStart(26, '0')}`, length }) }
}

/** A table whose numbers are spread: number 0 to 4999 has the lengths 0, 10, 20, ... in another order. */
function createTable() {
  const stored = new Map<number, Listed>()
  for (let i = 0; i < COUNT; i++) stored.set(i, listed(i, ((i * 1237) % COUNT) * 10))
  return stored
}

/** A clock on which every look is a second later, so that work in turns lets others run after each step. */
function createHurriedClock() {
  let now = 0
  let sleeps = 0
  return {
    monotonicMs: () => (now += 1000),
    async sleep() {
      sleeps++
      await Bun.sleep(0)
    },
    sleeps: () => sleeps,
  }
}

function lengths(orders: ReturnType<typeof createImageOrders>, isDescending = false): number[] {
  const seen: number[] = []
  orders.walk('length', isDescending, undefined, ({ image }) => {
    seen.push(image.length)
    return true
  })
  return seen
}

test('an order of 5000 images is sorted in turns, and has the changes that came meanwhile', async () => {
  const table = createTable()
  const clock = createHurriedClock()
  const orders = createImageOrders(() => table.values(), clock)
  const put = (number: number, length: number): void => {
    const before = table.get(number)
    const after = listed(number, length)
    table.set(number, after)
    orders.put(before, after)
  }
  const remove = (number: number): void => {
    const before = table.get(number)
    table.delete(number)
    if (before) orders.remove(before)
  }
  expect(orders.isSorted('length')).toBe(false)
  expect(orders.isSorted('length')).toBe(false)
  // Before the images are read for the order, and while they are sorted.
  put(5000, 5)
  remove(1)
  let turns = 0
  while (!orders.isSorted('length')) {
    turns++
    if (turns === 2) {
      put(5001, 15)
      put(0, 49_985)
      put(2, 24_740)
      remove(3)
      remove(5000)
    }
    await Bun.sleep(0)
  }
  expect(turns).toBeGreaterThan(3)
  const expected = Array.from({ length: COUNT }, (_, i) => i * 10).filter((length) => ![0, 12_370, 37_110].includes(length))
  expected.splice(1, 0, 15)
  expected.splice(expected.indexOf(49_980) + 1, 0, 49_985)
  expect(lengths(orders)).toEqual(expected)
  expect(lengths(orders, true)).toEqual(expected.toReversed())

  // And those after it.
  put(5002, 25)
  remove(4)
  expected.splice(expected.indexOf(20) + 1, 0, 25)
  expected.splice(expected.indexOf(49_480), 1)
  expect(lengths(orders)).toEqual(expected)
})

test('sorting thousands of images pauses after each stretch, and is begun once', async () => {
  const table = createTable()
  const clock = createHurriedClock()
  let reads = 0
  const orders = createImageOrders(() => {
    reads++
    return table.values()
  }, clock)
  for (let i = 0; i < 3; i++) expect(orders.isSorted('length')).toBe(false)
  while (!orders.isSorted('length')) await Bun.sleep(0)
  expect(reads).toBe(1)
  // Once after the request, after three stretches, and after each 2048 images that are merged.
  expect(clock.sleeps()).toBeWithin(6, 12)
})

test('an order that a walk needs before it is sorted in the background is sorted at once, and stays right', async () => {
  const table = createTable()
  const orders = createImageOrders(() => table.values(), createHurriedClock())
  expect(orders.isSorted('length')).toBe(false)
  expect(lengths(orders)).toHaveLength(COUNT)
  const after = listed(COUNT, 7)
  table.set(COUNT, after)
  orders.put(undefined, after)
  for (let i = 0; i < 50; i++) await Bun.sleep(0)
  expect(lengths(orders).slice(0, 3)).toEqual([0, 7, 10])
  expect(lengths(orders)).toHaveLength(COUNT + 1)
})

test('a walk begins after its place, whether an image is there or not, and ends when it is told to', () => {
  const table = [listed(1, 10), listed(2, 10), listed(3, 20), listed(4, 30)]
  const orders = createImageOrders(() => table)
  expect(orders.isSorted('length')).toBe(true)
  const walk = (isDescending: boolean, length: number, number: number, most = 9): number[] => {
    const ids: number[] = []
    const { image } = listed(number, length)
    orders.walk('length', isDescending, { key: sortKey('length', image), id: image.id }, (stored) => {
      ids.push(Number(stored.image.id.slice(4)))
      return ids.length < most
    })
    return ids
  }
  expect(walk(false, 10, 1)).toEqual([2, 3, 4])
  expect(walk(false, 10, 1, 2)).toEqual([2, 3])
  expect(walk(false, 15, 9)).toEqual([3, 4])
  expect(walk(false, 30, 4)).toEqual([])
  expect(walk(false, 0, 0)).toEqual([1, 2, 3, 4])
  expect(walk(true, 20, 3)).toEqual([2, 1])
  expect(walk(true, 10, 2)).toEqual([1])
  expect(walk(true, 10, 1)).toEqual([])
  expect(walk(true, 99, 0)).toEqual([4, 3, 2, 1])
  expect(walk(true, 15, 9, 1)).toEqual([2])
})

test('an image that keeps its value is replaced where it is', () => {
  const table = [listed(1, 10), listed(2, 10), listed(3, 20)]
  const orders = createImageOrders(() => table)
  lengths(orders)
  const renamed = { image: memoryImage({ id: `img_${'2'.padStart(26, '0')}`, length: 10, name: 'renamed' }) }
  orders.put(table[1], renamed)
  const names: string[] = []
  orders.walk('length', false, undefined, ({ image }) => names.push(image.name) < 9)
  expect(names).toHaveLength(3)
  expect(names[1]).toBe('renamed')
})
