// Tables of the page, from literal rows to markup: links, menus, marks, the filter and the pages.

import { describe, expect, test } from 'bun:test'
import type { HtmlOptions, RowAction, RowWindow } from '../../../../protocol/views/html/html.ts'
import { rowWindow, wantedRows } from '../../../../protocol/views/html/row-window.ts'
import { Table } from '../../../../protocol/views/html/table.tsx'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Column, Row, View } from '../../../../protocol/views/view.ts'

const COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'length', label: 'Length', align: 'right' },
]

const viewOf = (rows: readonly Row[], columns = COLUMNS): View => makeView({ title: 'Images', columns, rows, asOfMs: 0, json: null })

/** The markup of a table, with options in place of those that link nowhere. */
function render(view: View, options: Partial<HtmlOptions> = {}, query = ''): string {
  const all: HtmlOptions = {
    nowMs: 0,
    level: 1,
    token: 't',
    makeOnce: () => 'once',
    window: () => rowWindow(view, '/images', new URLSearchParams(query)),
    cellHref: () => undefined,
    action: () => undefined,
    post: () => undefined,
    ...options,
  }
  const markup: { toString(): string } = Table({ view, options: all })
  return markup.toString()
}

const rowsOf = (count: number): Row[] => Array.from({ length: count }, (_, i) => ({ cells: { name: `image-${i}`, length: `${i} kB` } }))

describe('a table', () => {
  test('without rows is nothing', () => {
    expect(render(viewOf([]))).toBe('')
  })

  test('whose filter finds nothing still has its filter', () => {
    const html = render(viewOf(rowsOf(6)), {}, '_find=none')
    expect(html).toContain('value="none"')
    expect(html).toContain('0 rows of 6')
  })

  test('has no filter where its window has none, and is nothing without rows', () => {
    const shown = (rows: number, members: Partial<RowWindow>): string => {
      const view = viewOf(rowsOf(rows))
      return render(view, { window: () => ({ ...rowWindow(view, '/', new URLSearchParams()), ...members }) })
    }
    expect(shown(7, {})).toContain('type="search"')
    expect(shown(7, { find: undefined })).toContain('image-1')
    expect(shown(7, { find: undefined })).not.toContain('type="search"')
    expect(shown(0, { find: undefined, all: 7 })).toBe('')
  })

  test('escapes names, and labels every cell for a phone', () => {
    const html = render(viewOf([{ cells: { name: '<b>&', length: '1 kB' } }]))
    // It scrolls sideways, also with the keyboard alone.
    expect(html).toContain('<div class="wide" tabindex="0" role="region"')
    expect(html).toContain('&lt;b&gt;&amp;')
    expect(html).not.toContain('<b>')
    expect(html).toMatch(/<th role="rowheader" scope="row" data-label="Name" class="whole">/)
    expect(html).toMatch(/<td role="cell" data-label="Length" class="right">/)
  })

  test('says the tone of a row in words, once, in its first cell', () => {
    const html = render(viewOf([{ tone: 'bad', cells: { name: 'a', length: '1 kB' } }]))
    expect(html).toContain('<tr role="row" class="bad">')
    const [first = '', second = ''] = [/<th role="rowheader".*?<\/th>/s.exec(html)?.[0], /<td.*?<\/td>/s.exec(html)?.[0]]
    expect(first).toContain('<span class="glyph bad" aria-hidden="true">✖</span> <span class="unseen">Problem: </span>a')
    expect(second).not.toContain('glyph')
  })
})

