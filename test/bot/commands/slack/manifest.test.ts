// The manifest of the Slack app: docs/slack.md shows it as the command prints it.

import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { runCommand, runJson } from '../../fixture.ts'

const DOCS = new URL('../../../../docs/slack.md', import.meta.url)

function open() {
  return openBot('', { clock: createManualClock(), database: openMemoryDatabase() })
}

test('docs/slack.md shows what the command prints', async () => {
  using bot = open()
  const { code, output } = await runCommand(bot, 'slack', 'manifest')
  const shown = /```yaml\n(.*?)```/s.exec(readFileSync(DOCS, 'utf8'))?.[1]?.replaceAll(/^ {1,3}/gm, '')
  expect(code).toBe(0)
  expect(output).toBe(shown ?? '')
})

test('the manifest has the commands, scopes and settings of Socket Mode', async () => {
  using bot = open()
  const { output } = await runCommand(bot, 'slack', 'manifest')
  const { value } = await runJson(bot, 'slack', 'manifest')
  expect(Bun.YAML.parse(output)).toEqual(value)
  expect(value).toMatchObject({
    display_information: { name: 'Slipway' },
    features: {
      slash_commands: [
        { command: '/slipway', should_escape: true },
        { command: '/store', should_escape: false },
        { command: '/image', should_escape: false },
      ],
    },
    oauth_config: { scopes: { bot: ['commands', 'chat:write', 'usergroups:read', 'files:write'] } },
    settings: { event_subscriptions: { bot_events: ['app_home_opened'] }, interactivity: { is_enabled: true }, socket_mode_enabled: true },
  })
  expect(value).toMatchObject({ features: { app_home: { home_tab_enabled: true, messages_tab_enabled: true, messages_tab_read_only_enabled: true } } })
  expect(output).not.toContain('url')
})

test('with an address, all requests go there by HTTP', async () => {
  using bot = open()
  const { value } = await runJson(bot, 'slack', 'manifest', 'url=https://slipway.example.com')
  const url = 'https://slipway.example.com/slack/events'
  expect(value).toMatchObject({
    features: { slash_commands: [{ url }, { url }, { url }] },
    settings: { event_subscriptions: { request_url: url }, interactivity: { is_enabled: true, request_url: url }, socket_mode_enabled: false },
  })
  const other = await runJson(bot, 'slack', 'manifest', 'url=https://example.com/bot')
  expect(other.value).toMatchObject({ settings: { interactivity: { request_url: 'https://example.com/bot' } } })
  for (const wrong of ['http://a.example', 'a.example', 'https://u@a.example', 'https://a.example/?x=1']) {
    const { code, output } = await runCommand(bot, 'slack', 'manifest', `url=${wrong}`)
    expect([code, output]).toEqual([1, expect.stringContaining('is not an https address')])
  }
})

test('with the address of the page, people sign in to it', async () => {
  using bot = open()
  const { value } = await runJson(bot, 'slack', 'manifest', 'page=https://slipway.example.com')
  expect(value).toMatchObject({
    oauth_config: { redirect_urls: ['https://slipway.example.com/enter/slack/callback'], scopes: { user: ['openid', 'profile'] } },
    settings: { socket_mode_enabled: true },
  })
  const { code, output } = await runCommand(bot, 'slack', 'manifest', 'page=http://slipway.example.com')
  expect([code, output]).toEqual([1, expect.stringContaining('page=http://slipway.example.com is not an https address')])
})
