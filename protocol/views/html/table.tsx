// Rows of a View as a table with a heading to sort by, a filter and pages. On a phone each row is a card, which the stylesheet makes from the labels of the cells.

/** @jsxImportSource hono/jsx */

import { plural } from '../phrases.ts'
import type { Column, Row, View } from '../view.ts'
import { ChoiceButtons, ChoiceCell, ChoiceHeading } from './choice.tsx'
import type { Html, HtmlOptions, RowAction, RowWindow } from './html.ts'
import { FIND_LENGTH_MAX } from './row-window.ts'
import { Mark, Words } from './words.tsx'

/** Tables with fewer rows have no filter. */
const FILTER_ROWS_MIN = 6

/** The table of a View; nothing when it has no rows. */
export function Table({ view, options }: { readonly view: View; readonly options: HtmlOptions }): Html {
  const window = options.window()
  const { find } = window
  if (window.rows.length === 0 && (find === undefined || window.all === 0)) return <></>
  const menus = window.rows.map((row) => options.rowActions?.(row) ?? [])
  const hasMenus = menus.some((menu) => menu.length > 0)
  return (
    <>
      {find !== undefined && (window.all >= FILTER_ROWS_MIN || find !== '') ? <Filter find={find} window={window} title={view.title} /> : ''}
      <div class="wide" tabindex={0} role="region" aria-label={view.title}>
        <table role="table">
          <caption class="unseen">
            <Words text={view.title} />
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              {options.choice ? <ChoiceHeading /> : ''}
              {view.columns.map((column) => (
                <Heading column={column} window={window} />
              ))}
              {hasMenus ? (
                <th role="columnheader" scope="col">
                  Actions
                </th>
              ) : (
                ''
              )}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {window.rows.map((row, i) => (
              <TableRow columns={view.columns} row={row} options={options} menu={hasMenus ? menus[i] : undefined} />
            ))}
          </tbody>
        </table>
      </div>
      {options.choice ? <ChoiceButtons choice={options.choice} rows={window.rows} /> : ''}
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

interface TableRowParts {
  readonly columns: readonly Column[]
  readonly row: Row
  readonly options: HtmlOptions
  /** What the person can do with the row; undefined in a table without menus. */
  readonly menu: readonly RowAction[] | undefined
}

function TableRow({ columns, row, options, menu }: TableRowParts): Html {
  return (
    <tr role="row" class={row.tone ?? ''}>
      {options.choice ? <ChoiceCell choice={options.choice} row={row} /> : ''}
      {columns.map((column, i) => {
        const text = row.cells[column.key] ?? ''
        const shown = <Words text={text} />
        const content = <Linked href={(i === 0 ? rowHref(row, options) : undefined) ?? options.cellHref(column.label, column.key, text, row)}>{shown}</Linked>
        const mark = i === 0 ? <Mark tone={row.tone} /> : ''
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
      {menu ? (
        <td role="cell" data-label="Actions">
          <RowMenu name={row.cells[columns[0]?.key ?? ''] ?? ''} actions={menu} />
        </td>
      ) : (
        ''
      )}
    </tr>
  )
}

/** The menu of a row: closed, it is one stop of the keyboard. */
function RowMenu({ name, actions }: { readonly name: string; readonly actions: readonly RowAction[] }): Html {
  if (actions.length === 0) return <></>
  return (
    <details class="menu">
      <summary>
        Actions
        <span class="unseen">
          {' '}
          for <Words text={name} />
        </span>
      </summary>
      <ul>
        {actions.map(({ label, href, isDanger }) => (
          <li>
            <a href={href} class={isDanger ? 'danger' : ''}>
              {label}
            </a>
          </li>
        ))}
      </ul>
    </details>
  )
}

/** What the first cell of a row leads to: what the row opens, or the file that it names. */
function rowHref({ opens, file }: Row, options: HtmlOptions): string | undefined {
  const way = opens === undefined ? undefined : options.action({ command: opens, role: 'viewer' })
  if (way?.kind === 'link') return way.href
  return file && options.fileHref?.(file)
}

function Linked({ href, children }: { readonly href: string | undefined; readonly children: Html }): Html {
  return href === undefined ? children : <a href={href}>{children}</a>
}

function Filter({ find, window, title }: { readonly find: string; readonly window: RowWindow; readonly title: string }): Html {
  return (
    <form method="get" class="filter" role="search" aria-label={`Filter ${title}`}>
      {window.kept.map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      <label>
        Filter <input type="search" name="_find" value={find} maxlength={FIND_LENGTH_MAX} />
      </label>{' '}
      <button type="submit">Filter</button>
      {find === '' ? '' : <span> {`${plural(window.found, 'row')} of ${window.all}`}</span>}
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
