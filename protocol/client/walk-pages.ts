// Reads a list of an agent page by page.

import type { Page } from '../page.ts'

/** Most pages that are read, in case an agent returns pages without end. */
export const PAGES_MAX = 10_000

/** Yields the items of all pages in the order of the agent; `page` asks for the one at a cursor, the first one without. */
export async function* walk<Item>(page: (cursor: string | undefined) => Promise<Page<Item>>): AsyncGenerator<Item> {
  let cursor: string | undefined
  for (let count = 0; count < PAGES_MAX; count++) {
    const { items, next } = await page(cursor)
    yield* items
    if (next === null) return
    cursor = next
  }
}