describe('a cell', () => {
  const cellHref: HtmlOptions['cellHref'] = (label, key, text) => (key === 'length' ? `/length/${label}/${text}` : `/cell/${text}`)

  test('leads to what it names', () => {
    const html = render(viewOf([{ cells: { name: 'a', length: '1' } }]), { cellHref })
    expect(html).toContain('<a href="/cell/a">a</a>')
    expect(html).toContain('<a href="/length/Length/1">1</a>')
  })

  test('that comes first leads to what its row opens, where the person may see that', () => {
    const view = viewOf([{ opens: 'store browse s path=a', cells: { name: 'a', length: '1' } }])
    const asked: unknown[] = []
    const html = render(view, {
      cellHref,
      action(action) {
        asked.push(action)
        return { kind: 'link', href: '/c/store/browse/s?path=a' }
      },
    })
    expect(asked).toEqual([{ command: 'store browse s path=a', role: 'viewer' }])
    expect(html).toContain('<a href="/c/store/browse/s?path=a">a</a>')
    expect(html).toContain('<a href="/length/Length/1">1</a>')
    expect(render(view, { cellHref })).toContain('<a href="/cell/a">a</a>')
    // A form is nothing that a link can do.
    expect(render(view, { cellHref, action: () => ({ kind: 'post', target: { path: '/x', fields: [] } }) })).toContain('<a href="/cell/a">a</a>')
  })

  test('that comes first leads to the file of its row, for those who may download it', () => {
    const view = viewOf([{ file: { store: 's', path: 'p' }, cells: { name: 'a', length: '1' } }])
    expect(render(view, { cellHref, fileHref: ({ store, path }) => `/file/${store}/${path}` })).toContain('<a href="/file/s/p">a</a>')
    expect(render(view, { cellHref, fileHref: () => undefined })).toContain('<a href="/cell/a">a</a>')
    expect(render(view, { cellHref })).toContain('<a href="/cell/a">a</a>')
  })
})

describe('the menu of a row', () => {
  const actions: readonly RowAction[] = [
    { label: 'Protect', href: '/protect', isDanger: false },
    { label: 'Delete', href: '/delete', isDanger: true },
  ]

  test('names the row and marks what is dangerous', () => {
    const html = render(viewOf(rowsOf(1)), { rowActions: () => actions })
    expect(html).toContain('for image-0')
    expect(html).toContain('<a href="/protect" class="">Protect</a>')
    expect(html).toContain('<a href="/delete" class="danger">Delete</a>')
  })

  test('is not there for a row without actions, whose cell stays', () => {
    const html = render(viewOf(rowsOf(2)), { rowActions: ({ cells }) => (cells['name'] === 'image-0' ? actions : []) })
    expect(html.match(/<details/g)).toHaveLength(1)
    expect(html.match(/data-label="Actions"/g)).toHaveLength(2)
    expect(html.match(/columnheader/g)).toHaveLength(3)
  })

  test('has a column where one row has one action', () => {
    const html = render(viewOf(rowsOf(2)), { rowActions: ({ cells }) => (cells['name'] === 'image-1' ? actions.slice(0, 1) : []) })
    expect(html.match(/columnheader/g)).toHaveLength(3)
    expect(html).toContain('for image-1')
  })

  test('has no column where no row has actions', () => {
    const html = render(viewOf(rowsOf(2)), { rowActions: () => [] })
    expect(html.match(/columnheader/g)).toHaveLength(2)
    expect(html).not.toContain('Actions')
  })
})

describe('the filter', () => {
  test('is there from six rows on, and while it filters', () => {
    const hasFilter = (count: number, query = ''): boolean => render(viewOf(rowsOf(count)), {}, query).includes('role="search"')
    expect([hasFilter(5), hasFilter(6), hasFilter(5, '_find=image')]).toEqual([false, true, true])
  })

  test('keeps the other fields of the address, and counts what it leaves', () => {
    const html = render(viewOf(rowsOf(12)), {}, 'zone=z&_sort=name&_page=2&_find=IMAGE-1')
    expect(html).toContain('<input type="hidden" name="zone" value="z"/>')
    expect(html).toContain('<input type="hidden" name="_sort" value="name"/>')
    expect(html).not.toContain('name="_page"')
    expect(html).toContain('3 rows of 12')
    expect(render(viewOf(rowsOf(12)))).not.toContain('rows of')
  })

  test('takes 200 characters', () => {
    const long = 'x'.repeat(200)
    const found = (text: string): number => rowWindow(viewOf([{ cells: { name: long } }]), '/', new URLSearchParams({ _find: text })).found
    expect([found(long), found(`${long}y`), found(`y${long}`)]).toEqual([1, 1, 0])
    expect(render(viewOf(rowsOf(6)))).toContain('maxlength="200"')
  })
})

