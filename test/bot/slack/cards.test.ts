// Cards: one message for each write, edited until its tasks have ended, also after a restart of the bot.

import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Task } from '../../../protocol/task.ts'
import { openBot } from '../../../bot/open.ts'
import { CARDS_IN_OUTBOX, OUTBOX_TABLES } from '../../../bot/outbox/tables.ts'
import { createCards } from '../../../bot/slack/cards.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { BotDatabase } from '../../../bot/system/database.ts'
import { tasksView } from '../../../bot/commands/task/task-view.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const TASK: Task = {
  ...{ id: 'tsk_00000000000000000000000001', kind: 'cleanup', state: 'queued', subject: 'edge-a', createdBy: 'admin', endedAt: null },
  ...{ createdAt: '2026-01-01T00:00:00.000Z', progress: { done: 0, total: 100, unit: 'slices', rate: 0, etaSeconds: null } },
}

interface Setting {
  readonly database?: BotDatabase
  /** Answers of the agent to questions about the task, the last one again and again. */
  readonly states?: readonly Task['state'][]
  readonly failsToPut?: boolean
}

function open({ database = openMemoryDatabase(), states = ['running', 'succeeded'], failsToPut = false }: Setting = {}) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const did: string[] = []
  const keys = new Set<string>()
  let asked = 0
  const bot = openBot('', {
    clock,
    database,
    fetch: async () => Response.json({ ...TASK, state: states[Math.min(asked++, states.length - 1)] }),
  })
  if (!bot.fleet.registry.find('edge-a'))
    bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const cards = createCards({
    database,
    log,
    context: bot.context({ name: 'bot', role: 'viewer' }, 'slack'),
    outbox: {
      put({ key, channel, orElse, view }) {
        if (failsToPut && did.length > 0) throw new Error('disk full')
        keys.add(key)
        did.push(`${channel}${orElse === undefined ? '' : ` or ${orElse}`} ${view.title}: ${view.progress.map(({ task }) => task.state).join()}`)
      },
    },
  })
  const kept = () => database.query('SELECT channel, title FROM cards').all()
  return { cards, did, keys, kept, clock, log, database }
}

/** Lets the time pass until a condition holds. */
async function pass(clock: ManualClock, what: string, isThere: () => boolean): Promise<void> {
  await until(what, () => {
    clock.advance(1000)
    return isThere()
  })
}

const BEGUN = tasksView('Cleanup of edge-a', [{ store: 'edge-a', task: TASK }], 0)
const FIRST = 'C1 or U1 Cleanup of edge-a: queued'
const END = 'C1 Cleanup of edge-a: succeeded'

describe('a card', () => {
  test('is put with its start and its end, then forgotten', async () => {
    const it = open()
    it.cards.open('C1', 'U1', BEGUN)
    expect(it.kept()).toEqual([{ channel: 'C1', title: 'Cleanup of edge-a' }])
    await pass(it.clock, 'the end', () => it.kept().length === 0)
    expect(it.did).toEqual([FIRST, END])
    expect(it.keys.size).toBe(1)
    await it.cards[Symbol.asyncDispose]()
    expect(it.log.lines).toEqual([])
  })

  test('is put again for progress, at most every three seconds', async () => {
    const it = open({ states: Array.from({ length: 12 }, (_, n) => (n < 11 ? 'running' : 'succeeded')) })
    it.cards.open('C1', 'U1', BEGUN)
    const seen: [string, number][] = []
    await until('the end', () => {
      it.clock.advance(100)
      if (it.did.length > seen.length) seen.push([it.did[seen.length] ?? '', it.clock.monotonicMs()])
      return it.kept().length === 0
    })
    const progress = seen.filter(([line]) => line === 'C1 Cleanup of edge-a: running').map(([, atMs]) => atMs)
    expect(progress.length).toBeGreaterThan(1)
    for (const [n, atMs] of progress.slice(1).entries()) expect(atMs - (progress[n] ?? 0)).toBeGreaterThanOrEqual(3000)
    expect(it.did.at(-1)).toBe(END)
  })

  test('without a running task is put and not followed', async () => {
    const it = open()
    it.cards.open('C1', 'U1', tasksView('Cleanup of edge-a', [{ store: 'edge-a', task: { ...TASK, state: 'succeeded' } }], 0))
    it.cards.open('C1', 'U1', makeView({ title: 'Done', asOfMs: 0, json: {} }))
    expect(it.kept()).toEqual([])
    expect(it.did).toEqual(['C1 or U1 Cleanup of edge-a: succeeded', 'C1 or U1 Done: '])
    expect(it.keys.size).toBe(2)
  })

  test('with one of two tasks running is followed', async () => {
    const it = open()
    const tasks = [
      { store: 'edge-a', task: { ...TASK, state: 'succeeded' as const } },
      { store: 'edge-a', task: TASK },
    ]
    it.cards.open('C1', 'U1', tasksView('Two', tasks, 0))
    expect(it.kept()).toHaveLength(1)
    await pass(it.clock, 'the end', () => it.kept().length === 0)
    expect([it.did[0], it.did.at(-1)]).toEqual(['C1 or U1 Two: succeeded,queued', 'C1 Two: succeeded,succeeded'])
  })

  test('whose end cannot be written is logged, and followed again by the next run', async () => {
    const it = open({ failsToPut: true })
    it.cards.open('C1', 'U1', BEGUN)
    await pass(it.clock, 'the failure', () => it.log.lines.length > 0)
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'following a card failed', fields: { channel: 'C1' } }])
    expect(it.kept()).toHaveLength(1)
    await it.cards[Symbol.asyncDispose]()
  })
})

describe('a restart', () => {
  test('goes on with the cards that had not ended', async () => {
    const database = openMemoryDatabase()
    const first = open({ database, states: ['running'] })
    first.cards.open('C1', 'U1', BEGUN)
    await first.cards[Symbol.asyncDispose]()
    expect(first.log.lines).toEqual([])
    const second = open({ database, states: ['succeeded'] })
    second.cards.resume()
    await pass(second.clock, 'the end', () => second.kept().length === 0)
    expect(second.did).toEqual([END])
    expect(second.keys).toEqual(first.keys)
  })

  test('forgets a card that it cannot read', () => {
    const database = openMemoryDatabase()
    database.run(`INSERT INTO cards (key, channel, title, tasks) VALUES ('card 1', 'C1', 'Old', '[{"store":"edge-a"}]')`)
    const it = open({ database })
    it.cards.resume()
    expect(it.kept()).toEqual([])
    expect(it.did).toEqual([])
  })
})

test('cards of an earlier version become messages that were posted', () => {
  const database = new Database(':memory:')
  database.run('CREATE TABLE cards (channel TEXT NOT NULL, ts TEXT NOT NULL, title TEXT NOT NULL, tasks TEXT NOT NULL, PRIMARY KEY (channel, ts)) STRICT')
  database.run("INSERT INTO cards VALUES ('C1', '1.1', 'Cleanup', '[]')")
  database.run(OUTBOX_TABLES)
  database.run(CARDS_IN_OUTBOX)
  expect(database.query('SELECT * FROM cards').all()).toEqual([{ key: 'card C1 1.1', channel: 'C1', title: 'Cleanup', tasks: '[]' }])
  expect(database.query('SELECT key, channel, ts, view FROM outbox').all()).toEqual([{ key: 'card C1 1.1', channel: 'C1', ts: '1.1', view: null }])
})
