// Bounds of answers, as literals: a page of a list ends within 4 MiB.

import { expect, test } from 'bun:test'
import { answerPage } from '../../../agent/http/page-answer.ts'

const MIB = 1_048_576

/** Returns how many items of these lengths as JSON a page has, and whether another page follows. */
async function pageOf(lengths: readonly number[]): Promise<[items: number, hasNext: boolean]> {
  const all = lengths.map((length) => 'x'.repeat(length - 2))
  const list = (limit: number) => ({ items: all.slice(0, limit), next: limit < all.length ? `after ${limit}` : null })
  const page = (await (await answerPage(list, 100)).json()) as { items: string[]; next: string | null }
  return [page.items.length, page.next !== null]
}

test.each<[lengths: readonly number[], items: number, hasNext: boolean]>([
  [[2 * MIB, 2 * MIB], 2, false],
  [[2 * MIB, 2 * MIB + 1], 1, true],
  [[2 * MIB, 2 * MIB, 3], 2, true],
  [[4 * MIB + 1, 3], 1, true],
  [[4 * MIB + 1], 1, false],
])('a page of items of %p bytes has %i of them', async (lengths, items, hasNext) => {
  expect(await pageOf(lengths)).toEqual([items, hasNext])
})
