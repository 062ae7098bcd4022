// The route of usage: ranges, formats, and what a spreadsheet makes of hostile names.

import { describe, expect, test } from 'bun:test'
import { usageRoutes } from '../../../../agent/http/routes/usage.ts'
import type { UsageRow } from '../../../../protocol/images/usage.ts'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'

const ROW: UsageRow = {
  month: '2026-11',
  imageId: 'img_a',
  name: 'web',
  kind: 'disk',
  owner: null,
  from: '2026-11-01T00:00:00.000Z',
  to: '2026-11-01T01:00:00.000Z',
  length: 5,
  storedSize: null,
  gbHours: '0.000000',
  storedGbHours: '0.000000',
  cost: '0.100000',
}

/** An application whose reports have these rows and note what they are asked for. */
async function openApp(rows: readonly UsageRow[] = [ROW]) {
  const asked: unknown[] = []
  let ended = 0
  let read = 0
  const total = { gbHours: '0.000000', storedGbHours: '0.000000', cost: null, byteMilliseconds: '0' }
  const memory = await createMemoryApp({
    routes: usageRoutes({
      clock: { nowMs: () => Date.parse('2026-11-21T12:00:00Z') },
      reports: {
        async report(range, page) {
          asked.push({ ...range, ...page })
          const times = { from: ROW.from, to: ROW.to, asOf: ROW.to }
          return { ...times, pricePerGbMonth: null, total, months: [], damagedRecords: 0, items: [...rows], next: null }
        },
        async *rows(range) {
          asked.push(range)
          try {
            for (const row of rows) {
              read++
              yield row
            }
          } finally {
            // A report that is closed ends a moment later.
            await Promise.resolve()
            ended++
          }
        },
      },
    }),
  })
  const ask = (query: string, headers: Record<string, string> = {}) => memory.ask(`/v1/usage${query}`, { role: 'operator', headers })
  return { ask, memory, asked, ended: () => ended, read: () => read, [Symbol.asyncDispose]: () => memory[Symbol.asyncDispose]() }
}

describe('the range', () => {
  test('is the current month by default; a date is the start of that day in UTC; times may have an offset', async () => {
    await using app = await openApp()
    expect((await app.ask('')).status).toBe(200)
    await app.ask('?from=2026-10-01&to=2026-11-01&owner=ann&limit=7&cursor=x')
    await app.ask('?from=2026-10-25T02:30:00%2B02:00&to=2026-10-25T02:30:00%2B01:00&owner=')
    expect(app.asked).toEqual([
      { fromMs: Date.UTC(2026, 10, 1), toMs: Date.UTC(2026, 10, 21, 12), owner: undefined, isOwn: false, limit: 100, cursor: undefined },
      { fromMs: Date.UTC(2026, 9, 1), toMs: Date.UTC(2026, 10, 1), owner: 'ann', isOwn: false, limit: 7, cursor: 'x' },
      { fromMs: Date.UTC(2026, 9, 25, 0, 30), toMs: Date.UTC(2026, 9, 25, 1, 30), owner: null, isOwn: false, limit: 100, cursor: undefined },
    ])
  })

  test.each([
    ['?from=2026-11-22', 'The range is empty: from must be before to.'],
    ['?from=2026-11-01&to=2026-11-01', 'The range is empty: from must be before to.'],
    ['?from=2024-11-30&to=2026-11-01T00:00:00.001Z', 'The range covers 25 calendar months; the limit is 24.'],
    ['?from=yesterday', 'from'],
    ['?formats=csv', 'did you mean \\"format\\"?'],
  ])('%s is refused', async (query, reason) => {
    await using app = await openApp()
    const answer = await app.ask(query)
    expect(answer.status).toBe(400)
    expect(JSON.stringify(await answer.json())).toContain(reason)
    expect(app.asked).toEqual([])
  })

  test('may cover 24 calendar months', async () => {
    await using app = await openApp()
    expect((await app.ask('?from=2024-11-30&to=2026-11-01')).status).toBe(200)
  })
})

describe('CSV', () => {
  test('is sent for format=csv, and for an Accept that names it first', async () => {
    await using app = await openApp()
    const answer = await app.ask('?from=2026-11-01&to=2026-12-01&format=csv')
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    expect(answer.headers.get('content-disposition')).toContain('filename="usage-2026-11-01-2026-12-01.csv"')
    expect(await answer.text()).toBe(
      'month,imageId,name,kind,owner,from,to,length,storedSize,gbHours,storedGbHours,cost\r\n' +
        '2026-11,img_a,web,disk,,2026-11-01T00:00:00.000Z,2026-11-01T01:00:00.000Z,5,,0.000000,0.000000,0.100000\r\n',
    )
    const typeFor = async (accept: string) => (await app.ask('', { accept })).headers.get('content-type')
    expect(await typeFor('text/csv')).toStartWith('text/csv')
    expect(await typeFor('Text/CSV;q=0.9, application/json')).toStartWith('text/csv')
    expect(await typeFor('application/json, text/csv')).toStartWith('application/json')
    expect(await typeFor('*/*')).toStartWith('application/json')
    expect((await app.ask('?format=json', { accept: 'text/csv' })).headers.get('content-type')).toStartWith('application/json')
  })

  test.each([
    ['=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@x', "'@x"],
    ['a,b', '"a,b"'],
    ['a\nb', '"a\nb"'],
    ['\tx', "'\tx"],
    ['a=b', 'a=b'],
  ])('the name %j is written as %j', async (name, written) => {
    await using app = await openApp([{ ...ROW, name }])
    expect(await (await app.ask('?format=csv')).text()).toContain(`\r\n2026-11,img_a,${written},disk,`)
  })

  test('has all rows, and ends its report when the reader leaves', async () => {
    await using app = await openApp(Array.from({ length: 1000 }, () => ROW))
    const text = await (await app.ask('?format=csv')).text()
    expect(text.trim().split('\r\n')).toHaveLength(1001)
    expect(app.ended()).toBe(1)
    const { body } = await app.ask('?format=csv')
    const reader = body?.getReader()
    await reader?.read()
    await reader?.cancel()
    expect(app.ended()).toBe(2)
  })

  test('is read 200 rows at a time, and at most twice as far as its reader is', async () => {
    await using app = await openApp(Array.from({ length: 1000 }, () => ROW))
    const { body } = await app.ask('?format=csv')
    const reader = body?.getReader()
    await Bun.sleep(0)
    expect(app.read()).toBe(400)
    const first = new TextDecoder().decode((await reader?.read())?.value)
    expect(first.split('\r\n')).toHaveLength(202)
    await Bun.sleep(0)
    expect(app.read()).toBe(600)
    const second = new TextDecoder().decode((await reader?.read())?.value)
    expect(second.split('\r\n')).toHaveLength(201)
    await reader?.cancel()
  })

  test('ends with its last row, also when that fills a piece', async () => {
    await using app = await openApp(Array.from({ length: 200 }, () => ROW))
    const text = await (await app.ask('?format=csv')).text()
    expect(text.split('\r\n')).toHaveLength(202)
    expect(app.ended()).toBe(1)
  })
})
