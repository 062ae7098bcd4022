// The service: observes every store at an interval, runs the sync policies, and connects to Slack if it is configured.

import { noteHead } from './audit/note-head.ts'
import type { BotConfig } from './config.ts'
import { observeAll } from './fleet/observe.ts'
import { openBot } from './open.ts'
import type { OpenBot } from './open.ts'
import { runPolicies } from './policies/schedule.ts'
import { connectSlack } from './slack/connect.ts'
import { keepConnecting } from './slack/keep-connecting.ts'
import type { Clock } from './system/clock.ts'
import type { Log } from './system/log.ts'

/** Interval between two observations of every store, in milliseconds. */
export const POLL_INTERVAL_MS = 30_000

export interface BotDeps {
  readonly clock: Clock
  readonly log: Log
  /** Receives the state of the connection to Slack in one sentence. */
  readonly report?: (status: string) => void
}

export interface RunningBot extends AsyncDisposable {
  /** Never resolves; rejects with ConfigRefused when Slack refuses the credentials, however late. */
  readonly failed: Promise<never>
}

/**
 * Starts the bot on its home folder; disposing stops it cleanly. While Slack cannot be reached, the bot retries in the background. Throws
 * ConfigRefused.
 */
export async function startBot(config: BotConfig, deps: BotDeps): Promise<RunningBot> {
  const { clock, log, report = () => {} } = deps
  const stack = new AsyncDisposableStack()
  const bot = stack.use(openBot(config.home, { clock: deps.clock }))
  stack.use(noteHead(bot.audit, clock, log))
  stack.use(watchFleet(bot, deps))
  stack.use(runPolicies(bot, log))
  const { slack } = config
  try {
    const connect = slack && (() => connectSlack(slack, { bot, config, log, report }))
    const connection = connect && stack.use(await keepConnecting({ connect, clock, log, report }))
    return { failed: connection?.failed ?? new Promise<never>(() => {}), [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** Observes every store now and every POLL_INTERVAL_MS; an observation never starts while another is in progress. */
function watchFleet(bot: OpenBot, { clock, log }: BotDeps): AsyncDisposable {
  const states = new Map<string, string>()
  let running: Promise<void> | undefined
  const look = async (): Promise<void> => {
    try {
      for (const seen of await observeAll(bot.fleet, bot.fleet.registry.list())) {
        const before = states.get(seen.record.name)
        states.set(seen.record.name, seen.state)
        if (before !== undefined && before !== seen.state)
          log.warn('a store changed its state', { store: seen.record.name, from: before, to: seen.state, finding: seen.finding })
      }
    } catch (error) {
      log.error('observing the stores failed', { error })
    }
  }
  const begin = (): void => {
    running ??= look().finally(() => {
      running = undefined
    })
  }
  begin()
  const timer = clock.every(POLL_INTERVAL_MS, begin)
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await running
    },
  }
}
