// The sender of the outbox: its pace, what it does while Slack is away, and what follows each answer of Slack.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createOutbox } from '../../../../bot/outbox/outbox.ts'
import type { OutboxPost } from '../../../../bot/outbox/outbox.ts'
import type { Answer } from '../../../../bot/slack/send/delivery-port.ts'
import { createDeliveryPort } from '../../../../bot/slack/send/delivery-port.ts'
import { createPacing } from '../../../../bot/slack/send/pacing.ts'
import { noticeMessage, sendOutbox } from '../../../../bot/slack/send/send-outbox.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import { createFakeSlack } from '../../../support/clients/fake-slack/fake-slack.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const START_MS = Date.UTC(2026, 0, 1)

/** Starts a sender whose Slack answers as `answers` says, in turn; then every message is delivered. */
function start(answers: readonly Answer[] = [], database = openMemoryDatabase(), onRender = () => {}) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const outbox = createOutbox(database, clock)
  const did: string[] = []
  let count = 0
  const answer = (line: string, channel: string, ts: string | undefined): Promise<Answer> => {
    did.push(`${(clock.nowMs() - START_MS) / 1000} ${line}`)
    count++
    return Promise.resolve(answers[count - 1] ?? { kind: 'done', channel, ts: ts ?? `${count}.0` })
  }
  const sender = sendOutbox({
    ...{ database, outbox, clock, log, pacing: createPacing(clock) },
    port: {
      post: (channel, thread, { text, blocks }) =>
        answer(`post ${channel}${thread === undefined ? '' : ` ${thread}`}: ${text} (${blocks.length})`, channel, undefined),
      edit: (channel, ts, { text, blocks }) => answer(`edit ${channel} ${ts}: ${text} (${blocks.length})`, channel, ts),
    },
    render(view) {
      onRender()
      return { text: view.title, blocks: [{ type: 'divider' }] }
    },
  })
  const put = (key: string, title: string, rest: Partial<OutboxPost> = {}): void =>
    outbox.put({ key, channel: 'C1', view: makeView({ title, asOfMs: 0, json: null }), ...rest })
  /** Lets the sender do everything that is due: nothing here waits for more than promises. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 200; turn++) await Promise.resolve()
    await clock.untilSleeping(1)
  }
  /** Lets so much time pass, in steps that the sender sees. */
  const pass = async (ms: number): Promise<void> => {
    await settle()
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250)
      await settle()
    }
  }
  return { put, pass, did, log, clock, database, [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose]() }
}

const AWAY: Answer = { kind: 'away', reason: 'no route' }

describe('the pace', () => {
  test('is one message per second in a channel, one edit of a message in three seconds', async () => {
    await using it = start()
    it.put('a', 'a')
    it.put('b', 'b')
    it.put('c', 'c', { channel: 'C2' })
    await it.pass(1000)
    expect(it.did).toEqual(['0 post C1: a (1)', '0 post C2: c (1)', '1 post C1: b (1)'])
    it.put('a', 'a2')
    await it.pass(250)
    it.put('a', 'a3')
    it.put('a', 'a4')
    await it.pass(4000)
    expect(it.did.slice(3)).toEqual(['1 edit C1 1.0: a2 (1)', '4 edit C1 1.0: a4 (1)'])
    expect(it.log.lines).toEqual([])
  })

  test('lets new messages pass edits', async () => {
    await using it = start()
    it.put('a', 'a')
    await it.pass(1000)
    it.put('a', 'a2')
    it.put('b', 'b')
    await it.pass(0)
    expect(it.did).toEqual(['0 post C1: a (1)', '1 post C1: b (1)', '1 edit C1 1.0: a2 (1)'])
  })

  test('follows Retry-After of posts and of edits apart', async () => {
    await using it = start([{ kind: 'limited', afterMs: 5000 }])
    it.put('a', 'a')
    await it.pass(5000)
    expect(it.did).toEqual(['0 post C1: a (1)', '5 post C1: a (1)'])
  })

  test('does not stop edits when only posts are limited', async () => {
    await using it = start([
      { kind: 'done', channel: 'C1', ts: '1.0' },
      { kind: 'limited', afterMs: 60_000 },
    ])
    it.put('a', 'a')
    await it.pass(1000)
    it.put('b', 'b')
    it.put('a', 'a2')
    await it.pass(1000)
    expect(it.did).toEqual(['0 post C1: a (1)', '1 post C1: b (1)', '1 edit C1 1.0: a2 (1)'])
  })
})

