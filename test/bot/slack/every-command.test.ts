// Every command of the table in Slack: without the role it is refused in private, and with agents that are gone Slack accepts every answer.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import type { Shown } from '../../support/clients/fake-slack/shown.ts'
import { until } from '../../support/until.ts'
import { LINES } from '../commands/grammar/lines.ts'
import { ADMIN, startSlackBot } from './fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

type SlackBot = Awaited<ReturnType<typeof startSlackBot>>

/** Sends a command, and returns what was shown first after it. */
async function ask(it: SlackBot, line: string, user: string): Promise<Shown> {
  const before = it.slack.shown.length
  const { afterMs } = await it.slack.command('/slipway', line, { user })
  expect(afterMs).toBeLessThan(3000)
  return until(`an answer to ${line}`, () => it.slack.shown[before])
}

test('a viewer is told which role a command needs', async () => {
  await using it = await startSlackBot()
  const refused: string[] = []
  for (const [name, [line]] of Object.entries(LINES)) {
    const command = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}`.trim() === name)
    if (command?.role === 'viewer') continue
    const answer = await ask(it, line, 'UVIEW')
    expect([name, answer.kind, answer.inChannel]).toEqual([name, 'response', false])
    expect(visibleText(answer)).toContain(`${name} needs the role ${command?.role}; name-UVIEW (UVIEW) has viewer.`)
    expect(visibleText(answer)).toContain('Ask an admin of the bot to run it or to give you the role.')
    refused.push(name)
  }
  expect(refused.length).toBeGreaterThan(50)
  expect(it.agent.tasks.size).toBe(0)
  expect(it.slack.failures).toEqual([])
})

test('an admin gets an answer that Slack accepts while agents are gone', async () => {
  await using it = await startSlackBot()
  await it.agent[Symbol.asyncDispose]()
  it.bot.fleet.registry.add({ name: 'edge-b', url: it.agent.url, token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  it.bot.context({ name: 'ann', role: 'admin' }, 'slack').policies.add({
    ...{ name: 'p', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' }, labels: [], kinds: [], cron: '23 2 * * *', timezone: 'UTC' },
    ...{ graceMs: 0, paused: false, createdMs: 0, anchorMs: 0 },
  })
  // Writes that succeed without an agent are cards in the channel, where Slack limits the rate.
  const cards = new Set([
    'alert silence',
    'alert subscribe',
    'policy add',
    'policy edit',
    'policy run',
    'policy pause',
    'policy resume',
    'policy delete',
    'role grant',
    'store evidence',
    'store maintenance',
    'store bind',
    'zone add',
    'zone attach',
    'zone detach',
  ])
  for (const [name, [line, silent]] of Object.entries(LINES)) {
    if (cards.has(name)) continue
    const first = await ask(it, line.replace('URL', it.agent.url), ADMIN.user)
    const text = visibleText(first)
    expect([name, first.kind]).toEqual([name, 'response'])
    if (silent === 'reason') expect([name, /cannot be reached|nothing listens there/.test(text)]).toEqual([name, true])
    if (silent === 'gap') expect([name, text]).toEqual([name, expect.stringMatching(/edge-a has (been Stopped|not answered) since/)])
    if (silent === 'stopped') expect([name, text.includes('Stopped')]).toEqual([name, true])
  }
  expect(it.slack.failures).toEqual([])
})
