// Bench `fleet`: the bot as a service with 1,000 simulated agents in 10 zones. How long a slash command takes until its reply, how much memory the
// bot has, how long all agents take to be back after the bot was killed, how long until the catalogue has their images, and how long until the outage of a
// zone is known and is one card in Slack.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSubscriptions } from '../../bot/alerts/subscriptions.ts'
import { openDatabase } from '../../bot/system/database.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { createFakeSlack } from '../support/clients/fake-slack/fake-slack.ts'
import type { FakeSlack } from '../support/clients/fake-slack/fake-slack.ts'
import { until } from '../support/until.ts'
import type { Figure } from './figure.ts'
import { figure, quantile } from './figure.ts'
import { imagesOf, registerAgents, startFleetAgents, statesOf } from './fleet-agents.ts'
import { removeFolder } from './measure.ts'

const AGENTS = 1_000
const ZONES = 10
const COMMANDS = 50
/** Images of each agent. */
const IMAGES = 20
const CHANNEL = 'C0NIGHT'
/** The hold-down of a store that is Stopped, in seconds: ten observations, 5 s apart, of which the first is made up to 5 s after the store is Stopped. */
const HOLD_DOWN_S = 50
/** Pause between two slash commands in milliseconds: people do not ask without a pause. */
const PAUSE_MS = 50
/** How long further cards are waited for after the first, in milliseconds: more than two observations. */
const SETTLED_MS = 12_000
const MB = 1e6
const BOT = join(import.meta.dirname, '../../bot/main.ts')

/** Measures the fleet. */
export async function benchFleet(): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  const home = mkdtempSync(join(tmpdir(), 'slipway-bench-fleet-'))
  stack.defer(() => removeFolder(home))
  const agents = startFleetAgents(stack, { agents: AGENTS, zones: ZONES, images: IMAGES })
  const slack = stack.use(createFakeSlack())
  const { registered, tell } = await agents
  subscribe(home)
  registerAgents(home, registered)
  const start = () => startBot(home, slack)

  const figures: Figure[] = []
  let bot = start()
  stack.defer(() => stopBot(bot))
  const isBack = async (): Promise<boolean> => (await tell('streams')) === AGENTS
  figures.push(figure('fleet', 'all agents connected after a start', await secondsUntil('all agents are connected', isBack), 's'))
  await until('the bot is connected to Slack', () => slack.socketCount === 1, 60_000)
  await until('all states are written', () => statesOf(home) === AGENTS, 60_000)
  const read = async (): Promise<boolean> => {
    // The bot writes to the same database.
    await Bun.sleep(500)
    return imagesOf(home) === AGENTS * IMAGES
  }
  figures.push(figure('fleet', `catalogue of ${AGENTS * IMAGES} images read`, await secondsUntil('the catalogue is read', read), 's'))
  figures.push(...(await commands(slack, 'store health', 'all well')), ...(await commands(slack, 'store health store-0500', 'one store')))

  bot.kill('SIGKILL')
  await bot.exited
  await until('its streams are closed', async () => (await tell('streams')) === 0, 60_000)
  bot = start()
  figures.push(figure('fleet', 'all agents back after SIGKILL of the bot', await secondsUntil('all agents are back', isBack), 's'))

  await until('the bot is connected to Slack', () => slack.socketCount === 1, 60_000)
  const before = cardsIn(slack)
  await tell('hang zone-3')
  const isKnown = async (): Promise<boolean> => statesOf(home, 'stopped') === AGENTS / ZONES
  figures.push(figure('fleet', 'outage of a zone of 100 until all are Stopped', await secondsUntil('the outage is known', isKnown), 's'))
  const knownMs = performance.now()
  figures.push(...(await commands(slack, 'store health', '100 silent')))
  await until('a card is posted', () => cardsIn(slack) > before, 120_000)
  figures.push(figure('fleet', 'outage of a zone of 100: card, after the hold-down', (performance.now() - knownMs) / 1000 - HOLD_DOWN_S, 's'))
  await Bun.sleep(SETTLED_MS)
  figures.push(figure('fleet', 'outage of a zone of 100: cards', cardsIn(slack) - before, 'count'))
  figures.push(figure('fleet', 'console: store health --json, 100 silent', await consoleSeconds(home), 's'))
  figures.push(figure('fleet', 'resident memory of the bot, highest', residentBytesMax(bot.pid) / MB, 'MB'))
  return figures
}

function subscribe(home: string): void {
  using database = openDatabase(home)
  createSubscriptions(database).put({ channel: CHANNEL, store: '', zone: '', severity: 'warning', createdBy: 'bench' }, {}, Date.now())
}

function startBot(home: string, slack: FakeSlack) {
  return Bun.spawn([process.execPath, BOT, 'serve'], {
    env: {
      PATH: process.env['PATH'],
      SLIPWAY_HOME: home,
      SLIPWAY_BOT_LOG: 'error',
      SLACK_BOT_TOKEN: 'xoxb-fake',
      SLACK_APP_TOKEN: 'xapp-fake',
      SLACK_API_URL: slack.apiUrl,
    },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
}

async function stopBot(bot: ReturnType<typeof startBot>): Promise<void> {
  bot.kill()
  await bot.exited
}

/** Returns how many messages are in the channel of alerts, without those in threads. */
function cardsIn(slack: FakeSlack): number {
  return slack.shown.filter(({ kind, channel, thread }) => kind === 'post' && channel === CHANNEL && thread === undefined).length
}

/** Sends a slash command again and again; returns the time to its acknowledgement and to its reply. */
async function commands(slack: FakeSlack, line: string, name: string): Promise<Figure[]> {
  const acks: number[] = []
  const replies: number[] = []
  const count = (): number => slack.shown.filter(({ kind }) => kind === 'response').length
  for (let i = 0; i < COMMANDS; i++) {
    const before = count()
    const startMs = performance.now()
    acks.push((await slack.command('/slipway', line)).afterMs)
    while (count() === before) await Bun.sleep(1)
    replies.push(performance.now() - startMs)
    await Bun.sleep(PAUSE_MS)
  }
  return [
    figure('fleet', `${line}, ${name}: ack, p99`, quantile(acks, 0.99), 'ms'),
    figure('fleet', `${line}, ${name}: reply, p50`, quantile(replies, 0.5), 'ms'),
    figure('fleet', `${line}, ${name}: reply, p99`, quantile(replies, 0.99), 'ms'),
  ]
}

async function secondsUntil(what: string, isSo: () => Promise<boolean>): Promise<number> {
  const startMs = performance.now()
  await until(what, isSo, 180_000)
  return (performance.now() - startMs) / 1000
}

async function consoleSeconds(home: string): Promise<number> {
  const startMs = performance.now()
  const program = Bun.spawn([process.execPath, BOT, 'console', 'store', 'health', '--json'], {
    env: { PATH: process.env['PATH'], SLIPWAY_HOME: home },
    stdin: 'ignore',
    stdout: 'pipe',
  })
  const { items } = (await new Response(program.stdout).json()) as { items: { state: string }[] }
  const stopped = items.filter(({ state }) => state === 'stopped').length
  if (stopped !== AGENTS / ZONES) throw new Error(`the console shows ${stopped} stopped stores`)
  return (performance.now() - startMs) / 1000
}
