// Pages of lists: the query `?limit=&cursor=`, and the answer `{ items, next }`.

import { z } from 'zod'

export const PAGE_LIMIT_DEFAULT = 100
export const PAGE_LIMIT_MAX = 1000

/** Query of every list. `cursor` is the `next` of the previous page, which is opaque to clients. */
export const pageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT_MAX).default(PAGE_LIMIT_DEFAULT),
  cursor: z.string().max(512).optional(),
})

export type PageQuery = z.infer<typeof pageQuerySchema>

/** Returns the schema of a page. `next` is null on the last page. */
export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().nullable() })
}

export interface Page<Item> {
  readonly items: Item[]
  readonly next: string | null
}
