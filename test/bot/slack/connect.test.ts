// Starting and stopping the connection to Slack: what a person reads when it cannot start, and what happens to answers in progress.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openBot } from '../../../bot/open.ts'
import { connectSlack } from '../../../bot/slack/connect.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const NOBODY = { operators: new Set<string>(), admins: new Set<string>() }

/** A bot that is connected over HTTP; its agents answer when the test lets them. */
async function start(waitMs: (ms: number) => Promise<void> | undefined = () => undefined) {
  const stack = new AsyncDisposableStack()
  let url = ''
  const slack = stack.use(createFakeSlack({ deliverTo: () => url }))
  const answer = Promise.withResolvers<Response>()
  /** Waits that have not ended, in milliseconds, and what runs at intervals. */
  const waiting: number[] = []
  const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    waiting.push(ms)
    try {
      await (waitMs(ms) ?? systemClock.sleep(ms, signal))
    } finally {
      waiting.splice(waiting.indexOf(ms), 1)
    }
  }
  const every = (ms: number, run: () => void): Disposable => {
    const timer = systemClock.every(ms, run)
    waiting.push(ms)
    return {
      [Symbol.dispose]() {
        timer[Symbol.dispose]()
        waiting.splice(waiting.indexOf(ms), 1)
      },
    }
  }
  const clock = { ...systemClock, sleep, every }
  const bot = stack.use(openBot('', { clock, database: openMemoryDatabase(), fetch: () => answer.promise }))
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const access = { kind: 'http', signingSecret: 'fake-signing-secret', botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 } as const
  const log = createMemoryLog()
  const connection = await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl, ...NOBODY }, log })
  url = connection.url ?? ''
  return { slack, connection, url, answer, bot, log, access, waiting, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('a stop', () => {
  test('waits for answers in progress', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store browse edge-a')
    const stopped = it.connection[Symbol.asyncDispose]()
    it.answer.resolve(Response.json({ items: [], next: null }))
    await stopped
    expect(it.slack.shown.map((shown) => visibleText(shown))).toEqual([expect.stringContaining('0 entries')])
    expect(it.log.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('waits for them five seconds at most', async () => {
    const waits: number[] = []
    const drained = Promise.withResolvers<void>()
    await using it = await start((ms) => (waits.push(ms), ms === 5000 ? drained.promise : undefined))
    await it.slack.command('/slipway', 'store browse edge-a')
    const stopped = it.connection[Symbol.asyncDispose]()
    await until('the stop waits', () => waits.includes(5000))
    drained.resolve()
    await stopped
    expect(it.slack.shown).toEqual([])
    it.answer.resolve(Response.json({ items: [], next: null }))
  })

  test('ends everything that runs at intervals, and takes no more requests', async () => {
    await using it = await start()
    // The outbox (250 ms), approvals and bulk runs (500 ms), and homes (15 s) are looked at.
    await until('all parts run', () => it.waiting.toSorted((a, b) => a - b).join(' ') === '250 500 500 15000')
    await it.connection[Symbol.asyncDispose]()
    // The limit of the wait for answers in progress ends by itself.
    expect(it.waiting).toEqual([5000])
    await expect(fetch(it.url)).rejects.toThrow()
    expect(it.log.lines.map(({ level, message, fields }) => [level, message, fields])).toEqual([
      ['info', 'connected to Slack', { mode: 'http', url: expect.stringMatching(/^http:/) }],
    ])
  })
})

describe('a start', () => {
  test('that fails leaves nothing that runs at intervals', async () => {
    const running: number[] = []
    const every = (ms: number, run: () => void): Disposable => {
      const timer = systemClock.every(ms, run)
      running.push(ms)
      return { [Symbol.dispose]: () => (timer[Symbol.dispose](), void running.splice(running.indexOf(ms), 1)) }
    }
    await using slack = createFakeSlack()
    using bot = openBot('', { clock: { ...systemClock, every }, database: openMemoryDatabase() })
    const http = { kind: 'http', signingSecret: 's', botToken: 'xoxb-other', hostname: '127.0.0.1', port: 0 } as const
    await expect(connectSlack(http, { bot, config: { slackApiUrl: slack.apiUrl, ...NOBODY }, log: createMemoryLog() })).rejects.toThrow('Slack refuses')
    expect(running).toEqual([])
  })

  test('on a port that is taken says what to do', async () => {
    await using it = await start()
    const { port } = new URL(it.url)
    const again = connectSlack({ ...it.access, port: Number(port) }, { bot: it.bot, config: { slackApiUrl: it.slack.apiUrl, ...NOBODY }, log: it.log })
    await expect(again).rejects.toThrow(
      new RegExp(`^127\\.0\\.0\\.1:${port} cannot be used: .+\\. Stop the process that uses it, or set SLIPWAY_BOT_LISTEN to another address\\.$`),
    )
    await it.connection[Symbol.asyncDispose]()
  })

  test('with a token that Slack refuses names the token', async () => {
    await using slack = createFakeSlack()
    using bot = openBot('', { clock: systemClock, database: openMemoryDatabase() })
    const deps = { bot, config: { slackApiUrl: slack.apiUrl, ...NOBODY }, log: createMemoryLog() }
    const http = { kind: 'http', signingSecret: 's', botToken: 'xoxb-other', hostname: '127.0.0.1', port: 0 } as const
    await expect(connectSlack(http, deps)).rejects.toThrow(/^Slack refuses: .*invalid_auth\. Check SLACK_BOT_TOKEN, then start again\.$/)
    await expect(connectSlack({ kind: 'socket', appToken: 'xapp-fake', botToken: 'xoxb-other' }, deps)).rejects.toThrow(
      /Check SLACK_BOT_TOKEN and SLACK_APP_TOKEN \(scope connections:write\), then start again\.$/,
    )
  })
})
