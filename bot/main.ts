// The bot's program: `serve` runs the service, `console` and commands run the console. Only this file uses the process. Bolt is imported
// only by the service, because loading it takes longer than a command.

import packageFile from '../package.json' with { type: 'json' }
import { untilAborted } from '../protocol/until-aborted.ts'
import { readCommandLine, USAGE } from './command-line.ts'
import { ConfigRefused, ownEnvironment, readBotConfig } from './config.ts'
import type { BotConfig } from './config.ts'
import { runConsole } from './console/console.ts'
import { rotateKey } from './credentials/rotate.ts'
import { openBot } from './open.ts'
import { ProblemError } from '../protocol/problems.ts'
import { homeKeyPath } from './system/key-file.ts'
import { plural } from '../protocol/views/phrases.ts'
import { systemClock } from './system/clock.ts'
import { exitOnCrash } from './system/crash.ts'
import { HomeUnusable, openDatabase, openMemoryDatabase } from './system/database.ts'
import { createLog } from './system/log.ts'
import { createNotifier } from './system/notify.ts'
import { raiseRequestLimit } from './system/request-limit.ts'

/** Runs the program and returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args)
  if (line.kind === 'version') return print(packageFile.version)
  if (line.kind === 'help' && line.hasUsage) print(`slipway ${packageFile.version}: watches and controls a fleet of Slipway stores\n\n${USAGE}`)
  if (line.kind === 'help' && line.words.length === 0) return 0
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => stop.abort(new Error(signal)))
  try {
    const config = readBotConfig()
    if (line.kind === 'rotate-key') return rotate(config, line.words)
    if (line.kind === 'serve') raiseRequestLimit(ownEnvironment())
    // At a terminal without Slack, `serve` opens the console.
    if (line.kind === 'serve' && (config.slack || !process.stdin.isTTY)) return await serve(config, line.words, stop.signal)
    // Help reads no store, so it creates no home folder.
    using bot = openBot(config.home, {
      clock: systemClock,
      environmentRoles: config,
      keyFiles: config.keyFiles,
      approvalRule: config.approvalRule,
      ...(config.web ? { web: config.web } : {}),
      ...(line.kind === 'help' ? { database: openMemoryDatabase() } : {}),
    })
    return await runConsole({
      bot,
      user: config.user,
      words: line.words,
      input: process.stdin,
      output: process.stdout,
      noColor: config.noColor,
      signal: stop.signal,
    })
  } catch (error) {
    if (error instanceof ProblemError) {
      process.stderr.write(`${error.problem.detail} ${error.problem.action}\n`)
      return 1
    }
    if (!(error instanceof ConfigRefused) && !(error instanceof HomeUnusable)) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

/** Replaces the key that encrypts the tokens of agents. Throws HomeUnusable and ProblemError. */
function rotate({ home, keyFiles }: BotConfig, words: readonly string[]): number {
  const isKeyLost = words[0] === '--lost-key'
  if (words.length > (isKeyLost ? 1 : 0)) {
    process.stderr.write(`rotate-key takes --lost-key alone, but was given: ${words.join(' ')}.\n`)
    return 2
  }
  using database = openDatabase(home)
  const { tokens, keyId, lost, outdated } = rotateKey({ database, clock: systemClock, keyFiles, homeKeyFile: homeKeyPath(home), isKeyLost })
  const rest = outdated.length === 0 ? '' : ` Older keys in ${outdated.join(' and ')} are not used any more: remove their lines.`
  const left = lost.length === 0 ? '' : ` The tokens of ${lost.join(', ')} cannot be read: run store edit S token=… for each.`
  return print(`${plural(tokens, 'token')} encrypted with the key ${keyId}.${rest}${left}`)
}

async function serve(config: BotConfig, rest: readonly string[], signal: AbortSignal): Promise<number> {
  if (rest.length > 0) {
    process.stderr.write(`serve takes no arguments, but was given: ${rest.join(' ')}. Its settings are environment variables.\n`)
    return 2
  }
  if (!config.slack && !hasWork(config)) {
    process.stderr.write(
      'The service needs Slack or a store: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP), or add a store with store add. Without both, use the console: slipway console.\n',
    )
    return 2
  }
  const log = createLog({ clock: systemClock, level: config.logLevel })
  using notifier = createNotifier({ clock: systemClock, socket: config.notifySocket, watchdogMs: config.watchdogMs })
  const { startBot } = await import('./serve.ts')
  let status = ''
  const report = (text: string): void => notifier.status((status = text))
  await using service = await startBot(config, { clock: systemClock, log, report, announce: (text) => process.stderr.write(`${text}\n`) })
  // The service is ready although Slack may not be reached yet: a restart by the supervisor would not help.
  notifier.ready(status)
  await Promise.race([untilAborted(signal), service.failed])
  log.info('stopping')
  notifier.stopping('Finishing answers in progress')
  return 0
}

/** Whether there is work for the service without Slack: stores whose state it keeps, or policies. Throws HomeUnusable. */
function hasWork({ home, keyFiles }: BotConfig): boolean {
  using bot = openBot(home, { clock: systemClock, keyFiles })
  return bot.fleet.registry.list().length > 0 || bot.context({ name: 'service', role: 'viewer' }, 'service').policies.list().length > 0
}

// The bot stores tokens: no other user may read its files.
process.umask(0o077)
exitOnCrash(`slipway ${packageFile.version}`)
const code = await main(process.argv.slice(2))
// Output to a pipe must be flushed before the process ends; the open input of a terminal must not keep it alive. The callback of an empty write comes
// before the output was written.
await new Promise<void>((resolve) => process.stdout.end(() => resolve()))
process.exit(code)
