// Pages of lists: every item is on exactly one page, and the last page has no cursor.

import { expect, test } from 'bun:test'
import { pageOf } from '../../../agent/http/paging.ts'

const ITEMS = ['a', 'b', 'c', 'd', 'e', 'f']
const page = (limit: number, cursor?: string) => pageOf(ITEMS, (item) => item, { limit, cursor })

test('a page has a next page only if items are left', () => {
  expect(page(5)).toEqual({ items: ['a', 'b', 'c', 'd', 'e'], next: 'e' })
  expect(page(5, 'e')).toEqual({ items: ['f'], next: null })
  expect(page(7)).toEqual({ items: ITEMS, next: null })
})

test('a page that the last items fill exactly is the last page', () => {
  expect(page(6)).toEqual({ items: ITEMS, next: null })
  expect(page(3)).toEqual({ items: ['a', 'b', 'c'], next: 'c' })
  expect(page(3, 'c')).toEqual({ items: ['d', 'e', 'f'], next: null })
})

test('a cursor after the last item returns an empty page', () => {
  expect(page(3, 'f')).toEqual({ items: [], next: null })
})
