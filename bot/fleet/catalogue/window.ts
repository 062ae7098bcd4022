// A window of the catalogue: one page of the images of many stores, with their number and sums, cut by SQLite, so that a list of 100,000 images costs what it shows.
// Only stores whose rows are what their agents announced last belong to it. Each query searches the primary key by store: the rows of 100,000 images are read in
// 25 ms, and an index by name would be written with each change of an image.

import { imageFormatSchema, imageKindSchema, imageStatusSchema } from '../../../protocol/images/image.ts'
import type { BotDatabase } from '../../system/database.ts'
import type { Sighting } from '../states.ts'
import { createCurrentStores } from './current.ts'
import type { CurrentStore } from './current.ts'
import { heldFromRow } from './held-image.ts'
import type { HeldImage, HeldRow } from './held-image.ts'
import { createImageSums, NO_SUMS } from './sums.ts'
import type { ImageSums } from './sums.ts'

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

export interface CatalogueWindows {
  /** Returns the stores whose rows are what their agents announced, without those in error. `sinceMs` is when the service was started. */
  current(sightings: ReadonlyMap<string, Sighting>, sinceMs: number): CurrentStore[]
  /** Counts images and sums up their lengths. */
  sums(filter: WindowFilter): ImageSums
  /** Counts images that have all words. */
  count(filter: WindowFilter, words: readonly string[]): number
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
  const current = createCurrentStores(database)
  const allSums = createImageSums(database)
  const named = ({ keys, wholeKeys, status, owner, name, kind, format }: WindowFilter): Named => ({
    keys: JSON.stringify(keys),
    wholeKeys: JSON.stringify(wholeKeys),
    ...{ status: status ?? null, owner: owner ?? null, name: name ?? null, kind: kind ?? null, format: format ?? null },
  })
  return {
    current,
    sums(filter) {
      const { keys, wholeKeys, ...others } = filter
      if (Object.values(others).every((value) => value === undefined)) return allSums(keys, wholeKeys)
      using query = database.prepare<ImageSums, Named>(
        `SELECT count(*) AS images, coalesce(sum(i.length), 0) AS length, coalesce(sum(i.stored_size), 0) AS stored FROM ${FROM} WHERE ${SHELF}`,
      )
      return query.get(named(filter)) ?? NO_SUMS
    },
    count(filter, words) {
      using query = database.prepare<{ found: number }, Named>(`SELECT count(*) AS found FROM ${FROM} WHERE ${SHELF}${wordsSql(words)}`)
      return query.get({ ...named(filter), ...valuesOf(words) })?.found ?? 0
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
  // LIKE folds the case of ASCII letters, in less time than lower() and instr().
  const isIn = (text: string): string => `${text} LIKE $word ESCAPE '\\'`
  const oneOf = (column: string, values: readonly string[]): string[] => {
    const having = values.filter((value) => value.toLowerCase().includes(word))
    return having.length === 0 ? [] : [`i.${column} IN (${having.map((value) => `'${value}'`).join(', ')})`]
  }
  return [
    isIn('i.name'),
    isIn('s.store'),
    isIn('i.owner'),
    ...(ID_PART.test(word) ? [isIn('i.id')] : []),
    ...oneOf('status', imageStatusSchema.options),
    ...oneOf('kind', imageKindSchema.options),
    ...oneOf('format', imageFormatSchema.options),
    ...(TIME_PART.test(word) ? ['created_at', 'deleted_at', 'expires_at'].map((column) => isIn(`substr(i.${column}, 1, 19)`)) : []),
    ...('never'.includes(word) ? ['i.expires_at IS NULL'] : []),
  ]
}

function valuesOf(words: readonly string[]): Named {
  return Object.fromEntries(words.map((word, i) => [`word${i}`, `%${word.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`]))
}
