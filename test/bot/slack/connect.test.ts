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
  const clock = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => waitMs(ms) ?? systemClock.sleep(ms, signal) }
  const bot = stack.use(openBot('', { clock, database: openMemoryDatabase(), fetch: () => answer.promise }))
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const access = { kind: 'http', signingSecret: 'fake-signing-secret', botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 } as const
  const log = createMemoryLog()
  const connection = await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl, ...NOBODY }, log })
  url = connection.url ?? ''
  return { slack, connection, url, answer, bot, log, access, [Symbol.asyncDispose]: () => stack.disposeAsync() }
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
})

describe('a start', () => {
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
