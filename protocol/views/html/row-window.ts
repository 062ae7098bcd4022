// The part of a table's rows that a page shows: those with the words of the filter, sorted by a column, a page of them. The address says which, so it can be shared.

import { plainText } from '../phrases.ts'
import type { Column, Row, View } from '../view.ts'
import type { RowWindow } from './html.ts'

/** Rows of one page. */
export const ROWS_PER_PAGE = 50
/** Most pages that are counted; an address beyond shows the last one. */
const PAGES_MAX = 1_000_000
/** Most characters of the filter, as its field takes them: each word is looked for in each row. */
export const FIND_LENGTH_MAX = 200
const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 }

/** Which rows an address asks for. */
export interface WantedRows {
  readonly find: string
  /** The words of `find` in lower case. */
  readonly words: readonly string[]
  /** Key of a column; the table may have none with it. */
  readonly sortedBy: string | undefined
  readonly isDescending: boolean
  /** Rows before the first. */
  readonly offset: number
  readonly limit: number
}

/** Reads which rows an address asks for. */
export function wantedRows(query: URLSearchParams): WantedRows {
  const find = (query.get('_find') ?? '').trim().slice(0, FIND_LENGTH_MAX)
  const page = Math.max(0, Number.parseInt(query.get('_page') ?? '1', 10) - 1 || 0)
  return {
    find,
    words: find.toLowerCase().split(/\s+/).filter(Boolean),
    sortedBy: query.get('_sort') ?? undefined,
    isDescending: query.get('_order') === 'down',
    offset: Math.min(page, PAGES_MAX) * ROWS_PER_PAGE,
    limit: ROWS_PER_PAGE,
  }
}

/** Creates the window of a View's rows by the fields of an address. */
export function rowWindow(view: Pick<View, 'columns' | 'rows' | 'cut'>, path: string, query: URLSearchParams): RowWindow {
  const wanted = wantedRows(query)
  const { find, isDescending } = wanted
  const sortedBy = view.columns.find(({ key }) => key === wanted.sortedBy)?.key
  const { rows, found, all, page } = view.cut
    ? { ...view.cut, rows: view.rows, page: Math.floor(view.cut.offset / ROWS_PER_PAGE) }
    : cutRows(view.rows, wanted, sortedBy)
  const pages = Math.max(1, Math.ceil(found / ROWS_PER_PAGE))
  const href = (changes: Readonly<Record<string, string | undefined>>): string => {
    const next = new URLSearchParams(query)
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) next.delete(name)
      else next.set(name, value)
    }
    return next.size === 0 ? path : `${path}?${next.toString()}`
  }
  return {
    rows,
    found,
    all,
    page,
    pages,
    sortedBy,
    isDescending,
    find,
    sortHref: ({ key }: Column) => href({ _sort: key, _order: sortedBy === key && !isDescending ? 'down' : undefined, _page: undefined }),
    pageHref: (wanted) => href({ _page: wanted === 0 ? undefined : String(wanted + 1) }),
    kept: [...query].filter(([name]) => name !== '_find' && name !== '_page'),
  }
}

/** Returns the page of all rows that is wanted, or the last one. */
function cutRows(all: readonly Row[], { words, isDescending, offset }: WantedRows, sortedBy: string | undefined) {
  const found = words.length === 0 ? all : all.filter((row) => hasWords(row, words))
  const sorted = sortedBy === undefined ? found : found.toSorted((a, b) => compareCells(a.cells[sortedBy] ?? '', b.cells[sortedBy] ?? ''))
  const ordered = sortedBy !== undefined && isDescending ? sorted.toReversed() : sorted
  const page = Math.floor(pageStart(offset, ordered.length) / ROWS_PER_PAGE)
  return { rows: ordered.slice(page * ROWS_PER_PAGE, (page + 1) * ROWS_PER_PAGE), found: found.length, all: all.length, page }
}

/** Where a wanted page begins among rows: the last page, when there are fewer. */
export function pageStart(offset: number, found: number): number {
  return Math.min(offset, Math.max(0, Math.ceil(found / ROWS_PER_PAGE) - 1) * ROWS_PER_PAGE)
}

/** Whether the cells of a row have all words. */
export function hasWords(row: Row, words: readonly string[]): boolean {
  const text = plainText(Object.values(row.cells).join(' ')).toLowerCase()
  return words.every((word) => text.includes(word))
}

/** Compares sizes and numbers by their amount, everything else as text with numbers in it. Cells without a value come last. */
function compareCells(a: string, b: string): number {
  const [left, right] = [amountOf(a), amountOf(b)]
  if (left !== undefined && right !== undefined) return left - right
  return Number(left === undefined) - Number(right === undefined) || a.localeCompare(b, 'en', { numeric: true })
}

/** The amount of `12.3 GB`, `31 %` or `7`; undefined for other texts, such as names and times. */
function amountOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(?:\s*(%|[KMGTP]?i?B))?(?:$|[\s,(])/i.exec(text)
  if (!match) return undefined
  return Number(match[1]) * (UNITS[(match[2] ?? '').toUpperCase()] ?? 1)
}