describe('a limit', () => {
  test('of edits does not stop posts', async () => {
    await using it = start([
      { kind: 'done', channel: 'C1', ts: '1.0' },
      { kind: 'limited', afterMs: 10_000 },
    ])
    it.put('a', 'a')
    await it.pass(1000)
    it.put('a', 'a2')
    await it.pass(250)
    it.put('b', 'b')
    await it.pass(10_000)
    expect(it.did).toEqual(['0 post C1: a (1)', '1 edit C1 1.0: a2 (1)', '1.25 post C1: b (1)', '11 edit C1 1.0: a2 (1)'])
  })

  test('is honoured for ten minutes at most', async () => {
    await using it = start([{ kind: 'limited', afterMs: 86_400_000 }])
    it.put('a', 'a')
    await it.pass(250)
    it.clock.advance(599_500)
    await it.pass(0)
    expect(it.did).toEqual(['0 post C1: a (1)'])
    await it.pass(250)
    expect(it.did.slice(1)).toEqual([expect.stringMatching(/^600 post C1: ▲ 1 message for this channel is late by up to 10 min/)])
  })
})

describe('a defect', () => {
  test('of one message is logged, and the next attempt is a minute later', async () => {
    let attempts = 0
    await using it = start([], openMemoryDatabase(), () => {
      if (++attempts === 1) throw new Error('no such tone')
    })
    it.put('a', 'a')
    await it.pass(0)
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'delivering a message to Slack failed' }])
    it.clock.advance(59_999)
    await it.pass(0)
    expect([attempts, it.did]).toEqual([1, []])
    it.clock.advance(1)
    await it.pass(2_000)
    expect(it.did.at(-1)).toEndWith('post C1: a (1)')
  })
})

describe('a message', () => {
  test('that waits for more than a day is dropped, and the channel is told', async () => {
    await using it = start([AWAY])
    it.put('a', 'a')
    await it.pass(0)
    it.clock.advance(86_460_001)
    await it.pass(2_000)
    expect(it.did).toEqual([
      '0 post C1: a (1)',
      expect.stringMatching(/^[\d.]+ post C1: ▲ 1 more was dropped: at most 5000 wait, for at most 24 h\. See store health and event list\. \(1\)$/),
    ])
  })

  test('of which a closed channel cannot be told is forgotten all the same', async () => {
    await using it = start([AWAY, { kind: 'closed', reason: 'is_archived' }])
    it.put('a', 'a')
    await it.pass(0)
    it.clock.advance(86_460_001)
    await it.pass(5_000)
    expect(it.did).toHaveLength(2)
    expect(it.log.lines.at(-1)).toMatchObject({ message: 'a channel could not be told what is late', fields: { channel: 'C1', reason: 'is_archived' } })
  })
})

test('a stop waits three seconds for the request in progress', async () => {
  const clock = createManualClock()
  const database = openMemoryDatabase()
  const outbox = createOutbox(database, clock)
  const never = (): Promise<Answer> => new Promise(() => {})
  const sender = sendOutbox({
    ...{ database, outbox, clock, log: createMemoryLog(), pacing: createPacing(clock), port: { post: never, edit: never } },
    render: (view) => ({ text: view.title, blocks: [] }),
  })
  outbox.put({ key: 'a', channel: 'C1', view: makeView({ title: 'a', asOfMs: 0, json: null }) })
  for (let turn = 0; turn < 200; turn++) await Promise.resolve()
  let isStopped = false
  const stopping = sender[Symbol.asyncDispose]().then(() => (isStopped = true))
  await clock.untilSleeping(1)
  clock.advance(2_999)
  for (let turn = 0; turn < 200; turn++) await Promise.resolve()
  expect(isStopped).toBe(false)
  clock.advance(1)
  await stopping
})

