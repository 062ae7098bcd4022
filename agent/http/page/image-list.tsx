// The list of images: the agent filters, sorts and pages it, since a store may have a hundred thousand images.

/** @jsxImportSource hono/jsx */

import { z } from 'zod'
import { imageKindSchema, imageSchema, imageStatusSchema, NAME_LENGTH_MAX } from '../../../protocol/images/image.ts'
import { imageCursorSchema, imageOrderSchema, IMAGE_ORDER_DEFAULT } from '../../../protocol/images/image-list.ts'
import { pageSchema } from '../../../protocol/page.ts'
import type { Html, RowWindow } from '../../../protocol/views/html/html.ts'
import { statusWord } from '../../../protocol/views/phrases.ts'
import { ViewSection } from '../../../protocol/views/html/view.tsx'
import type { View } from '../../../protocol/views/view.ts'
import { relativeHref } from './addresses.ts'
import { given, htmlOptions } from './html-options.ts'
import type { OwnRoutes, Reader } from './own-routes.ts'
import { imagesView } from './views.ts'

/** Images of one page. */
export const IMAGES_PER_PAGE = 50
const PATH = '/page/images'

/** Fields of the address. An empty field of the filter is one that was not filled in. */
export const imageListQuery = z.object({
  search: z.string().max(NAME_LENGTH_MAX).optional(),
  status: z.enum(['', ...imageStatusSchema.options]).optional(),
  kind: z.enum(['', ...imageKindSchema.options]).optional(),
  sort: imageOrderSchema.default(IMAGE_ORDER_DEFAULT),
  cursor: imageCursorSchema.optional(),
})

type ImageListQuery = z.infer<typeof imageListQuery>

/** Reads a page of the list and shows it. */
export async function imageList(own: OwnRoutes, reader: Reader, query: ImageListQuery, nowMs: number): Promise<Html> {
  const limit = String(IMAGES_PER_PAGE)
  const { items, next } = await own.read(reader, pageSchema(imageSchema), '/v1/images', { query: { ...query, limit } })
  const view = imagesView(items, nowMs)
  const { cursor, ...first } = query
  return (
    <>
      <Filter query={query} />
      <ViewSection view={view} options={htmlOptions({ path: PATH, nowMs, level: 1, window: () => imageWindow(view, first) })} />
      {cursor === undefined && next === null ? (
        ''
      ) : (
        <nav class="pager" aria-label="Pages of images">
          {cursor === undefined ? '' : <a href={href(first)}>First page</a>} {next === null ? '' : <a href={href({ ...first, cursor: next })}>Next page</a>}
        </nav>
      )}
    </>
  )
}

function Filter({ query }: { readonly query: ImageListQuery }): Html {
  return (
    <form method="get" class="filter" role="search" aria-label="Filter images">
      <label>
        Name or description <input type="search" name="search" value={query.search ?? ''} maxlength={NAME_LENGTH_MAX} />
      </label>{' '}
      <label>
        Status{' '}
        <select name="status">
          <Choice value="" label="any, not deleted" chosen={query.status ?? ''} />
          {imageStatusSchema.options.map((status) => (
            <Choice value={status} label={statusWord(status)} chosen={query.status ?? ''} />
          ))}
        </select>
      </label>{' '}
      <label>
        Kind{' '}
        <select name="kind">
          <Choice value="" label="any" chosen={query.kind ?? ''} />
          {imageKindSchema.options.map((kind) => (
            <Choice value={kind} label={kind} chosen={query.kind ?? ''} />
          ))}
        </select>
      </label>{' '}
      <input type="hidden" name="sort" value={query.sort} />
      <button type="submit">Filter</button>
    </form>
  )
}

function Choice({ value, label, chosen }: { readonly value: string; readonly label: string; readonly chosen: string }): Html {
  return (
    <option value={value} {...(value === chosen ? { selected: true } : {})}>
      {label}
    </option>
  )
}

/** The rows as the agent returned them. Headings sort by the member of the HTTP interface that is their key. */
function imageWindow(view: View, query: Omit<ImageListQuery, 'cursor'>): RowWindow {
  const { rows } = view
  const sortedBy = query.sort.replace('-', '')
  const isDescending = query.sort.startsWith('-')
  return {
    rows,
    found: rows.length,
    all: rows.length,
    // The list has a filter of its own.
    find: undefined,
    page: 0,
    pages: 1,
    sortedBy,
    isDescending,
    sortHref: ({ key }) => href({ ...query, sort: key === sortedBy && !isDescending ? `-${key}` : key }),
    pageHref: () => href(query),
    kept: [],
  }
}

/** The relative address of the list with these fields. */
function href(query: Readonly<Record<string, string | undefined>>): string {
  return `${relativeHref(PATH, PATH)}?${new URLSearchParams(given(query)).toString()}`
}
