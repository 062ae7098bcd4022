// How the environment configures the bot, and what is refused with which sentence.

import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { ConfigRefused, readBotConfig } from '../../bot/config.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

/** What signing in with Slack needs, but for the address of the page. */
const SIGN_IN = { SLACK_APP_TOKEN: 'xapp-1', SLACK_BOT_TOKEN: 'xoxb-1', SLACK_CLIENT_ID: '1.2', SLACK_CLIENT_SECRET: 's' }

describe('readBotConfig', () => {
  test('without Slack it is the console, with its home in ./data', () => {
    const config = readBotConfig({})
    expect(config.slack).toBeUndefined()
    expect(config.home).toBe(join(process.cwd(), 'data'))
  })

  test('does not create ./data in a folder of the system', () => {
    for (const folder of ['/', '/usr', '/etc/slipway', '/lib64']) {
      expect(() => readBotConfig({}, undefined, folder)).toThrow(ConfigRefused)
      expect(readBotConfig({ SLIPWAY_HOME: '/srv/fleet' }, undefined, folder).home).toBe('/srv/fleet')
    }
    expect(readBotConfig({}, undefined, '/home/ann').home).toBe('/home/ann/data')
    expect(readBotConfig({}, undefined, '/usrlocal').home).toBe('/usrlocal/data')
  })

  test('an app token and a bot token select Socket Mode', () => {
    expect(readBotConfig({ SLACK_APP_TOKEN: 'xapp-1', SLACK_BOT_TOKEN: 'xoxb-1', SLACK_SIGNING_SECRET: 's' }).slack).toEqual({
      kind: 'socket',
      appToken: 'xapp-1',
      botToken: 'xoxb-1',
    })
  })

  test('a signing secret and a bot token select HTTP, on 127.0.0.1:8421 by default', () => {
    const environment = { SLACK_SIGNING_SECRET: 's', SLACK_BOT_TOKEN: 'xoxb-1' }
    expect(readBotConfig(environment).slack).toEqual({ kind: 'http', signingSecret: 's', botToken: 'xoxb-1', hostname: '127.0.0.1', port: 8421 })
    expect(readBotConfig({ ...environment, SLIPWAY_BOT_LISTEN: '[::1]:9000' }).slack).toMatchObject({ hostname: '::1', port: 9000 })
  })

  test("credentials also come from systemd's folder; the environment takes precedence", async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('slack-bot-token'), 'xoxb-file\n')
    await Bun.write(folder.file('slack-app-token'), 'xapp-file\n')
    const environment = { CREDENTIALS_DIRECTORY: folder.path }
    expect(readBotConfig(environment).slack).toEqual({ kind: 'socket', appToken: 'xapp-file', botToken: 'xoxb-file' })
    expect(readBotConfig({ ...environment, SLACK_BOT_TOKEN: 'xoxb-env' }).slack).toMatchObject({ botToken: 'xoxb-env' })
  })

  test('a client id and its secret let people sign in, at the issuer of the Slack that is used', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('slack-client-secret'), 'from-file\n')
    const slack = { SLACK_APP_TOKEN: 'xapp-1', SLACK_BOT_TOKEN: 'xoxb-1', SLIPWAY_WEB_URL: 'https://slipway.example' }
    expect(readBotConfig(slack).signIn).toBeUndefined()
    const environment = { ...slack, SLACK_CLIENT_ID: '1.2', CREDENTIALS_DIRECTORY: folder.path }
    expect(readBotConfig(environment).signIn).toEqual({ clientId: '1.2', clientSecret: 'from-file', issuer: 'https://slack.com' })
    const other = { ...environment, SLACK_CLIENT_SECRET: 's', SLACK_API_URL: 'http://127.0.0.1:1/api' }
    expect(readBotConfig(other).signIn).toEqual({ clientId: '1.2', clientSecret: 's', issuer: 'http://127.0.0.1:1' })
  })

  test('SLACK_API_URL gets a trailing slash', () => {
    expect(readBotConfig({ SLACK_API_URL: 'http://127.0.0.1:1/api' }).slackApiUrl).toBe('http://127.0.0.1:1/api/')
  })

  test.each<[Record<string, string>, string]>([
    [{ SLACK_APP_TOKEN: 'xapp-1' }, 'SLACK_BOT_TOKEN is not'],
    [{ SLACK_SIGNING_SECRET: 's' }, 'SLACK_BOT_TOKEN is not'],
    [{ SLACK_BOT_TOKEN: 'xoxb-1' }, 'SLACK_APP_TOKEN (Socket Mode)'],
    [{ SLACK_BOT_TOKEN: 'xapp-1', SLACK_APP_TOKEN: 'xapp-1' }, 'SLACK_BOT_TOKEN holds an app-level token'],
    [{ SLACK_BOT_TOKEN: 'xoxb-1', SLACK_APP_TOKEN: 'xoxb-1' }, 'SLACK_APP_TOKEN holds a bot token'],
    [{ SLACK_BOT_TOKEN: 'xoxb-1', SLACK_SIGNING_SECRET: 's', SLIPWAY_BOT_LISTEN: '8421' }, 'HOST:PORT'],
    [{ SLACK_CLIENT_ID: '1.2' }, 'SLACK_CLIENT_SECRET is not set'],
    [{ SLACK_CLIENT_SECRET: 's' }, 'SLACK_CLIENT_ID is not set'],
    [{ SLACK_CLIENT_ID: '1.2', SLACK_CLIENT_SECRET: 's' }, 'SLACK_BOT_TOKEN is not set'],
    [{ ...SIGN_IN, SLIPWAY_WEB_LISTEN: 'off', SLIPWAY_WEB_URL: 'https://slipway.example' }, 'SLIPWAY_WEB_LISTEN is off'],
    [SIGN_IN, 'SLIPWAY_WEB_URL is no https address'],
    [{ ...SIGN_IN, SLIPWAY_WEB_URL: 'http://slipway.example' }, 'SLIPWAY_WEB_URL is no https address'],
    [{ SLIPWAY_BOT_LISTN: 'x' }, 'is not a setting of the bot'],
    [{ SLIPWAY_SLACK_ADMINS: '@me' }, 'is not the id of a Slack user'],
    [{ SLIPWAY_BOT_LOG: 'loud' }, 'is not a level'],
    [{ SLIPWAY_APPROVALS: 'yes' }, 'SLIPWAY_APPROVALS=yes is not understood. Write one of: on, strict, off.'],
    [{ SLIPWAY_BOT_RECONNECT: '4' }, 'off, or seconds from 5 to 86400'],
    [{ SLIPWAY_BOT_RECONNECT: 'never' }, 'off, or seconds from 5 to 86400'],
    [{ SLACK_API_URL: 'nowhere' }, 'is not an address'],
  ])('%j is refused', (environment, words) => {
    expect(() => readBotConfig(environment)).toThrow(ConfigRefused)
    expect(() => readBotConfig(environment)).toThrow(words)
  })
})

