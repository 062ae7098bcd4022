// Short lists of an agent are read to their end, and not for ever.

import { expect, test } from 'bun:test'
import { allPages } from '../../../bot/commands/all-pages.ts'

test('all pages are read in their order, each of at most 1,000 items', async () => {
  const asked: unknown[] = []
  const items = await allPages(async (query) => {
    asked.push(query)
    return query.cursor === undefined ? { items: ['a', 'b'], next: 'x' } : { items: ['c'], next: null }
  })
  expect(items).toEqual(['a', 'b', 'c'])
  expect(asked).toEqual([
    { limit: 1000, cursor: undefined },
    { limit: 1000, cursor: 'x' },
  ])
})

test('a list without an end is left after ten pages', async () => {
  let asked = 0
  expect(await allPages(async () => ({ items: [++asked], next: 'again' }))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  expect(asked).toBe(10)
})
