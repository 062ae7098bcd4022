// Rows of a View as a table with a heading to sort by, a filter and pages. On a phone each row is a card, which the stylesheet makes from the labels of the cells.

/** @jsxImportSource hono/jsx */

import { plural } from '../phrases.ts'
import type { Column, Row, View } from '../view.ts'
import type { Html, HtmlOptions, RowWindow } from './html.ts'
import { Mark, Words } from './words.tsx'

/** Tables with fewer rows have no filter. */
const FILTER_ROWS_MIN = 6

/** The table of a View; nothing when it has no rows. */
export function Table({ view, options }: { readonly view: View; readonly options: HtmlOptions }): Html {
  if (view.rows.length === 0) return <></>
  const window = options.window()
  return (
    <>
      {window.all >= FILTER_ROWS_MIN || window.find !== '' ? <Filter window={window} title={view.title} /> : ''}
      <div class="wide" tabindex={0} role="region" aria-label={view.title}>
        <table role="table">
          <caption class="unseen">
            <Words text={view.title} />
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              {view.columns.map((column) => (
                <Heading column={column} window={window} />
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {window.rows.map((row) => (
              <TableRow columns={view.columns} row={row} options={options} />
            ))}
          </tbody>
        </table>
      </div>
      <Pager window={window} title={view.title} />
    </>
  )
}

function Heading({ column, window }: { readonly column: Column; readonly window: RowWindow }): Html {
  const isSorted = window.sortedBy === column.key
  const order = isSorted ? (window.isDescending ? 'descending' : 'ascending') : 'none'
  return (
    <th role="columnheader" scope="col" class={column.align ?? ''} aria-sort={order}>
      <a href={window.sortHref(column)}>
        {column.label}
        {isSorted ? <span aria-hidden="true">{window.isDescending ? ' ↓' : ' ↑'}</span> : ''}
      </a>
    </th>
  )
}

function TableRow({ columns, row, options }: { readonly columns: readonly Column[]; readonly row: Row; readonly options: HtmlOptions }): Html {
  return (
    <tr role="row" class={row.tone ?? ''}>
      {columns.map((column, i) => {
        const text = row.cells[column.key] ?? ''
        const href = options.cellHref(column.label, column.key, text, row)
        const shown = <Words text={text} />
        const content = href === undefined ? shown : <a href={href}>{shown}</a>
        const mark = i === 0 ? <Mark tone={row.tone} isSpoken /> : ''
        const classes = [column.align ?? '', column.isWhole ? 'whole' : ''].join(' ').trim()
        return i === 0 ? (
          <th role="rowheader" scope="row" data-label={column.label} class={classes}>
            {mark}
            {content}
          </th>
        ) : (
          <td role="cell" data-label={column.label} class={classes}>
            {content}
          </td>
        )
      })}
    </tr>
  )
}

function Filter({ window, title }: { readonly window: RowWindow; readonly title: string }): Html {
  return (
    <form method="get" class="filter" role="search" aria-label={`Filter ${title}`}>
      {window.kept.map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      <label>
        Filter <input type="search" name="_find" value={window.find} maxlength={200} />
      </label>{' '}
      <button type="submit">Filter</button>
      {window.find === '' ? '' : <span> {`${plural(window.found, 'row')} of ${window.all}`}</span>}
    </form>
  )
}

function Pager({ window, title }: { readonly window: RowWindow; readonly title: string }): Html {
  const { page, pages } = window
  if (pages < 2) return <></>
  return (
    <nav class="pager" aria-label={`Pages of ${title}`}>
      {page > 0 ? <a href={window.pageHref(page - 1)}>Previous</a> : ''}{' '}
      <span>
        Page {page + 1} of {pages}, {plural(window.found, 'row')}
      </span>{' '}
      {page + 1 < pages ? <a href={window.pageHref(page + 1)}>Next</a> : ''}
    </nav>
  )
}
