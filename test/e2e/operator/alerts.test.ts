// A real agent stops and comes back, and the bot's service is killed with SIGKILL in the hold-down and in the alert: the channel sees one card, which is
// edited to its recovery.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { openTestBot, runCommand } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { FakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(180_000)

/** Observations every 100 ms make the hold-down of a stopped store a second. */
const OBSERVE_MS = 100
const OPS = 'C024BE91L'

/** Starts the service; its alerts are lines of standard error. */
function serve(home: string, slack: FakeSlack) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../../support/agents/alerting-bot-program.ts'), String(OBSERVE_MS)], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    env: {
      ...{ PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home },
      ...{ SLACK_APP_TOKEN: 'xapp-fake', SLACK_BOT_TOKEN: 'xoxb-fake', SLACK_API_URL: slack.apiUrl },
    },
  })
  const log = new Response(child.stderr).text()
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
    },
    /** Kills it; returns its log. */
    async kill() {
      child.kill('SIGKILL')
      await child.exited
      return log
    },
  }
}

test('a store that stops is one card that ends with its recovery, though the service is killed meanwhile', async () => {
  await using stack = new AsyncDisposableStack()
  const home = stack.use(await createTemporaryFolder())
  const agent = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path))
  const slack = stack.use(createFakeSlack())
  const bot = stack.use(openTestBot(home.path))
  const words = ['store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1']
  expect((await runCommand(bot, ...words)).code).toBe(0)
  expect((await runCommand(bot, 'alert', 'subscribe', `channel=${OPS}`)).code).toBe(0)
  const { database } = bot
  const { registry } = bot.fleet
  const { incidents } = bot.alerts
  const count = (sql: string): number => database.query<{ n: number }, []>(sql).get()?.n ?? -1

  const first = stack.use(serve(home.path, slack))
  await until('the service follows the store', () => count("SELECT count(*) AS n FROM fleet_states WHERE kind = 'answered'") === 1)
  await agent.kill()
  await until('the hold-down began', () => count('SELECT count(*) AS n FROM alert_findings') > 0)
  let log = await first.kill()

  const second = stack.use(serve(home.path, slack))
  // Only then is it certain that another service does not post it again.
  await until('the card was posted and recorded', () => count('SELECT count(*) AS n FROM outbox WHERE ts IS NOT NULL AND view IS NULL') > 0)
  log += await second.kill()
  expect(incidents.list({ limit: 10 })).toMatchObject([{ id: 1, store: 'edge-a', condition: 'store-stopped', severity: 'critical' }])

  await agent.restart()
  registry.change('edge-a', { url: agent.url })
  const third = stack.use(serve(home.path, slack))
  await until('the card says that it is resolved', () => slack.shown.some(({ kind, text }) => kind === 'update' && text.includes('edge-a Stopped: resolved')))
  await until('the thread says so', () => slack.shown.some(({ text }) => text.includes('Resolved.') && text.startsWith('A1')))
  log += await third.kill()

  const posts = slack.shown.filter(({ kind, channel }) => kind === 'post' && channel === OPS)
  const cards = posts.filter(({ thread }) => thread === undefined)
  expect(cards.map(({ text }) => text.slice(0, 'edge-a Stopped: edge-a in zone-1: Stopped since'.length))).toEqual([
    'edge-a Stopped: edge-a in zone-1: Stopped since',
  ])
  expect(posts.filter(({ thread }) => thread !== undefined)).toMatchObject([{ thread: cards[0]?.ts ?? '-', text: 'A1 edge-a Stopped: Resolved.' }])
  expect(slack.failures).toEqual([])
  expect(incidents.list({ hasResolved: true, limit: 10 })).toMatchObject([{ id: 1, flaps: 0 }])
  expect(log).toContain('"alert":"A1","event":"opened","store":"edge-a"')
  expect(log).toContain('"alert":"A1","event":"resolved"')
})
