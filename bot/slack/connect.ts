// Connects the bot to Slack through Bolt, by Socket Mode or by HTTP through Hono, and wires the parts of this folder.

import { App, LogLevel, SocketModeReceiver } from '@slack/bolt'
import type { AppOptions, Receiver } from '@slack/bolt'
import { ErrorCode, WebClient } from '@slack/web-api'
import type { WebClientOptions } from '@slack/web-api'
import { errorText, hasCode } from '../../protocol/errors.ts'
import type { BulkRun } from '../bulk/bulk-run.ts'
import { keepRunning } from '../commands/bulk/keep-running.ts'
import type { CommandActor } from '../commands/command.ts'
import { COMMANDS } from '../commands/table.ts'
import type { BotConfig, SlackAccess } from '../config.ts'
import { ConfigRefused } from '../config.ts'
import type { OpenBot } from '../open.ts'
import { createPictures } from '../charts/picture/pictures.ts'
import type { Log } from '../system/log.ts'
import { REQUEST_PATH } from '../commands/slack/app-manifest.ts'
import { createAnswers } from './answers.ts'
import { createAuthority } from './authorise.ts'
import type { Authority } from './authorise.ts'
import { boltLogger } from './receive/bolt-log.ts'
import { createButtons } from './buttons.ts'
import { createCards } from './cards.ts'
import { createConversation } from './conversation.ts'
import { createDeliveryPort } from './send/delivery-port.ts'
import { findStarted } from './find-started.ts'
import { createPickers } from './forms/pickers.ts'
import { createGroups } from './groups.ts'
import { runHome } from './home/run-home.ts'
import { createRenderer } from './message.ts'
import { createOpenModals } from './open-modals.ts'
import { createPacing } from './send/pacing.ts'
import { createHonoReceiver } from './receive/receiver.ts'
import { createRepeats } from './receive/repeats.ts'
import { createPicturePort } from './send/picture-port.ts'
import { createSlackPort } from './port.ts'
import { listenToSlack } from './requests.ts'
import { runApprovals } from './run-approvals.ts'
import { sendOutbox } from './send/send-outbox.ts'
import { SlackUnreachable } from './receive/slack-unreachable.ts'

/** Time that answers in progress have when the bot stops, in milliseconds. */
const DRAIN_MS = 5_000

/** Retries to reach Slack when the bot starts, and the time that each attempt may take, in milliseconds. */
const START_RETRIES = { retries: 3, minTimeout: 500, maxTimeout: 2_000 }
const START_TIMEOUT_MS = 10_000
/** Retries to reopen Socket Mode: endless, because nothing else restarts it. Times in milliseconds. */
const RECONNECT_RETRIES = { forever: true, factor: 1.5, minTimeout: 1_000, maxTimeout: 30_000 }

export interface SlackConnection extends AsyncDisposable {
  /** The address for Slack's requests; undefined in Socket Mode. */
  readonly url: string | undefined
}

export interface ConnectDeps {
  readonly bot: OpenBot
  readonly config: Pick<BotConfig, 'slackApiUrl'>
  readonly log: Log
  /** Receives the state of the connection in one sentence when it changes. */
  readonly report?: (status: string) => void
}

/**
 * Connects to Slack and starts to answer. Throws ConfigRefused when Slack refuses the credentials or the port is taken, and
 * SlackUnreachable when Slack does not answer.
 */
export async function connectSlack(access: SlackAccess, deps: ConnectDeps): Promise<SlackConnection> {
  const { bot, log } = deps
  const repeats = createRepeats(bot.database, bot.clock)
  const http = access.kind === 'http' ? createHonoReceiver({ signingSecret: access.signingSecret, clock: bot.clock, log, repeats }) : undefined
  const app = createApp(access, deps, http)
  const buttons = createButtons(bot.database, bot.clock)
  const modals = createOpenModals(bot.database, bot.clock)
  const port = createSlackPort(app.client)
  const render = createRenderer({ commands: COMMANDS, clock: bot.clock, buttons })
  const context = bot.context({ name: 'bot', role: 'viewer' }, 'slack')
  const cards = createCards({ database: bot.database, outbox: bot.outbox, log, context })
  const groups = createGroups({ database: bot.database, port, clock: bot.clock, log })
  const authority = createAuthority({ bot, roles: bot.roles, groups, buttons, modals })
  const clientOptions = { ...clientOptionsOf(deps.config), logger: boltLogger(log) }
  const pictures = createPicturePort({ botToken: access.botToken, options: clientOptions, draw: createPictures(), log })
  const answers = createAnswers({ clock: bot.clock, cards, linkCards: bot.linkCards, port, pictures, render })
  const conversation = createConversation({ bot, authority, buttons, modals, answers, port, render })
  const running = new Set<Promise<void>>()
  const background = (work: Promise<void>): void => {
    const watched = work.catch((error: unknown) => log.error('an answer to Slack failed', { error }))
    running.add(watched)
    void watched.finally(() => running.delete(watched))
  }
  const pickers = createPickers({ bot, authority, buttons, modals })
  listenToSlack({ app, conversation, pickers, port, clock: bot.clock, repeats, log, background })
  const home = runHome({ app, bot, buttons, authority, groups, conversation, port, repeats, log, botToken: access.botToken, clientOptions, background })

  // Before new commands add theirs.
  const left = bot.started.left()
  let server: Bun.Server<undefined> | undefined
  try {
    await start(app, access, deps.config.slackApiUrl)
    server = http && access.kind === 'http' ? serveHttp(http.routes, access) : undefined
  } catch (error) {
    await home[Symbol.asyncDispose]()
    throw error
  }
  cards.resume()
  background(findStarted({ left, started: bot.started, cards, context, log }))
  const deliveryPort = createDeliveryPort(access.botToken, clientOptions)
  const sender = sendOutbox({ database: bot.database, outbox: bot.outbox, port: deliveryPort, pacing: createPacing(bot.clock), clock: bot.clock, log, render })
  const approved = runApprovals({ bot, authority, log })
  const bulk = keepRunning({ ...bot, log, surface: 'slack', takesOver: true, actorOf: (run) => bulkActor(authority, run) })
  log.info('connected to Slack', { mode: access.kind, url: server?.url.href })
  return {
    url: server ? new URL(REQUEST_PATH, server.url).href : undefined,
    async [Symbol.asyncDispose]() {
      await server?.stop()
      await app.stop()
      await Promise.race([Promise.all(running), bot.clock.sleep(DRAIN_MS)])
      await home[Symbol.asyncDispose]()
      await approved[Symbol.asyncDispose]()
      await bulk[Symbol.asyncDispose]()
      await cards[Symbol.asyncDispose]()
      await sender[Symbol.asyncDispose]()
    },
  }
}

