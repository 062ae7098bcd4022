// A window of the catalogue: one page of the images of many stores, with their number and sums, cut by SQLite, so that a list of 100,000 images costs what it shows.
// Only stores whose rows are what their agents announced last belong to it. Each query searches the primary key by store; sums need all rows of a store anyway, so no
// index by name or length would save anything but its own upkeep.

import { imageFormatSchema, imageKindSchema, imageStatusSchema } from '../../../protocol/images/image.ts'
import type { BotDatabase } from '../../system/database.ts'
import { STATE_AGE_MAX_MS } from '../states.ts'
import { heldFromRow } from './held-image.ts'
import type { HeldImage, HeldRow } from './held-image.ts'

/** A store whose images in the catalogue are what its agent announced last. */
export interface CurrentStore {
  readonly key: number
  readonly name: string
  /** When the agent announced it, in milliseconds since 1970. */
  readonly asOfMs: number
}

/** Columns by which a window is ordered, and the value of each; one that is missing comes after all others. */
export const WINDOW_ORDERS = {
  name: 'lower(i.name)',
  store: 'lower(s.store)',
  status: 'i.status',
  kind: 'i.kind',
  format: `coalesce(i.format, char(1114111))`,
  length: 'i.length',
  stored: 'coalesce(i.stored_size, 9007199254740991)',
  owner: 'coalesce(lower(i.owner), char(1114111))',
  created: 'i.created_at',
  deleted: 'coalesce(i.deleted_at, char(1114111))',
  expires: 'coalesce(i.expires_at, char(1114111))',
  id: 'i.id',
} as const
export type WindowOrder = keyof typeof WINDOW_ORDERS

/** Which images a window has. Without `status`, all but those in the recycle bin. */
export interface WindowFilter {
  /** Keys of stores. */
  readonly keys: readonly number[]
  /** Keys of those of which images that not everybody sees are included. */
  readonly wholeKeys: readonly number[]
  readonly status?: string | undefined
  readonly owner?: string | undefined
  readonly name?: string | undefined
  readonly kind?: string | undefined
  readonly format?: string | undefined
}

export interface WindowPage {
  /** ASCII texts in lower case that each image has in its cells, lengths aside. */
  readonly words: readonly string[]
  readonly order: WindowOrder
  readonly isDescending: boolean
  readonly offset: number
  readonly limit: number
}

/** An image of a window with the name of its store and the value by which it is ordered. */
export interface WindowImage {
  readonly store: string
  readonly image: HeldImage
  readonly value: string | number
}

export interface WindowTotals {
  readonly images: number
  readonly length: number
  readonly stored: number
  /** Images that have all words. */
  readonly found: number
}

export interface CatalogueWindows {
  /** Returns the stores whose rows are what their agents announced, without those in error. `sinceMs` is when the service was started. */
  current(sinceMs: number, nowMs: number): CurrentStore[]
  /** Counts images, sums their lengths, and counts those that have all words, in one scan. */
  totals(filter: WindowFilter, words: readonly string[]): WindowTotals
  /** Returns images that have all words, in an order. */
  page(filter: WindowFilter, page: WindowPage): WindowImage[]
}

type Named = Record<string, string | number | null>

const FROM = `catalogue_stores AS s CROSS JOIN catalogue_images AS i ON i.store = s.key`
const SHELF = `s.key IN (SELECT value FROM json_each($keys)) AND (i.is_open = 1 OR s.key IN (SELECT value FROM json_each($wholeKeys)))
  AND CASE WHEN $status IS NULL THEN i.status <> 'deleted' ELSE i.status = $status END
  AND ($owner IS NULL OR i.owner = $owner) AND ($name IS NULL OR i.name = $name) AND ($kind IS NULL OR i.kind = $kind) AND ($format IS NULL OR i.format = $format)`

