// The program from outside: exit codes, one JSON value on standard output, and SIGTERM of the service.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import packageFile from '../../package.json' with { type: 'json' }
import { botProgram } from '../support/agents/programs.ts'
import { createFakeSlack } from '../support/clients/fake-slack/fake-slack.ts'
import { visibleText } from '../support/clients/fake-slack/shown.ts'
import { pairStore } from '../../bot/pair.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { receiveNotifications } from '../support/agents/notifications.ts'
import { until } from '../support/until.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

function spawn(words: readonly string[], environment: Record<string, string>, stdin = '') {
  return Bun.spawn([...botProgram(), ...words], {
    env: { PATH: process.env['PATH'], ...environment },
    stdin: new TextEncoder().encode(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

async function run(words: readonly string[], environment: Record<string, string>, stdin = '') {
  const child = spawn(words, environment, stdin)
  const [code, stdout, stderr] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()])
  return { code, stdout, stderr }
}

describe('console', () => {
  test('prints one JSON value and exits with the code of the command', async () => {
    await using folder = await createTemporaryFolder()
    const environment = { SLIPWAY_HOME: folder.path }
    const good = await run(['console', 'store', 'list', '--json'], environment)
    expect(good).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(good.stdout)).toMatchObject({ items: [] })
    const missing = await run(['console', 'store', 'show', 'x', '--json'], environment)
    expect(missing.code).toBe(1)
    expect(JSON.parse(missing.stdout)).toMatchObject({ error: { type: 'urn:slipway:problem:not-found' } })
    expect((await run(['console', 'stor'], environment)).code).toBe(2)
    const lines = await run(['console'], environment, 'store list\nstore show x\n')
    expect(lines.code).toBe(1)
    expect(lines.stdout).toContain('No store is called "x".')
  })
})

describe('help and version', () => {
  test('are accepted in every usual form and create no home folder', async () => {
    await using folder = await createTemporaryFolder()
    const environment = { SLIPWAY_HOME: folder.file('home') }
    for (const flag of ['--version', '-V']) expect(await run([flag], environment)).toEqual({ code: 0, stdout: `${packageFile.version}\n`, stderr: '' })
    for (const flag of ['--help', '-h']) {
      const { code, stdout } = await run([flag], environment)
      expect([code, stdout.includes('Usage: slipway NOUN VERB'), stdout.includes('store list')]).toEqual([0, true, true])
    }
    const { code, stdout } = await run(['image', 'upload', '--help'], environment)
    expect(code).toBe(0)
    expect(stdout).toContain('image upload [PATH]')
    expect((await run(['store', '-h', '--json'], environment)).stdout).toContain('"verb":"list"')
    expect((await run(['serve', '--help'], environment)).code).toBe(0)
    expect(existsSync(folder.file('home'))).toBe(false)
  })
})

test('a long answer reaches a pipe completely, also when its reader is slow', async () => {
  await using folder = await createTemporaryFolder()
  // Nothing listens at port 9.
  for (let i = 0; i < 300; i++) pairStore(folder.path, { name: `store-${i}`, url: 'http://127.0.0.1:9', token: 't', zone: 'z' })
  const slow = Bun.spawn(['sh', '-c', '"$0" "$@" | (sleep 2; cat)', ...botProgram(), 'console', 'store', 'health', '--json'], {
    env: { PATH: process.env['PATH'], SLIPWAY_HOME: folder.path },
    stdin: 'ignore',
    stdout: 'pipe',
  })
  const { items } = (await new Response(slow.stdout).json()) as { items: unknown[] }
  expect(items.length).toBe(300)
})

describe('serve', () => {
  test.each<[string, Record<string, string>, string]>([
    ['without Slack', {}, 'The service needs Slack'],
    ['with half of Slack', { SLACK_BOT_TOKEN: 'xoxb-1' }, 'SLACK_APP_TOKEN (Socket Mode)'],
  ])('%s ends with 2 and one sentence', async (_what, environment, sentence) => {
    await using folder = await createTemporaryFolder()
    const { code, stderr } = await run(['serve'], { SLIPWAY_HOME: folder.path, SLIPWAY_BOT_LISTEN: '127.0.0.1:0', ...environment })
    expect(code).toBe(2)
    expect(stderr.trim().split('\n').at(-1)).toContain(sentence)
  })

  test('keeps retrying while Slack does not answer, and stops cleanly on SIGTERM', async () => {
    await using folder = await createTemporaryFolder()
    const environment = {
      SLIPWAY_HOME: folder.path,
      SLIPWAY_BOT_LISTEN: '127.0.0.1:0',
      SLACK_BOT_TOKEN: 'xoxb-1',
      SLACK_SIGNING_SECRET: 's',
      SLACK_API_URL: 'http://127.0.0.1:1/api/',
    }
    const child = spawn(['serve'], environment)
    let log = ''
    const reading = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text
    })()
    await until('it has retried', () => log.split('Slack cannot be reached; retrying').length > 2)
    expect(child.exitCode).toBeNull()
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
    await reading
    expect(log).toContain('Check the network and SLACK_API_URL')
  })

  test('connects once Slack answers, and reports its state to systemd', async () => {
    await using folder = await createTemporaryFolder()
    await using slack = createFakeSlack()
    let isUp = false
    // A gateway that is down at first looks to the bot like missing DNS or a firewall.
    await using gateway = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => (isUp ? fetch(new Request(request.url.replace(/^.*\/api\//, slack.apiUrl), request)) : new Response('no route', { status: 502 })),
    })
    using notified = await receiveNotifications(folder.file('notify'))
    const child = spawn(['serve'], {
      SLIPWAY_HOME: folder.file('home'),
      SLACK_BOT_TOKEN: 'xoxb-fake',
      SLACK_APP_TOKEN: 'xapp-fake',
      SLACK_API_URL: `http://127.0.0.1:${gateway.port}/api/`,
      NOTIFY_SOCKET: folder.file('notify'),
    })
    await until('systemd is told', () => notified.lines.find((line) => line.startsWith('READY=1 STATUS=Not connected since ')))
    isUp = true
    await until('the bot is connected', () => slack.socketCount === 1)
    await until('systemd is told', () => notified.lines.at(-1) === 'STATUS=Connected to Slack')
    slack.drop()
    await until('systemd is told', () => notified.lines.some((line) => line.includes('the connection to Slack was lost')))
    await until('the bot is connected again', () => notified.lines.at(-1) === 'STATUS=Connected to Slack')
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
  })

  test('exits with 2 when Slack refuses the token, even after retries', async () => {
    await using folder = await createTemporaryFolder()
    await using slack = createFakeSlack({ botToken: 'xoxb-other' })
    let asked = 0
    await using gateway = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) =>
        asked++ > 8 ? fetch(new Request(request.url.replace(/^.*\/api\//, slack.apiUrl), request)) : new Response('no route', { status: 502 }),
    })
    const { code, stderr } = await run(['serve'], {
      SLIPWAY_HOME: folder.file('home'),
      SLACK_BOT_TOKEN: 'xoxb-fake',
      SLACK_APP_TOKEN: 'xapp-fake',
      SLACK_API_URL: `http://127.0.0.1:${gateway.port}/api/`,
    })
    expect(code).toBe(2)
    expect(stderr).toContain('retrying')
    expect(stderr).toContain('Slack refuses')
  })

  test('lets people of its workspace sign in to the page with Slack', async () => {
    await using folder = await createTemporaryFolder()
    await using slack = createFakeSlack({ signInRedirect: 'https://slipway.example/enter/slack/callback' })
    const child = spawn(['serve'], {
      SLIPWAY_HOME: folder.path,
      SLIPWAY_WEB_LISTEN: '127.0.0.1:0',
      SLIPWAY_WEB_URL: 'https://slipway.example',
      ...{ SLACK_BOT_TOKEN: 'xoxb-fake', SLACK_APP_TOKEN: 'xapp-fake', SLACK_CLIENT_ID: '1.2', SLACK_CLIENT_SECRET: 'fake-client-secret' },
      SLACK_API_URL: slack.apiUrl,
    })
    await until('the bot is connected', () => slack.socketCount === 1)
    using database = new Database(join(folder.path, 'bot', 'bot.db'), { readonly: true })
    const origin = database.query<{ url: string }, []>('SELECT url FROM page_address').get()?.url ?? ''
    const get = (path: string, cookie = ''): Promise<Response> => fetch(origin + path, { headers: { host: 'slipway.example', cookie }, redirect: 'manual' })
    const cookieOf = (answer: Response): string => answer.headers.getSetCookie().at(-1)?.split(';')[0] ?? ''
    const begun = await get('/enter/slack')
    const back = new URL(await slack.signIn.visit(begun.headers.get('location') ?? ''))
    const entered = await get(back.pathname + back.search, cookieOf(begun))
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/'])
    expect(await (await get('/', cookieOf(entered))).text()).toContain('ann (U024BE7LH)')
    slack.signIn.person = { user: 'U0EVE', team: 'T2' }
    const other = await get('/enter/slack')
    const refused = new URL(await slack.signIn.visit(other.headers.get('location') ?? ''))
    expect((await get(refused.pathname + refused.search, cookieOf(other))).status).toBe(403)
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
  })

  test('answers over Socket Mode and stops cleanly on SIGTERM', async () => {
    await using folder = await createTemporaryFolder()
    await using slack = createFakeSlack()
    const child = spawn(['serve'], { SLIPWAY_HOME: folder.path, SLACK_BOT_TOKEN: 'xoxb-fake', SLACK_APP_TOKEN: 'xapp-fake', SLACK_API_URL: slack.apiUrl })
    await until('the bot is connected', () => slack.socketCount === 1)
    await slack.command('/slipway', 'help')
    const answer = await until('an answer', () => slack.shown[0])
    expect(visibleText(answer)).toContain('store list')
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
    expect(slack.failures).toEqual([])
  })
})