/** Who began a run, with the roles that count now and the name under which it began, which may name an approver. */
async function bulkActor(authority: Authority, { actor, actorId, channel }: BulkRun): Promise<CommandActor> {
  await authority.refresh()
  return { ...authority.actorOf({ user: actorId, userName: actor, channel }), name: actor }
}

function createApp(access: SlackAccess, { config, log, report }: ConnectDeps, receiver: Receiver | undefined): App {
  const clientOptions = clientOptionsOf(config)
  const base: AppOptions = {
    token: access.botToken,
    clientOptions,
    logger: boltLogger(log),
    deferInitialization: true,
    tokenVerificationEnabled: false,
  }
  const app =
    access.kind === 'socket'
      ? new App({ ...base, receiver: createSocketReceiver(access.appToken, clientOptions, log, report) })
      : new App({ ...base, ...(receiver ? { receiver } : {}) })
  app.error((error) => {
    log.error('Bolt reports an error', { error })
    return Promise.resolve()
  })
  return app
}

function clientOptionsOf({ slackApiUrl }: ConnectDeps['config']): WebClientOptions {
  return slackApiUrl === undefined ? {} : { slackApiUrl }
}

/** Creates the receiver of Socket Mode, which reopens a lost connection however long that takes. */
function createSocketReceiver(appToken: string, clientOptions: WebClientOptions, log: Log, report: ConnectDeps['report']): SocketModeReceiver {
  const persistent = { ...clientOptions, timeout: START_TIMEOUT_MS, retryConfig: RECONNECT_RETRIES }
  const receiver = new SocketModeReceiver({ appToken, logger: boltLogger(log), installerOptions: { clientOptions: persistent } })
  receiver.client.on('reconnecting', () => {
    log.warn('the connection to Slack was lost; reconnecting')
    report?.('Not connected: the connection to Slack was lost; reconnecting')
  })
  receiver.client.on('connected', () => report?.('Connected to Slack'))
  return receiver
}

/** Tests the bot token with few retries, so that a mistake is reported quickly; then starts to listen. */
async function start(app: App, access: SlackAccess, slackApiUrl: string | undefined): Promise<void> {
  const which = access.kind === 'socket' ? 'SLACK_BOT_TOKEN and SLACK_APP_TOKEN (scope connections:write)' : 'SLACK_BOT_TOKEN'
  try {
    const client = new WebClient(access.botToken, {
      ...(slackApiUrl === undefined ? {} : { slackApiUrl }),
      retryConfig: START_RETRIES,
      timeout: START_TIMEOUT_MS,
      logLevel: LogLevel.ERROR,
      logger: app.logger,
    })
    await client.auth.test()
    await app.init()
    await app.start()
  } catch (error) {
    const reason = errorText(error)
    const isRefused = hasCode(error, ErrorCode.PlatformError)
    if (isRefused) throw new ConfigRefused(`Slack refuses: ${reason}. Check ${which}, then start again.`, { cause: error })
    throw new SlackUnreachable(
      `Slack cannot be reached: ${reason}. Check the network${slackApiUrl === undefined ? '' : ` and SLACK_API_URL (${slackApiUrl})`}.`,
      { cause: error },
    )
  }
}

function serveHttp(
  routes: { fetch: (request: Request) => Response | Promise<Response> },
  access: { readonly hostname: string; readonly port: number },
): Bun.Server<undefined> {
  try {
    return Bun.serve({ hostname: access.hostname, port: access.port, fetch: (request) => routes.fetch(request) })
  } catch (error) {
    const reason = errorText(error)
    throw new ConfigRefused(
      `${access.hostname}:${access.port} cannot be used: ${reason}. Stop the process that uses it, or set SLIPWAY_BOT_LISTEN to another address.`,
      { cause: error },
    )
  }
}
