// Tasks and events of an agent name the person in Slack who asked, not only the token of the bot.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { connectSlack } from '../../../bot/slack/connect.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runCommand } from '../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('a command in Slack is named after the person in tasks and events of the agent; one of the console after the token', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'), systemClock, { operators: new Set(['UOPER']), admins: new Set() })
  await using slack = createFakeSlack()
  const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
  await using _connection = await connectSlack(
    { kind: 'socket', appToken: 'xapp-fake', botToken: 'xoxb-fake' },
    { bot, config: { slackApiUrl: slack.apiUrl }, log },
  )
  await until('the bot is connected', () => slack.socketCount === 1)
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  const client = createAgentClient({ baseUrl: agent.url, token: TEST_ADMIN_TOKEN })

  await slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
  const task = await until('the task', async () => (await client.tasks.list()).items.find(({ kind }) => kind === 'cleanup'))
  expect(task.createdBy).toBe('name-UOPER (UOPER) via admin')
  await slack.command('/slipway', 'store disable edge-a reason=check', { user: 'UOPER' })
  await until('the store is disabled', async () => !(await client.store.get()).enabled)
  const answer = await fetch(`${agent.url}/v1/events`, { headers: { authorization: `Bearer ${TEST_ADMIN_TOKEN}`, accept: 'application/json' } })
  const { items } = (await answer.json()) as { items: { type: string; actor: string; message: string }[] }
  expect(items.find(({ type }) => type === 'store.disabled')).toMatchObject({
    actor: 'name-UOPER (UOPER) via admin',
    message: 'name-UOPER (UOPER) via admin disabled the store: check.',
  })
  expect((await runCommand(bot, 'store', 'enable', 'edge-a')).code).toBe(0)
  expect((await runCommand(bot, 'task', 'list')).output).toContain('name-UOPER (UOPER) via admin')
  expect((await runCommand(bot, 'store', 'cleanup', 'edge-a')).code).toBe(0)
  expect((await client.tasks.list()).items[0]?.createdBy).toBe('admin')
})
