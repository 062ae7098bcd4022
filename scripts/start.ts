// `bun run start`: runs a store below SLIPWAY_HOME (./data), its agent as a child process, the bot paired to it, and the
// console. Ctrl-D, the end of piped lines, SIGTERM or SIGINT stop everything.
//
// Without bytes on standard input (closed, or /dev/null, as under a supervisor) it serves until it receives a signal.

import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigRefused, readBotConfig } from '../bot/config.ts'
import type { BotConfig } from '../bot/config.ts'
import { runConsole } from '../bot/console/console.ts'
import { openBot } from '../bot/open.ts'
import { pairStore } from '../bot/pair.ts'
import { startBot } from '../bot/serve.ts'
import { systemClock } from '../bot/system/clock.ts'
import { createLog } from '../bot/system/log.ts'
import { startAgentChild } from './agent-child.ts'
import type { AgentChild } from './agent-child.ts'
import { waitForInput } from './first-input.ts'
import { onRunnersGone } from './runners.ts'

const STORE_NAME = 'local'

async function main(): Promise<number> {
  const config = readConfig()
  if (typeof config === 'string') return complain(config)
  const { home } = config
  const folders = { mount: join(home, 'store'), state: join(home, 'agent') }
  const environment = {
    SLIPWAY_STORE_NAME: STORE_NAME,
    SLIPWAY_STORE_MOUNT: folders.mount,
    SLIPWAY_STORE_STATE: folders.state,
    ...process.env,
  }
  const stop = stopSignal()
  const started = await startAgentChild(environment, join(home, 'agent.log'))
  if (started.kind === 'ended') return complain(started.output.trim(), started.code)
  const { agent } = started
  try {
    const tokenFile = join(environment.SLIPWAY_STORE_STATE, 'admin-token')
    const token = process.env['SLIPWAY_ADMIN_TOKEN'] ?? readToken(tokenFile)
    if (token === undefined) return complain(`The admin token is no longer in ${tokenFile}. Set SLIPWAY_ADMIN_TOKEN to a new admin token, and start again.`)
    pairStore(home, { name: agent.store, url: agent.url, token, zone: process.env['SLIPWAY_STORE_ZONE'] ?? 'zone-1' }, config.keyFiles)
    welcome(config, agent, process.env['SLIPWAY_ADMIN_TOKEN'] === undefined ? tokenFile : 'the one in SLIPWAY_ADMIN_TOKEN')
    await using _bot = await startBot(config, {
      clock: systemClock,
      log: createLog({ clock: systemClock, level: config.logLevel, write: (line) => appendFileSync(join(home, 'bot.log'), `${line}\n`) }),
    })
    return await converse(config, agent, stop)
  } finally {
    await agent.stop()
  }
}

/** Runs the console until its input ends, or serves until a signal. Returns early when the agent exits. */
async function converse(config: BotConfig, agent: AgentChild, stop: AbortController): Promise<number> {
  const agentEnded = agent.ended.then((code) => {
    if (!stop.signal.aborted) process.stderr.write(`\nThe agent has ended (exit code ${code}). Its log is ${join(config.home, 'agent.log')}.\n`)
    stop.abort(new Error('the agent has ended'))
    return 1
  })
  const stopped = new Promise<number>((resolve) => stop.signal.addEventListener('abort', () => resolve(0), { once: true }))
  const talk = async (): Promise<number> => {
    const isPerson = process.stdin.isTTY && process.stdout.isTTY
    const input = isPerson ? process.stdin : await waitForInput(process.stdin)
    if (!input) return stopped
    using bot = openBot(config.home, { clock: systemClock, keyFiles: config.keyFiles, ...(config.web ? { web: config.web } : {}) })
    return await runConsole({ bot, user: config.user, words: [], input, output: process.stdout, noColor: config.noColor, signal: stop.signal })
  }
  const code = await Promise.race([talk(), agentEnded, stopped])
  stop.abort(new Error('the console has ended'))
  return code
}

function welcome(config: BotConfig, agent: AgentChild, token: string): void {
  process.stdout.write(`
Slipway is running.

  Store     ${agent.store}, in ${agent.mount}
  Address   ${agent.url}
  Token     ${token}
  Logs      ${join(config.home, 'agent.log')}, ${join(config.home, 'bot.log')}
  Slack     ${config.slack ? (config.slack.kind === 'socket' ? 'Socket Mode' : `HTTP on ${config.slack.hostname}:${config.slack.port}`) : 'not configured; the console has the same commands'}
  Page      ${config.web ? 'the command web prints a link into it, for your browser' : 'off'}

Three things to try:

  image upload ./disk.qcow2 store=${agent.store} name=first
  store health ${agent.store}
  help

`)
}

/** Returns a controller that SIGTERM, SIGINT or SIGHUP aborts, and the exit of npx or bun run, which do not always forward a signal. */
function stopSignal(): AbortController {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop.abort(new Error(signal)))
  onRunnersGone(() => stop.abort(new Error('the process that ran this script has ended')))
  return stop
}

function readConfig(): BotConfig | string {
  try {
    return readBotConfig()
  } catch (error) {
    if (error instanceof ConfigRefused) return error.message
    throw error
  }
}

function readToken(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
}

function complain(text: string, code = 2): number {
  process.stderr.write(`${text}\n`)
  return code
}

const code = await main()
// Output to a pipe must be flushed before the process exits, and the open input of a terminal must not keep it alive.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit(code)