/** Creates the windows on the bot's database. */
export function createCatalogueWindows(database: BotDatabase): CatalogueWindows {
  // Images without content count for the agent and are not in the catalogue; why a file is unavailable is not in it either.
  const current = database.query<{ key: number; name: string; as_of_ms: number }, Named>(
    `SELECT c.key, r.name, f.as_of_ms FROM catalogue_stores AS c JOIN stores AS r ON r.name = c.store JOIN fleet_states AS f ON f.store = c.store
     WHERE f.kind = 'answered' AND f.state <> 'error' AND r.store_id = c.store_id AND c.as_of_ms IS NOT NULL AND c.beyond = 0
       AND f.as_of_ms >= $sinceMs AND abs($nowMs - f.as_of_ms) <= ${STATE_AGE_MAX_MS}
       AND f.document ->> '$.store.id' = c.store_id
       AND f.document ->> '$.store.imagesFingerprint' = printf('%d-%08x%08x', c.images, c.high, c.low)
       AND f.document ->> '$.health.state' <> 'error'
       AND f.document ->> '$.store.images.available' + f.document ->> '$.store.images.deleted' + f.document ->> '$.store.images.other' = c.images
       AND (f.document ->> '$.store.images.other' = 0
         OR NOT EXISTS (SELECT 1 FROM catalogue_images AS i WHERE i.store = c.key AND i.status = 'fileUnavailable'))`,
  )
  const named = ({ keys, wholeKeys, status, owner, name, kind, format }: WindowFilter): Named => ({
    keys: JSON.stringify(keys),
    wholeKeys: JSON.stringify(wholeKeys),
    ...{ status: status ?? null, owner: owner ?? null, name: name ?? null, kind: kind ?? null, format: format ?? null },
  })
  return {
    current: (sinceMs, nowMs) => current.all({ sinceMs, nowMs }).map(({ key, name, as_of_ms: asOfMs }) => ({ key, name, asOfMs })),
    totals(filter, words) {
      using query = database.prepare<WindowTotals, Named>(
        `SELECT count(*) AS images, coalesce(sum(i.length), 0) AS length, coalesce(sum(i.stored_size), 0) AS stored,
           count(*) FILTER (WHERE TRUE${wordsSql(words)}) AS found FROM ${FROM} WHERE ${SHELF}`,
      )
      return query.get({ ...named(filter), ...valuesOf(words) }) ?? { images: 0, length: 0, stored: 0, found: 0 }
    },
    page(filter, { words, order, isDescending, offset, limit }) {
      using query = database.prepare<HeldRow & { at: string; value: string | number }, Named>(pageSql(words, order, isDescending))
      const rows = query.all({ ...named(filter), ...valuesOf(words), limit, offset })
      return rows.map((row) => ({ store: row.at, image: heldFromRow(row), value: row.value }))
    },
  }
}

/** The query of a page of images that have all words. */
export function pageSql(words: readonly string[], order: WindowOrder, isDescending: boolean): string {
  const way = isDescending ? 'DESC' : 'ASC'
  return `SELECT i.*, s.store AS at, ${WINDOW_ORDERS[order]} AS value FROM ${FROM} WHERE ${SHELF}${wordsSql(words)}
    ORDER BY value ${way}, i.id ${way}, s.store ${way} LIMIT $limit OFFSET $offset`
}

/** Texts that ids begin with or consist of, in lower case. */
const ID_PART = /^(?:i?m?g?_)?[0-9a-hjkmnp-tv-z]*$|^im?g?$/
/** Parts of a time, beside `UTC`. */
const TIME_PART = /^[\d:-]+$/

function wordsSql(words: readonly string[]): string {
  return words
    .map(
      (word, i) =>
        ` AND (${cellsWith(word)
          .map((cell) => cell.replace('$word', () => `$word${i}`))
          .join(' OR ')})`,
    )
    .join('')
}

/** Conditions of which an image with the word in its cells meets one. A word has no space, so it is within one cell; cells that cannot have it are not looked at. */
function cellsWith(word: string): string[] {
  // Each image has the time of its creation.
  if ('utc'.includes(word)) return ['TRUE']
  const isIn = (text: string): string => `instr(${text}, $word) > 0`
  const oneOf = (column: string, values: readonly string[]): string[] => {
    const having = values.filter((value) => value.toLowerCase().includes(word))
    return having.length === 0 ? [] : [`i.${column} IN (${having.map((value) => `'${value}'`).join(', ')})`]
  }
  return [
    isIn('lower(i.name)'),
    isIn('lower(s.store)'),
    isIn('lower(i.owner)'),
    ...(ID_PART.test(word) ? [isIn('lower(i.id)')] : []),
    ...oneOf('status', imageStatusSchema.options),
    ...oneOf('kind', imageKindSchema.options),
    ...oneOf('format', imageFormatSchema.options),
    ...(TIME_PART.test(word) ? ['created_at', 'deleted_at', 'expires_at'].map((column) => isIn(`substr(i.${column}, 1, 19)`)) : []),
    ...('never'.includes(word) ? ['i.expires_at IS NULL'] : []),
  ]
}

function valuesOf(words: readonly string[]): Named {
  return Object.fromEntries(words.map((word, i) => [`word${i}`, word]))
}
