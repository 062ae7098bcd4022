// Lists: `{ items, next }`, asked for with `?limit=&cursor=`.

import { z } from 'zod'

export const PAGE_LIMIT_DEFAULT = 100
export const PAGE_LIMIT_MAX = 1000

/** Query of every list. `cursor` is opaque: the `next` of the page before. */
export const pageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT_MAX).default(PAGE_LIMIT_DEFAULT),
  cursor: z.string().max(512).optional(),
})

export type PageQuery = z.infer<typeof pageQuerySchema>

/** Schema of one page; `next` is null on the last one. */
export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().nullable() })
}

export interface Page<Item> {
  readonly items: Item[]
  readonly next: string | null
}