describe('while Slack is away', () => {
  test('it tries again after 1 s, 2 s, 4 s and so on up to a minute, and then tells how late what is', async () => {
    await using it = start(Array.from({ length: 8 }, () => AWAY))
    it.put('a', 'a')
    it.put('b', 'b')
    it.put('a', 'a2')
    await it.pass(250_000)
    const notice = (minutes: string): string => `post C1: ▲ 2 messages for this channel are late by up to ${minutes}: Slack did not take them before. (1)`
    expect(it.did).toEqual([
      ...['0 post C1: a2 (1)', '1 post C1: a2 (1)', '3 post C1: a2 (1)', '7 post C1: a2 (1)', '15 post C1: a2 (1)', '31 post C1: a2 (1)'],
      ...[`63 ${notice('1 min 3 s')}`, `123 ${notice('2 min 3 s')}`, `183 ${notice('3 min 3 s')}`, '184 post C1: a2 (1)', '185 post C1: b (1)'],
    ])
    expect(it.log.lines).toEqual([
      { level: 'warn', message: 'Slack takes no messages; they wait', fields: { reason: 'no route' } },
      { level: 'info', message: 'Slack takes messages again', fields: { awayMs: 183_000 } },
    ])
  })

  test('what was put by an earlier run is sent by the next one', async () => {
    const database = openMemoryDatabase()
    {
      await using first = start([AWAY], database)
      first.put('a', 'a')
      await first.pass(0)
    }
    await using second = start([], database)
    await second.pass(0)
    expect(second.did).toEqual(['0 post C1: a (1)'])
  })
})

describe('an answer of Slack', () => {
  test('that the channel is closed sends the message to who asked, else drops it', async () => {
    const closed: Answer = { kind: 'closed', reason: 'not_in_channel' }
    await using it = start([closed, { kind: 'done', channel: 'D1', ts: '9.0' }, closed])
    it.put('a', 'a', { orElse: 'U1' })
    await it.pass(1000)
    it.put('a', 'a2')
    it.put('b', 'b')
    await it.pass(1000)
    expect(it.did).toEqual(['0 post C1: a (1)', '0 post U1: a (1)', '1 post C1: b (1)', '1 edit D1 9.0: a2 (1)'])
    expect(it.log.lines).toEqual([
      { level: 'warn', message: 'a message was dropped: the bot may not post in the channel', fields: { key: 'b', channel: 'C1', reason: 'not_in_channel' } },
    ])
  })

  test('that blocks are invalid sends the text alone', async () => {
    await using it = start([{ kind: 'invalid', reason: 'invalid_blocks' }])
    it.put('a', 'a')
    await it.pass(1000)
    expect(it.did).toEqual(['0 post C1: a (1)', '1 post C1: a (0)'])
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'Slack refused the blocks of a message' }])
  })

  test('that a message is gone, or a thread takes no replies', async () => {
    await using it = start([
      { kind: 'done', channel: 'C1', ts: '1.0' },
      { kind: 'threadless', reason: 'thread_not_found' },
    ])
    it.put('a', 'a')
    it.put('r', 'r', { threadKey: 'a' })
    await it.pass(2000)
    expect(it.did).toEqual(['0 post C1: a (1)', '1 post C1 1.0: r (1)', '2 post C1: r (1)'])
    await using other = start([
      { kind: 'done', channel: 'C1', ts: '1.0' },
      { kind: 'gone', reason: 'message_not_found' },
    ])
    other.put('a', 'a')
    await other.pass(0)
    other.put('a', 'a2')
    await other.pass(5000)
    expect(other.did).toEqual(['0 post C1: a (1)', '0 edit C1 1.0: a2 (1)'])
    expect(other.log.lines).toMatchObject([{ level: 'info', message: 'a message was deleted in Slack and is not edited again' }])
  })

  test('that is not known is tried five times, then the message is dropped', async () => {
    await using it = start(Array.from({ length: 9 }, () => ({ kind: 'refused', reason: 'odd' }) as const))
    it.put('a', 'a')
    await it.pass(600_000)
    expect(it.did.filter((line) => line.endsWith('post C1: a (1)'))).toHaveLength(5)
    expect(it.log.lines.at(-1)).toMatchObject({ message: 'a message was dropped: Slack refused it', fields: { key: 'a', reason: 'odd' } })
  })
})

