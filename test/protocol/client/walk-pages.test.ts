// Lists are read to their end, and not for ever.

import { expect, test } from 'bun:test'
import { walk } from '../../../protocol/client/walk-pages.ts'

test('a list is read from its first page to the one without a next', async () => {
  const asked: (string | undefined)[] = []
  const pages = [
    { items: [1, 2], next: 'b' },
    { items: [], next: 'c' },
    { items: [3], next: null },
    { items: [4], next: null },
  ]
  const items = await Array.fromAsync(walk((cursor) => Promise.resolve(pages[asked.push(cursor) - 1] ?? { items: [], next: null })))
  expect([items, asked]).toEqual([
    [1, 2, 3],
    [undefined, 'b', 'c'],
  ])
})

test('a list without an end is left after 10,000 pages', async () => {
  let asked = 0
  const items = await Array.fromAsync(walk(() => Promise.resolve({ items: [++asked], next: 'again' })))
  expect([items.length, asked]).toEqual([10_000, 10_000])
})
