// Cards: one message for each write, edited until its tasks have ended, also after a restart of the bot.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Task } from '../../../protocol/task.ts'
import { openBot } from '../../../bot/open.ts'
import { createCards } from '../../../bot/slack/cards.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { BotDatabase } from '../../../bot/system/database.ts'
import { tasksView } from '../../../bot/commands/task/task-view.ts'
import { makeView } from '../../../bot/views/view.ts'
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
  readonly mayPost?: boolean
  /** Whether an edit that shows progress is allowed now. */
  readonly mayEdit?: boolean
  readonly failsToUpdate?: boolean
}

function open({ database = openMemoryDatabase(), states = ['running', 'succeeded'], mayPost = true, mayEdit = true, failsToUpdate = false }: Setting = {}) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const did: string[] = []
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
    pacing: {
      tryEdit: (key) => (did.push(`try ${key}`), mayEdit),
      waitForEdit: async (key) => void did.push(`wait ${key}`),
    },
    port: {
      async post(channel, { text }) {
        did.push(`post ${channel} ${text}`)
        return mayPost ? { channel: `${channel}x`, ts: '1.1' } : undefined
      },
      async update(channel, ts, { text }) {
        did.push(`update ${channel} ${ts} ${text}`)
        if (failsToUpdate) throw new Error('message_not_found')
      },
    },
    render: (view) => ({ text: `${view.title}: ${view.progress.map(({ task }) => task.state).join()}`, blocks: [] }),
  })
  const kept = () => database.query('SELECT channel, ts, title FROM cards').all()
  return { cards, did, kept, clock, log, database }
}

/** Lets the time pass until a condition holds. */
async function pass(clock: ManualClock, what: string, isThere: () => boolean): Promise<void> {
  await until(what, () => {
    clock.advance(1000)
    return isThere()
  })
}

const BEGUN = tasksView('Cleanup of edge-a', [{ store: 'edge-a', task: TASK }], 0)
const FIRST = 'post C1 Cleanup of edge-a: queued'
const MOVED = ['try C1x:1.1', 'update C1x 1.1 Cleanup of edge-a: running']
const END = ['wait C1x:1.1', 'update C1x 1.1 Cleanup of edge-a: succeeded']

describe('a card', () => {
  test('is edited when its task moves and when it ends, then forgotten', async () => {
    const it = open()
    expect(await it.cards.open('C1', BEGUN)).toBe(true)
    expect(it.kept()).toEqual([{ channel: 'C1x', ts: '1.1', title: 'Cleanup of edge-a' }])
    await pass(it.clock, 'the end', () => it.kept().length === 0)
    expect(it.did).toEqual([FIRST, ...MOVED, ...END])
    await it.cards[Symbol.asyncDispose]()
    expect(it.log.lines).toEqual([])
  })

  test('is not edited for progress beyond the limits, but at the end', async () => {
    const it = open({ mayEdit: false })
    await it.cards.open('C1', BEGUN)
    await pass(it.clock, 'the end', () => it.kept().length === 0)
    expect(it.did).toEqual([FIRST, 'try C1x:1.1', ...END])
  })

  test('without a running task is posted and not followed', async () => {
    const it = open()
    const ended = tasksView('Cleanup of edge-a', [{ store: 'edge-a', task: { ...TASK, state: 'succeeded' } }], 0)
    expect(await it.cards.open('C1', ended)).toBe(true)
    expect(await it.cards.open('C1', makeView({ title: 'Done', asOfMs: 0, json: {} }))).toBe(true)
    expect(it.kept()).toEqual([])
    expect(it.did).toEqual(['post C1 Cleanup of edge-a: succeeded', 'post C1 Done: '])
  })

  test('with one of two tasks running is followed', async () => {
    const it = open()
    const tasks = [
      { store: 'edge-a', task: { ...TASK, state: 'succeeded' as const } },
      { store: 'edge-a', task: TASK },
    ]
    await it.cards.open('C1', tasksView('Two', tasks, 0))
    expect(it.kept()).toHaveLength(1)
    await pass(it.clock, 'the end', () => it.kept().length === 0)
    expect(it.did).toEqual([
      'post C1 Two: succeeded,queued',
      'try C1x:1.1',
      'update C1x 1.1 Two: succeeded,running',
      END[0] ?? '',
      'update C1x 1.1 Two: succeeded,succeeded',
    ])
  })

  test('that cannot be posted is not kept', async () => {
    const it = open({ mayPost: false })
    expect(await it.cards.open('C1', BEGUN)).toBe(false)
    expect(it.kept()).toEqual([])
  })

  test('that cannot be edited is logged, and tried again by the next run', async () => {
    const it = open({ failsToUpdate: true })
    await it.cards.open('C1', BEGUN)
    await pass(it.clock, 'the failure', () => it.log.lines.length > 0)
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'updating a card failed', fields: { channel: 'C1x', ts: '1.1' } }])
    expect(it.kept()).toHaveLength(1)
    await it.cards[Symbol.asyncDispose]()
  })
})

describe('a restart', () => {
  test('goes on with the cards that had not ended', async () => {
    const database = openMemoryDatabase()
    const first = open({ database, states: ['running'] })
    await first.cards.open('C1', BEGUN)
    await first.cards[Symbol.asyncDispose]()
    expect(first.log.lines).toEqual([])
    const second = open({ database, states: ['succeeded'] })
    second.cards.resume()
    await pass(second.clock, 'the end', () => second.kept().length === 0)
    expect(second.did).toEqual(END)
  })

  test('forgets a card that it cannot read', () => {
    const database = openMemoryDatabase()
    database.run(`INSERT INTO cards (channel, ts, title, tasks) VALUES ('C1', '1.1', 'Old', '[{"store":"edge-a"}]')`)
    const it = open({ database })
    it.cards.resume()
    expect(it.kept()).toEqual([])
    expect(it.did).toEqual([])
  })
})
