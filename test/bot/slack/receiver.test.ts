// Which HTTP requests are taken for Slack's.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createLog } from '../../../bot/system/log.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createFakeSlack } from '../../support/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../support/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { connectSlack } from '../../../bot/slack/connect.ts'
import { openTestBot } from '../fixture.ts'

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

async function start() {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const bot = stack.use(openTestBot(folder.path))
  let url = ''
  const slack = stack.use(createFakeSlack({ deliverTo: () => url }))
  const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
  const access = { kind: 'http', signingSecret: SIGNING_SECRET, botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 } as const
  const connection = stack.use(await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl, operators: new Set(), admins: new Set() }, log }))
  url = connection.url ?? ''
  return { slack, url, [Symbol.asyncDispose]: () => stack.disposeAsync() }
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

  test('refuses what is too long, what is neither JSON nor a form, and other paths', async () => {
    await using it = await start()
    expect((await fetch(it.url, { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) })).status).toBe(413)
    expect((await it.slack.sendSigned('{', { type: 'application/json' })).status).toBe(400)
    expect((await it.slack.sendSigned('payload={', {})).status).toBe(400)
    expect((await fetch(new URL('/other', it.url))).status).toBe(404)
    expect((await fetch(it.url)).status).toBe(404)
  })

  test('a request that comes twice is answered once', async () => {
    await using it = await start()
    const responses: string[] = []
    await using sink = Bun.serve({
      port: 0,
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
        response_url: sink.url.href,
      }).toString()
    expect((await it.slack.sendSigned(form('help', 'one'))).status).toBe(200)
    expect((await it.slack.sendSigned(form('help', 'one'))).status).toBe(200)
    expect((await it.slack.sendSigned(form('help store', 'two'))).status).toBe(200)
    await until('two answers', () => responses.length >= 2)
    expect(responses).toHaveLength(2)
  })
})
