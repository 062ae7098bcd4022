// The bot's program: `serve` runs it as a service, `console` is the console, and so are the words of a command alone.
// Only here the parts meet the process.

import { ConfigRefused, readBotConfig } from './config.ts'
import type { BotConfig } from './config.ts'
import { runConsole } from './console/console.ts'
import { openBot } from './open.ts'
import { startBot } from './serve.ts'
import { SlackUnreachable } from './slack/connect.ts'
import { systemClock } from './system/clock.ts'
import { HomeUnusable } from './system/database.ts'
import { createLog } from './system/log.ts'
import { createNotifier } from './system/notify.ts'

/** Runs the program; gives its exit code. */
async function main(words: readonly string[]): Promise<number> {
  const isService = words[0] === 'serve'
  const rest = words[0] === 'serve' || words[0] === 'console' ? words.slice(1) : words
  let config: BotConfig
  try {
    config = readBotConfig()
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => stop.abort(new Error(signal)))
  try {
    if (isService && (config.slack || !process.stdin.isTTY)) return await serve(config, rest, stop.signal)
    using bot = openBot(config.home, { clock: systemClock })
    return await runConsole({ bot, user: config.user, words: rest, input: process.stdin, output: process.stdout, noColor: config.noColor, signal: stop.signal })
  } catch (error) {
    const isTold = error instanceof ConfigRefused || error instanceof HomeUnusable || error instanceof SlackUnreachable
    if (!isTold) throw error
    process.stderr.write(`${error.message}\n`)
    // A supervisor tries again after 1; what stands in the configuration is wrong however often it is tried.
    return error instanceof SlackUnreachable ? 1 : 2
  }
}

async function serve(config: BotConfig, rest: readonly string[], signal: AbortSignal): Promise<number> {
  if (rest.length > 0) {
    process.stderr.write(`serve takes no words, but was given: ${rest.join(' ')}. Its settings are environment variables.\n`)
    return 2
  }
  if (!config.slack) {
    process.stderr.write(
      'The service needs Slack: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP). Without Slack, use the console: bun bot/main.ts console.\n',
    )
    return 2
  }
  const log = createLog({ clock: systemClock, level: config.logLevel })
  using notifier = createNotifier({ clock: systemClock, socket: config.notifySocket, watchdogMs: config.watchdogMs })
  await using _service = await startBot(config, { clock: systemClock, log })
  notifier.ready('Connected to Slack')
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  log.info('stopping')
  notifier.stopping('Answers under way end')
  return 0
}

// Nothing that the bot makes is readable to another user: it keeps tokens.
process.umask(0o077)
const code = await main(process.argv.slice(2))
// What was written to a pipe must be out before the process ends; a terminal's open input must not keep it alive.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit(code)
