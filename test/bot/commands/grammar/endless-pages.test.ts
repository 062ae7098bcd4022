// Lists of agents that return pages without end: a command reads a bounded number of them, and ends in bounded time.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const TOKEN = { role: 'viewer', createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null, lastUsedAt: null, subject: null, groups: [], grant: null }
const GROUP = { name: 'g', visible: true, description: '', images: 0, createdAt: '2026-01-01T00:00:00.000Z' }

/** A bot whose only agent answers every list with these items and another page; each request takes this long. */
function openEndless(items: readonly unknown[], requestMs: number) {
  let nowMs = systemClock.nowMs()
  let requests = 0
  const bot = openBot('', {
    clock: { ...systemClock, nowMs: () => nowMs },
    database: openMemoryDatabase(),
    async fetch(url) {
      nowMs += requestMs
      requests++
      return Response.json(
        url.endsWith('/v1/health') ? { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' } : { items, next: `page ${requests}` },
      )
    },
  })
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const run = (line: string) => runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), line)
  return { run, requests: () => requests, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('an agent whose pages never end', () => {
  test('gets ten requests for tokens', async () => {
    using it = openEndless([{ id: 'tok_00000000000000000000000001', name: 'a', ...TOKEN }], 0)
    const view = await it.run('token list')
    expect([view.rows.length, it.requests()]).toEqual([10, 10])
    expect((await it.run('token revoke b')).text).toBe('No token "b".')
    expect(it.requests()).toBe(20)
  })

  test('gets five requests for events', async () => {
    const event = { severity: 'info', time: '2025-12-31T00:00:00.000Z', type: 'store.changed', subject: 's', message: 'm', actor: 'a', details: {} }
    using it = openEndless([{ id: '7', ...event }], 0)
    const view = await it.run('event list')
    expect([view.rows.length, it.requests()]).toEqual([5, 5])
    expect(view.notes).toEqual(['Only the newest 1000 events of edge-a were read.'])
  })

  test('has 1,000 media groups', async () => {
    using it = openEndless(
      Array.from({ length: 400 }, () => GROUP),
      0,
    )
    const view = await it.run('media-group list')
    expect([view.rows.length, it.requests()]).toEqual([1000, 3])
    expect(view.notes).toEqual(['Only the first 1000 media groups of edge-a are shown.'])
  })

  test.each(['media-group delete h', 'export list', 'image list', 'image show debian'])('is Stopped after five minutes of %s', async (line) => {
    using it = openEndless([], 1000)
    const view = await it.run(line)
    const texts = [view.text, ...view.notes].join(' ')
    expect(texts).toContain('edge-a has been Stopped since ')
    if (line === 'media-group delete h') expect(view.text).toEndWith('http://127.0.0.1:1 did not finish its answer within 300 s.')
    expect(it.requests()).toBeGreaterThanOrEqual(300)
    // `image show` looks into the recycle bin as well.
    expect(it.requests()).toBeLessThan(620)
  })
})