describe('the notice', () => {
  const notice = { kind: 'notice', channel: 'C1', messages: 1, edits: 0, oldestMs: 0, dropped: 0 } as const
  test('is one line', () => {
    const text = (change: Partial<typeof notice> | { messages: number; edits: number; oldestMs: number | null; dropped: number }): string =>
      noticeMessage({ ...notice, ...change }, 3_600_000).text
    expect(text({})).toBe('▲ 1 message for this channel is late by up to 1 h: Slack did not take them before.')
    expect(text({ messages: 3, edits: 2, oldestMs: 0, dropped: 1 })).toBe(
      '▲ 3 messages and 2 edits for this channel are late by up to 1 h: Slack did not take them before. 1 more was dropped: at most 5000 wait, for at most 24 h. See store health and event list.',
    )
    expect(text({ messages: 0, edits: 1, oldestMs: 0, dropped: 0 })).toBe('▲ 1 edit for this channel is late by up to 1 h: Slack did not take them before.')
    expect(text({ messages: 0, edits: 0, oldestMs: null, dropped: 7 })).toBe(
      '▲ 7 more were dropped: at most 5000 wait, for at most 24 h. See store health and event list.',
    )
    const { blocks } = noticeMessage(notice, 60_000)
    expect(blocks).toEqual([
      { type: 'section', text: { type: 'mrkdwn', text: '▲ 1 message for this channel is late by up to 1 min: Slack did not take them before.' } },
    ])
  })
})

describe('the port', () => {
  const MESSAGE = { text: 'hello', blocks: [] }
  const portOf = (apiUrl: string) => {
    const { debug, info, warn, error } = createMemoryLog()
    const logger = { debug, info, warn, error, setLevel: () => {}, getLevel: () => 'info' as never, setName: () => {} }
    return createDeliveryPort('xoxb-fake', { slackApiUrl: apiUrl, logger })
  }

  test('posts, replies and edits', async () => {
    await using slack = createFakeSlack()
    const port = portOf(slack.apiUrl)
    const root = await port.post('C1', undefined, MESSAGE)
    if (root.kind !== 'done') throw new Error(root.kind)
    expect(root.channel).toBe('C1')
    expect(await port.post('C1', root.ts, { ...MESSAGE, text: 'reply' })).toMatchObject({ kind: 'done' })
    expect(await port.edit('C1', root.ts, { ...MESSAGE, text: 'changed' })).toEqual({ kind: 'done', channel: 'C1', ts: root.ts })
    expect(slack.shown.map(({ kind, text, thread }) => [kind, text, thread])).toEqual([
      ['post', 'hello', undefined],
      ['post', 'reply', root.ts],
      ['update', 'changed', undefined],
    ])
    expect(slack.failures).toEqual([])
  })

  test('says what Slack refuses', async () => {
    await using slack = createFakeSlack({ closedChannels: ['C2'] })
    const port = portOf(slack.apiUrl)
    expect(await port.post('C2', undefined, MESSAGE)).toEqual({ kind: 'closed', reason: 'not_in_channel' })
    expect(await port.post('C1', '1.0', MESSAGE)).toEqual({ kind: 'threadless', reason: 'thread_not_found' })
    expect(await port.edit('C1', '1.0', MESSAGE)).toEqual({ kind: 'gone', reason: 'message_not_found' })
    expect(await port.post('C1', undefined, { text: 'x', blocks: [{ type: 'header', text: { type: 'plain_text', text: '' } }] })).toEqual({
      kind: 'invalid',
      reason: 'invalid_blocks',
    })
    for (let n = 0; n < 4; n++) await port.post('C3', undefined, MESSAGE)
    expect(await port.post('C3', undefined, MESSAGE)).toEqual({ kind: 'limited', afterMs: 1000 })
    slack.isAway = true
    expect(await port.post('C1', undefined, MESSAGE)).toMatchObject({ kind: 'away' })
    expect(await portOf('http://127.0.0.1:1/api/').post('C1', undefined, MESSAGE)).toMatchObject({ kind: 'away' })
    expect(await createDeliveryPort('xoxb-wrong', { slackApiUrl: slack.apiUrl }).edit('C1', '1.0', MESSAGE)).toMatchObject({ kind: 'away' })
  })

  test('asks once for each attempt', async () => {
    await using slack = createFakeSlack()
    slack.isAway = true
    const port = portOf(slack.apiUrl)
    await port.post('C1', undefined, MESSAGE)
    await until('the request', () => slack.calls.length > 0)
    expect(slack.calls).toEqual(['chat.postMessage'])
  })
})
