// A bot that is connected to the fake Slack over Socket Mode, with one store whose agent is in memory.

import type { ApprovalRule } from '../../../bot/approvals/approvals.ts'
import { connectSlack } from '../../../bot/slack/connect.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { FakeSlack, FakeSlackOptions } from '../../support/clients/fake-slack/fake-slack.ts'
import type { Shown } from '../../support/clients/fake-slack/shown.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot } from '../fixture.ts'

export const ADMIN = { user: 'UADMIN' }

/** Starts a bot over Socket Mode with one store, `edge-a`; UOPER is an operator, UADMIN an admin, everyone else a viewer. */
export async function startSlackBot(options: FakeSlackOptions = {}, approvalRule: ApprovalRule = 'off') {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const agent = stack.use(createMemoryAgent('edge-a'))
  const bot = stack.use(openTestBot(folder.path, systemClock, { operators: new Set(['UOPER']), admins: new Set(['UADMIN']) }, { approvalRule }))
  const slack = stack.use(createFakeSlack(options))
  const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
  const config = { slackApiUrl: slack.apiUrl }
  const connect = () => connectSlack({ kind: 'socket', appToken: 'xapp-fake', botToken: 'xoxb-fake' }, { bot, config, log })
  const connection = stack.use(await connect())
  await until('the bot is connected', () => slack.socketCount === 1)
  bot.fleet.registry.add(
    { name: 'edge-a', url: agent.url, token: agent.token, zone: 'zone-1', provider: 'local', storeId: agent.store.id },
    systemClock.nowMs(),
  )
  return { agent, bot, slack, connect, connection, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** Waits until this many messages of a kind were shown; returns the last. */
export function seen(slack: FakeSlack, kind: Shown['kind'], count = 1): Promise<Shown> {
  return until(`${kind} ${count}`, () => slack.shown.filter((shown) => shown.kind === kind)[count - 1])
}
