// The console, Slack over Socket Mode and Slack over HTTP show the same facts.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connectSlack } from '../../../bot/slack/connect.ts'
import type { SlackAccess } from '../../../bot/config.ts'
import { createLog } from '../../../bot/system/log.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import type { FakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { Shown } from '../../support/clients/fake-slack/shown.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const log = createLog({ clock: systemClock, level: 'error', write: () => {} })

const MODES: readonly { readonly name: string; readonly access: SlackAccess }[] = [
  { name: 'Socket Mode', access: { kind: 'socket', appToken: 'xapp-fake', botToken: 'xoxb-fake' } },
  { name: 'HTTP', access: { kind: 'http', signingSecret: 'fake-signing-secret', botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 } },
]

function lastResponse(slack: FakeSlack, count: number): Promise<Shown> {
  return until(`response ${count}`, () => slack.shown.filter(({ kind }) => kind === 'response')[count - 1])
}

describe.each(MODES)('store health over $name', ({ access }) => {
  test('shows the facts of the console, for a running store and for a stopped one', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    using bot = openTestBot(folder.file('home'))
    let url: string | undefined
    await using slack = createFakeSlack(access.kind === 'http' ? { deliverTo: () => url ?? '' } : {})
    await using connection = await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl }, log })
    url = connection.url
    if (access.kind === 'socket') await until('the bot is connected', () => slack.socketCount === 1)
    expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)

    const acked = await slack.command('/slipway', 'store health edge-a')
    expect(acked.afterMs).toBeLessThan(3000)
    const running = visibleText(await lastResponse(slack, 1))
    // On a busy machine the event loop is late and the state is Degraded.
    expect(running).toMatch(/Running|Degraded/)
    const { value: healthy } = await runJson(bot, 'store', 'health', 'edge-a')
    for (const check of healthy['checks'] as { name: string }[]) expect(running).toContain(check.name)

    await agent.kill()
    await slack.command('/store', 'health edge-a')
    const stopped = visibleText(await lastResponse(slack, 2))
    const { value, code } = await runJson(bot, 'store', 'health', 'edge-a')
    const terminal = (await runCommand(bot, 'store', 'health', 'edge-a')).output
    expect(code).toBe(0)
    expect(value['state']).toBe('stopped')
    const since = `${String(value['since']).slice(0, 19).replace('T', ' ')} UTC`
    for (const text of [stopped, terminal]) {
      expect(text).toContain('Stopped')
      expect(text).toContain(since)
      expect(text).toContain(String(value['impact']))
      expect(text).toContain(String(value['action']))
      expect(text).toContain(String(value['finding']))
      expect(text).toContain('as of ')
      expect(text).not.toContain('● Running')
    }
    expect(slack.failures).toEqual([])
  })
})
