// Which HTTP requests are accepted as Slack's.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createLog } from '../../../../bot/system/log.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import type { Clock } from '../../../../bot/system/clock.ts'
import { createFakeSlack } from '../../../support/clients/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { createRepeats, REPEAT_MS, REPEATS_MAX } from '../../../../bot/slack/receive/repeats.ts'
import { connectSlack } from '../../../../bot/slack/connect.ts'
import { openTestBot } from '../../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const SIGNING_SECRET = 'fake-signing-secret'
const BODY = new URLSearchParams({
  command: '/slipway',
  text: 'help',
  user_id: 'U1',
  user_name: 'u',
  channel_id: 'C1',
  trigger_id: 't',
  response_url: 'http://127.0.0.1:1/none',
}).toString()

async function start(home?: string, clock: Clock = systemClock) {
  const stack = new AsyncDisposableStack()
  const bot = stack.use(openTestBot(home ?? stack.use(await createTemporaryFolder()).path, clock))
  let url = ''
  const slack = stack.use(createFakeSlack({ deliverTo: () => url }))
  const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
  const access = { kind: 'http', signingSecret: SIGNING_SECRET, botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 } as const
  const connection = stack.use(await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl }, log }))
  url = connection.url ?? ''
  return { slack, url, bot, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('POST /slack/events', () => {
  test.each([
    ['a good signature', {}, 200],
    ['another secret', { secret: 'wrong' }, 401],
    ['a time 301 s ago', { skewS: -301 }, 401],
    ['a time 302 s ahead', { skewS: 302 }, 401],
    ['a time 290 s ago', { skewS: -290 }, 200],
    ['a time 290 s ahead', { skewS: 290 }, 200],
    ['no signature', { without: 'x-slack-signature' }, 401],
    ['no time', { without: 'x-slack-request-timestamp' }, 401],
    ['one byte changed', { tampered: `${BODY.slice(0, -1)}f` }, 401],
  ])('%s', async (_what, change, status) => {
    await using it = await start()
    expect((await it.slack.sendSigned(BODY, change)).status).toBe(status)
  })

  test('answers url_verification, when it is signed', async () => {
    await using it = await start()
    const body = JSON.stringify({ type: 'url_verification', challenge: 'abc', token: 'legacy' })
    const good = await it.slack.sendSigned(body, { type: 'application/json' })
    expect(await good.json()).toEqual({ challenge: 'abc' })
    expect((await it.slack.sendSigned(body, { type: 'application/json', secret: 'wrong' })).status).toBe(401)
  })

  test('refuses bodies that are too long or neither JSON nor a form, and other paths', async () => {
    await using it = await start()
    expect((await fetch(it.url, { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) })).status).toBe(413)
    expect((await it.slack.sendSigned('{', { type: 'application/json' })).status).toBe(400)
    expect((await it.slack.sendSigned('payload={', {})).status).toBe(400)
    expect((await fetch(new URL('/other', it.url))).status).toBe(404)
    expect((await fetch(it.url)).status).toBe(404)
  })

  test('stops to wait for an answer once it has one', async () => {
    const waits: (AbortSignal | undefined)[] = []
    const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
      if (ms === 3000) waits.push(signal)
      return systemClock.sleep(ms, signal)
    }
    await using it = await start(undefined, { ...systemClock, sleep })
    expect((await it.slack.sendSigned(BODY)).status).toBe(200)
    expect(waits.map((signal) => signal?.aborted)).toEqual([true])
  })

  /** Receives answers to commands. */
  function openSink() {
    const responses: string[] = []
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        responses.push(await request.text())
        return new Response('ok')
      },
    })
    const form = (text: string, trigger: string): string =>
      new URLSearchParams({
        command: '/slipway',
        text,
        user_id: 'U1',
        user_name: 'u',
        channel_id: 'C1',
        trigger_id: trigger,
        response_url: server.url.href,
      }).toString()
    return { responses, form, [Symbol.asyncDispose]: () => server.stop(true) }
  }

  test('a request that Slack repeats is answered once', async () => {
    await using it = await start()
    await using sink = openSink()
    const again = { headers: { 'x-slack-retry-num': '1', 'x-slack-retry-reason': 'http_timeout' }, skewS: 2 }
    expect((await it.slack.sendSigned(sink.form('help', 'one'))).status).toBe(200)
    expect((await it.slack.sendSigned(sink.form('help', 'one'), again)).status).toBe(200)
    expect((await it.slack.sendSigned(sink.form('help store', 'two'))).status).toBe(200)
    await until('two answers', () => sink.responses.length >= 2)
    expect(sink.responses).toHaveLength(2)
  })

  test('a recorded request is not run again, even after many others or a restart of the bot', async () => {
    await using folder = await createTemporaryFolder()
    await using sink = openSink()
    const recorded = sink.form('help', 'recorded')
    const atS = Math.floor(Date.now() / 1000)
    {
      await using it = await start(folder.path)
      expect((await it.slack.sendSigned(recorded, { atS })).status).toBe(200)
      await until('the answer', () => sink.responses.length === 1)
      // More requests than an earlier memory of 2,000 triggers could hold.
      const repeats = createRepeats(it.bot.database, systemClock)
      it.bot.database.transaction(() => {
        for (let i = 0; i < 3000; i++) repeats.check(`another ${i}`)
      })()
      expect((await it.slack.sendSigned(recorded, { atS })).status).toBe(200)
      await using restarted = await start(folder.path)
      expect((await restarted.slack.sendSigned(recorded, { atS })).status).toBe(200)
      expect((await restarted.slack.sendSigned(sink.form('help', 'last'))).status).toBe(200)
      await until('the answer to the last', () => sink.responses.length >= 2)
    }
    expect(sink.responses).toHaveLength(2)
  })
})

describe('the recorded requests', () => {
  test('are bounded: at the bound, new requests are refused until old ones expire', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    let nowMs = 1_000_000
    const repeats = createRepeats(bot.database, { nowMs: () => nowMs })
    bot.database.run(
      `INSERT INTO slack_requests WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT 'request ' || i, ? FROM n`,
      [REPEATS_MAX - 1, nowMs + REPEAT_MS],
    )
    expect([REPEATS_MAX, REPEAT_MS]).toEqual([20_000, 660_000])
    expect(repeats.check('the last')).toBe('new')
    expect(repeats.check('one more')).toBe('full')
    nowMs += REPEAT_MS - 1
    expect(repeats.check('one more')).toBe('full')
    nowMs += 1
    expect(repeats.check('one more')).toBe('new')
    expect(repeats.check('one more')).toBe('repeated')
    expect(bot.database.query('SELECT count(*) AS count FROM slack_requests').get()).toEqual({ count: 1 })
  })
})