test('the interval of reconnecting is 30 s by default, 0 for off, and seconds otherwise', () => {
  expect(readBotConfig({}).reconnectMs).toBe(30_000)
  for (const rule of ['on', 'strict', 'off'] as const) expect(readBotConfig({ SLIPWAY_APPROVALS: rule }).approvalRule).toBe(rule)
  expect(readBotConfig({}).approvalRule).toBe('on')
  expect(readBotConfig({ SLIPWAY_BOT_RECONNECT: 'off' }).reconnectMs).toBe(0)
  expect(readBotConfig({ SLIPWAY_BOT_RECONNECT: '5' }).reconnectMs).toBe(5000)
  expect(readBotConfig({ SLIPWAY_BOT_RECONNECT: '86400s' }).reconnectMs).toBe(86_400_000)
})

test('the key files are the one that is given, then the credential of the service if it has one', async () => {
  await using folder = await createTemporaryFolder()
  const SLIPWAY_BOT_KEY_FILE = folder.file('given')
  expect(readBotConfig({}).keyFiles).toEqual([])
  expect(readBotConfig({ SLIPWAY_BOT_KEY_FILE, CREDENTIALS_DIRECTORY: folder.path }).keyFiles).toEqual([SLIPWAY_BOT_KEY_FILE])
  await Bun.write(folder.file('slipway-bot-key'), 'x')
  expect(readBotConfig({ SLIPWAY_BOT_KEY_FILE, CREDENTIALS_DIRECTORY: folder.path }).keyFiles).toEqual([SLIPWAY_BOT_KEY_FILE, folder.file('slipway-bot-key')])
})
