// Reads a list of an agent that is a few pages long at most.

/** Longest page that agents answer with. */
const PAGE = 1000
/** Pages of one list that are read, in case an agent returns pages without end. */
const PAGES_MAX = 10

interface PageOf<Item> {
  readonly items: readonly Item[]
  readonly next: string | null
}

/** Returns the items of all pages, in the order of the agent. */
export async function allPages<Item>(list: (query: { readonly limit: number; readonly cursor: string | undefined }) => Promise<PageOf<Item>>): Promise<Item[]> {
  const found: Item[] = []
  let cursor: string | undefined
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const { items, next } = await list({ limit: PAGE, cursor })
    found.push(...items)
    if (next === null) break
    cursor = next
  }
  return found
}
