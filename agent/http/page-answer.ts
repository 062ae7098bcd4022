// Answers of lists, limited in bytes as well as in items, since clients can make some items large.

import type { Page } from '../../protocol/page.ts'

/** Longest page in bytes of JSON, unless its first item alone is longer. */
export const PAGE_BYTES_MAX = 4 * 1024 * 1024

/**
 * Returns the answer of a list. A page that would be longer than PAGE_BYTES_MAX ends early, and its `next` leads to the rest. `list` returns a page
 * of at most `limit` items, and the same page while nothing changes.
 */
export async function answerPage<Item>(
  list: (limit: number) => Page<Item> | Promise<Page<Item>>,
  limit: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { items, next } = await list(limit)
  const parts: string[] = []
  let length = 0
  for (const item of items) {
    const text = JSON.stringify(item)
    length += text.length
    if (length > PAGE_BYTES_MAX && parts.length > 0) break
    parts.push(text)
  }
  const cursor = parts.length < items.length ? (await list(parts.length)).next : next
  return new Response(`{"items":[${parts.join(',')}],"next":${JSON.stringify(cursor)}}`, { headers: { 'Content-Type': 'application/json', ...headers } })
}
