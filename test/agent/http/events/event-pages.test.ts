// Pages of events after an id.

import { expect, test } from 'bun:test'
import type { Page } from '../../../../protocol/page.ts'
import type { StoreEvent } from '../../../../protocol/event.ts'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'

test('end with the newest event, and have a cursor only while more follow', async () => {
  await using it = await createMemoryApp()
  for (const subject of ['a', 'b', 'c']) it.events.emit({ type: 'store.changed', severity: 'info', subject, actor: 'x', message: '', details: {} })
  const ask = async (query: string): Promise<[string[], string | null]> => {
    const page = (await (await it.ask(`/v1/events?${query}`, { role: 'viewer' })).json()) as Page<StoreEvent>
    return [page.items.map(({ subject }) => subject), page.next]
  }
  const [, next] = await ask('since=0&limit=2')
  expect(await ask('since=0&limit=2')).toEqual([['a', 'b'], expect.stringMatching(/^\d+$/)])
  expect(await ask(`since=0&limit=2&cursor=${next}`)).toEqual([['c'], null])
  expect(await ask('since=0&limit=3')).toEqual([['a', 'b', 'c'], null])
  expect(await ask('since=0&limit=4')).toEqual([['a', 'b', 'c'], null])
})
