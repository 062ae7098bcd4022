// The event log over a real database.

import { describe, expect, test } from 'bun:test'
import { createEventLog } from '../../../agent/tasks/events.ts'
import { openAgentDatabase } from '../../../agent/tasks/database.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const event = (subject: string, type = 'image.available', severity: 'info' | 'warning' = 'info') => ({ type, severity, subject, message: `about ${subject}` })

describe('events', () => {
  test('are numbered without gaps, also after a restart', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    for (const round of [1, 2]) {
      using database = openAgentDatabase(folder.file('agent.db'))
      const events = createEventLog({ database, clock, log: createMemoryLog() })
      events.emit(event(`a${round}`))
      events.emit({ ...event(`b${round}`), actor: 'ann', details: { bytes: 5 } })
    }
    using database = openAgentDatabase(folder.file('agent.db'))
    const events = createEventLog({ database, clock, log: createMemoryLog() })
    expect(events.latestId()).toBe('4')
    expect(events.after('1', { limit: 10 }).map((found) => [found.id, found.subject])).toEqual([
      ['2', 'b1'],
      ['3', 'a2'],
      ['4', 'b2'],
    ])
    expect(events.list({ limit: 1 }).items[0]).toEqual({
      id: '4',
      time: '2026-01-01T00:00:00.000Z',
      type: 'image.available',
      severity: 'info',
      subject: 'b2',
      message: 'about b2',
      actor: 'ann',
      details: { bytes: 5 },
    })
  })

  test('are listed newest first, in pages, by type and severity', async () => {
    await using folder = await createTemporaryFolder()
    using database = openAgentDatabase(folder.file('agent.db'))
    const events = createEventLog({ database, clock: createManualClock(), log: createMemoryLog() })
    for (let i = 1; i <= 6; i++) events.emit(event(String(i), i % 2 ? 'image.available' : 'gc.ended', i > 4 ? 'warning' : 'info'))
    const first = events.list({ limit: 4 })
    expect(first.items.map(({ subject }) => subject)).toEqual(['6', '5', '4', '3'])
    expect(events.list({ limit: 4, cursor: first.next ?? '' })).toMatchObject({ items: [{ subject: '2' }, { subject: '1' }], next: null })
    expect(events.list({ limit: 4, type: 'gc.ended' }).items).toHaveLength(3)
    expect(events.list({ limit: 4, severity: 'warning', type: 'gc.ended' }).items).toMatchObject([{ subject: '6' }])
    expect(() => events.after('x', { limit: 1 })).toThrow('since')
  })

  test('are bounded: the oldest are removed', async () => {
    await using folder = await createTemporaryFolder()
    using database = openAgentDatabase(folder.file('agent.db'))
    const events = createEventLog({ database, clock: createManualClock(), log: createMemoryLog(), eventsMax: 20 })
    for (let i = 1; i <= 100; i++) events.emit(event(String(i)))
    const kept = events.after('0', { limit: 1000 })
    expect(kept.length).toBeGreaterThanOrEqual(20)
    expect(kept.length).toBeLessThanOrEqual(22)
    expect(kept.at(-1)?.id).toBe('100')
  })

  test('are passed to listeners until these are disposed, and never throw', async () => {
    await using folder = await createTemporaryFolder()
    const database = openAgentDatabase(folder.file('agent.db'))
    const log = createMemoryLog()
    const events = createEventLog({ database, clock: createManualClock(), log })
    let calls = 0
    const listening = events.onEvent(() => calls++)
    events.emit(event('a'))
    listening[Symbol.dispose]()
    events.emit(event('b'))
    expect(calls).toBe(1)
    database[Symbol.dispose]()
    events.emit(event('c'))
    expect(log.lines).toMatchObject([{ level: 'error', message: 'an event could not be saved' }])
  })
})