describe('the pages', () => {
  test('are shown from the 51st row on', () => {
    expect(render(viewOf(rowsOf(50)))).not.toContain('class="pager"')
    const first = render(viewOf(rowsOf(51)))
    expect(first).toContain('Page 1 of 2, 51 rows')
    expect(first).not.toContain('Previous')
    expect(first).toContain('<a href="/images?_page=2">Next</a>')
    const last = render(viewOf(rowsOf(51)), {}, '_page=2')
    expect(last).toContain('<a href="/images">Previous</a>')
    expect(last).not.toContain('>Next<')
    expect(last.match(/role="rowheader"/g)).toHaveLength(1)
  })

  test('in the middle lead both ways, and have 50 rows', () => {
    const html = render(viewOf(rowsOf(150)), {}, '_page=2')
    expect(html.match(/role="rowheader"/g)).toHaveLength(50)
    expect(html).toContain('<a href="/images">Previous</a>')
    expect(html).toContain('<a href="/images?_page=3">Next</a>')
  })

  test.each([
    ['_page=9', 2],
    ['_page=0', 1],
    ['_page=-3', 1],
    ['_page=x', 1],
    ['_page=1e9', 1],
    ['_page=99999999999999999999', 2],
  ])('of the address %s is page %i', (query, page) => {
    expect(render(viewOf(rowsOf(51)), {}, query)).toContain(`Page ${page} of 2`)
  })
})

test.each([
  ['_page=10', 450],
  ['_page=1000001', 50_000_000],
  ['_page=1000002', 50_000_000],
  ['_page=1e30', 0],
])('the address %s asks for the rows from %i on', (query, offset) => {
  expect(wantedRows(new URLSearchParams(query))).toMatchObject({ offset, limit: 50 })
})

test('an address beyond the only page shows this page', () => {
  expect(render(viewOf(rowsOf(3)), {}, '_page=2')).toContain('image-0')
})

describe('the order', () => {
  const lengths = (query: string): string[] => {
    const rows = ['9 kB', '1.5 MB', '–', '20 B', '1 GiB', '80 %'].map((length, i) => ({ cells: { name: `n${i}`, length } }))
    return rowWindow(viewOf(rows), '/', new URLSearchParams(query)).rows.map(({ cells }) => cells['length'] ?? '')
  }

  test('is by amount, and what has none comes last', () => {
    expect(lengths('_sort=length')).toEqual(['20 B', '80 %', '9 kB', '1.5 MB', '1 GiB', '–'])
    expect(lengths('_sort=length&_order=down')).toEqual(['–', '1 GiB', '1.5 MB', '9 kB', '80 %', '20 B'])
    expect(lengths('_sort=none')).toEqual(['9 kB', '1.5 MB', '–', '20 B', '1 GiB', '80 %'])
  })

  test.each([
    ['1 B', '1.5'],
    ['1 kB', '1000.5 B'],
    ['1 MB', '1000000.5 B'],
    ['1 GB', '1000000000.5 B'],
    ['1 TB', '1000000000000.5 B'],
    ['1 PB', '1000000000000000.5 B'],
    ['1 KiB', '1024.5 B'],
    ['1 MiB', '1048576.5 B'],
    ['1 GiB', '1073741824.5 B'],
    ['1 TiB', '1099511627776.5 B'],
    ['1 kB, half', '1 MB (all)'],
  ])('has %s before %s', (less, more) => {
    const rows = [more, less].map((name) => ({ cells: { name } }))
    expect(rowWindow(viewOf(rows), '/', new URLSearchParams('_sort=name')).rows.map(({ cells }) => cells['name'])).toEqual([less, more])
  })

  test('of names has their numbers in mind', () => {
    const rows = ['vm-10', 'vm-9', 'VM-1'].map((name) => ({ cells: { name } }))
    expect(rowWindow(viewOf(rows), '/', new URLSearchParams('_sort=name')).rows.map(({ cells }) => cells['name'])).toEqual(['VM-1', 'vm-9', 'vm-10'])
  })

  test('is shown in the heading, whose link turns it round and begins at the first page', () => {
    const plain = render(viewOf(rowsOf(51)), {}, '_page=2')
    expect(plain).toContain('<th role="columnheader" scope="col" class="" aria-sort="none"><a href="/images?_sort=name">Name</a></th>')
    const up = render(viewOf(rowsOf(51)), {}, '_sort=name')
    expect(up).toContain('aria-sort="ascending"><a href="/images?_sort=name&amp;_order=down">Name<span aria-hidden="true"> ↑</span></a>')
    const down = render(viewOf(rowsOf(51)), {}, '_sort=name&_order=down')
    expect(down).toContain('aria-sort="descending"><a href="/images?_sort=name">Name<span aria-hidden="true"> ↓</span></a>')
  })
})
