// How the Views of the agent's page are rendered: where their links lead. The page only reads, so it has no buttons.

import type { HtmlOptions, RowWindow } from '../../../protocol/views/html/html.ts'
import { rowWindow } from '../../../protocol/views/html/row-window.ts'
import type { View } from '../../../protocol/views/view.ts'
import { relativeHref } from './addresses.ts'

const IMAGE_ID = /^img_[0-9a-hjkmnp-tv-z]{26}$/

export interface RenderOptions {
  /** Path of the page. */
  readonly path: string
  readonly nowMs: number
  readonly level: HtmlOptions['level']
  readonly window: () => RowWindow
}

/** Returns how a View is rendered. */
export function htmlOptions({ path, nowMs, level, window }: RenderOptions): HtmlOptions {
  return {
    nowMs,
    level,
    window,
    token: '',
    makeOnce: () => '',
    cellHref: (_label, key, text, row) => imageHref(path, IMAGE_ID.test(text) ? text : key === 'name' ? row?.cells['id'] : undefined),
    action: () => undefined,
    post: () => undefined,
  }
}

/** The rows of a list that has its own page: sorted, filtered and paged by the fields of the page's address. */
export function listWindow(view: View, path: string, query: Readonly<Record<string, string | undefined>>): RowWindow {
  return rowWindow(view, relativeHref(path, path), new URLSearchParams(given(query)))
}

/** All rows of a table without a filter. Its headings lead to the page with the whole list. */
export function excerptWindow(view: View, href: string): RowWindow {
  return { ...rowWindow(view, href, new URLSearchParams()), rows: view.rows, pages: 1, find: undefined }
}

/** The members of a query that have a value. */
export function given(query: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value]])))
}

function imageHref(path: string, id: string | undefined): string | undefined {
  return id === undefined ? undefined : relativeHref(path, `/page/images/${id}`)
}
