// Pages of lists at their bound in bytes.

import { expect, test } from 'bun:test'
import { answerPage, PAGE_BYTES_MAX } from '../../../agent/http/page-answer.ts'
import { pageOf } from '../../../agent/http/paging.ts'

interface Item {
  readonly id: string
  readonly text: string
}

function items(count: number, length: number): Item[] {
  return Array.from({ length: count }, (_, i) => ({ id: String(i).padStart(4, '0'), text: 'x'.repeat(length) }))
}

async function walk(all: readonly Item[], limit: number): Promise<{ ids: string[]; lengths: number[] }> {
  const ids: string[] = []
  const lengths: number[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const from = cursor
    const response = await answerPage((count) => pageOf(all, ({ id }) => id, { limit: count, cursor: from }), limit)
    const text = await response.text()
    const page = JSON.parse(text) as { items: Item[]; next: string | null }
    lengths.push(text.length)
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.next
  }
  return { ids, lengths }
}

test('a page of short items has as many items as requested', async () => {
  const all = items(25, 10)
  const { ids, lengths } = await walk(all, 10)
  expect(ids).toEqual(all.map(({ id }) => id))
  expect(lengths).toHaveLength(3)
})

test('a page of long items ends early, and the next pages have the rest', async () => {
  const all = items(20, 1024 * 1024)
  const { ids, lengths } = await walk(all, 1000)
  expect(ids).toEqual(all.map(({ id }) => id))
  for (const length of lengths) expect(length).toBeLessThan(PAGE_BYTES_MAX + 100)
})

test('an item longer than a page is the only item of its page', async () => {
  const all = items(3, PAGE_BYTES_MAX + 1)
  const { ids, lengths } = await walk(all, 1000)
  expect(ids).toEqual(['0000', '0001', '0002'])
  expect(lengths).toHaveLength(3)
})
