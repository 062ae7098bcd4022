// The bot's service runs sync policies without Slack, and a bot that is killed in the middle of a run goes on with it: nothing is ordered twice.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { PolicyRun } from '../../../bot/policies/runs.ts'
import { POLICY_DEFAULTS } from '../../../bot/commands/policy/options.ts'
import { openTestBot, runCommand } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { uploadedImage } from '../../support/agents/uploaded-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const stack = new AsyncDisposableStack()
let home: TemporaryFolder
let hub: AgentProcess
let edge: AgentProcess
beforeAll(async () => {
  home = stack.use(await createTemporaryFolder())
  hub = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path))
  edge = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path))
  using bot = openTestBot(home.path)
  for (const [name, agent] of [
    ['hub', hub],
    ['edge', edge],
  ] as const)
    // prettier-ignore
    expect((await runCommand(bot, 'store', 'add', `name=${name}`, `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, `zone=${name}`)).code).toBe(0)
  expect((await runCommand(bot, 'policy', 'add', 'mirror', 'follow=hub', 'store=edge', 'cron=0 * * * *')).code).toBe(0)
})
afterAll(() => stack.disposeAsync())

/** Starts the service; its policy has missed its last times. */
function serve(): Bun.Subprocess<'ignore', 'ignore', 'inherit'> {
  return Bun.spawn([...botProgram(), 'serve'], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home.path, SLIPWAY_BOT_LOG: 'error' },
  })
}

function missTimes(): void {
  using bot = openTestBot(home.path)
  const { policies } = bot.context({ name: 'test', role: 'admin' }, 'console')
  expect(policies.change('mirror', { anchorMs: bot.clock.nowMs() - 5 * 3_600_000 })?.timezone).toBe(POLICY_DEFAULTS.timezone)
}

function runs(): PolicyRun[] {
  using bot = openTestBot(home.path)
  return bot.context({ name: 'test', role: 'admin' }, 'console').policyRuns.list('mirror')
}

async function kill(bot: Bun.Subprocess): Promise<void> {
  bot.kill('SIGKILL')
  await bot.exited
}

const syncs = async (): Promise<number> => (await edge.client.tasks.list({ kind: 'sync' })).items.length

test('a bot that is killed before it ordered anything makes up for all missed times with one run', async () => {
  await uploadedImage(hub, 'first', 1)
  missTimes()
  // The run cannot get further than to its record while the target does not answer.
  process.kill(edge.pid, 'SIGSTOP')
  const killed = serve()
  try {
    await until('the run is recorded', () => runs().length === 1)
    await kill(killed)
  } finally {
    process.kill(edge.pid, 'SIGCONT')
  }
  expect(runs()).toMatchObject([{ isOrdered: false, endedMs: null, cause: 'schedule' }])

  const bot = serve()
  await until('the run has ended', () => runs()[0]?.endedMs)
  bot.kill('SIGTERM')
  expect(await bot.exited).toBe(0)
  expect(runs()).toMatchObject([{ outcome: 'succeeded', result: '1 copy of an image made' }])
  expect(await syncs()).toBe(1)
  expect((await edge.client.images.list()).items.map(({ name }) => name)).toEqual(['first'])
})

test('a bot that is killed after it ordered a copy follows the same task to its end', async () => {
  await uploadedImage(hub, 'second', 2)
  missTimes()
  const killed = serve()
  await until('the copy is ordered', () => runs()[0]?.copies.some(({ taskId }) => taskId !== null) || runs().length === 2)
  await kill(killed)
  const bot = serve()
  await until('the run has ended', () => runs().length === 2 && runs()[0]?.endedMs)
  await kill(bot)
  expect(runs()[0]).toMatchObject({ outcome: 'succeeded' })
  expect(await syncs()).toBe(2)
  expect((await edge.client.images.list()).items.map(({ name }) => name).toSorted()).toEqual(['first', 'second'])
  using home2 = openTestBot(home.path)
  const ends = home2.audit.list({ target: 'mirror', limit: 20 }).filter(({ surface }) => surface === 'service')
  expect(ends.map(({ command, outcome, detail }) => [command, outcome, detail])).toEqual([
    ['policy run mirror', 'done', '1 copy of an image made'],
    ['policy run mirror', 'done', '1 copy of an image made'],
  ])
})
