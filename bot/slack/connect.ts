// Slack through Bolt: Socket Mode, or HTTP through Hono. Every request is acknowledged at once and answered afterwards;
// one that Slack sends twice is answered once.

import { App, LogLevel, SocketModeReceiver } from '@slack/bolt'
import type { AppOptions, BlockAction, ButtonAction, Receiver, RespondFn } from '@slack/bolt'
import type { Role } from '../../protocol/access.ts'
import { ErrorCode, WebClient } from '@slack/web-api'
import type { BotConfig, SlackAccess } from '../config.ts'
import { ConfigRefused } from '../config.ts'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import type { View } from '../views/view.ts'
import { createButtons } from './buttons.ts'
import { createCards } from './cards.ts'
import type { Cards } from './cards.ts'
import { createConversation } from './conversation.ts'
import type { Conversation, Exchange } from './conversation.ts'
import { CONFIRM_CALLBACK, FORM_CALLBACK, loadingModal, NAME_INPUT } from './modals.ts'
import { createPacing } from './pacing.ts'
import { createHonoReceiver } from './receiver.ts'
import { createSlackPort } from './port.ts'
import { boltLogger } from './bolt-log.ts'

/** Requests that are remembered so as to answer them once. */
const SEEN_MAX = 2_000
/** Time that answers under way have when the bot stops, in milliseconds. */
const DRAIN_MS = 5_000

/** Tries to reach Slack when the bot starts, and the time each may take in milliseconds. */
const START_RETRIES = { retries: 3, minTimeout: 500, maxTimeout: 2_000 }
const START_TIMEOUT_MS = 10_000

/** Slack did not answer: it may be there later, unlike wrong credentials. */
export class SlackUnreachable extends Error {
  override readonly name = 'SlackUnreachable'
}

export interface SlackConnection extends AsyncDisposable {
  /** Address that takes Slack's requests; undefined in Socket Mode. */
  readonly url: string | undefined
}

export interface ConnectDeps {
  readonly bot: OpenBot
  readonly config: Pick<BotConfig, 'slackApiUrl' | 'operators' | 'admins'>
  readonly log: Log
}

/**
 * Connects, and answers from then on. Throws ConfigRefused when Slack refuses the credentials or the port is
 * taken, SlackUnreachable when it does not answer.
 */
export async function connectSlack(access: SlackAccess, deps: ConnectDeps): Promise<SlackConnection> {
  const { bot, log } = deps
  const http = access.kind === 'http' ? createHonoReceiver({ signingSecret: access.signingSecret, clock: bot.clock, log }) : undefined
  const app = createApp(access, deps, http)
  const buttons = createButtons(bot.database, bot.clock)
  const port = createSlackPort(app.client, log)
  let conversation: Conversation | undefined
  const cards: Cards = createCards({
    database: bot.database,
    port,
    pacing: createPacing(bot.clock),
    log,
    context: bot.context({ name: 'bot', role: 'viewer' }, 'slack'),
    render: (view: View) => talk().renderCard(view),
  })
  const talk = (): Conversation => {
    conversation ??= createConversation({ bot, buttons, cards, port, roleOf: (user) => roleOf(user, deps.config) })
    return conversation
  }
  const running = new Set<Promise<void>>()
  const background = (work: Promise<void>): void => {
    const watched = work.catch((error: unknown) => log.error('an answer to Slack failed', { error }))
    running.add(watched)
    void watched.finally(() => running.delete(watched))
  }
  listen(app, talk(), background, log)

  await start(app, access, deps.config.slackApiUrl)
  const server = http && access.kind === 'http' ? serveHttp(http.routes, access) : undefined
  cards.resume()
  log.info('connected to Slack', { mode: access.kind, url: server?.url.href })
  return {
    url: server ? new URL('/slack/events', server.url).href : undefined,
    async [Symbol.asyncDispose]() {
      await server?.stop()
      await app.stop()
      await Promise.race([Promise.all(running), bot.clock.sleep(DRAIN_MS)])
      await cards[Symbol.asyncDispose]()
    },
  }
}

/** Admins and operators are listed by their Slack id; everyone else may look. */
function roleOf(user: string, { admins, operators }: Pick<BotConfig, 'admins' | 'operators'>): Role {
  if (admins.has(user)) return 'admin'
  return operators.has(user) ? 'operator' : 'viewer'
}

function createApp(access: SlackAccess, { config, log }: ConnectDeps, receiver: Receiver | undefined): App {
  const clientOptions = config.slackApiUrl === undefined ? {} : { slackApiUrl: config.slackApiUrl }
  const base: AppOptions = {
    token: access.botToken,
    clientOptions,
    logger: boltLogger(log),
    ignoreSelf: true,
    deferInitialization: true,
    tokenVerificationEnabled: false,
  }
  const app =
    access.kind === 'socket'
      ? new App({ ...base, receiver: new SocketModeReceiver({ appToken: access.appToken, logger: boltLogger(log), installerOptions: { clientOptions } }) })
      : new App({ ...base, ...(receiver ? { receiver } : {}) })
  app.error((error) => {
    log.error('Bolt reports an error', { error })
    return Promise.resolve()
  })
  return app
}

/** Proves the bot token first, with few tries, so that a mistake is told and not waited for; then begins to listen. */
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
    const reason = error instanceof Error ? error.message : String(error)
    const isRefused = error instanceof Error && 'code' in error && error.code === ErrorCode.PlatformError
    if (isRefused) throw new ConfigRefused(`Slack refuses: ${reason}. Check ${which}, then start again.`, { cause: error })
    throw new SlackUnreachable(
      `Slack cannot be reached: ${reason}. Check the network${slackApiUrl === undefined ? '' : ` and SLACK_API_URL (${slackApiUrl})`}, then start again.`,
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
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigRefused(
      `${access.hostname}:${access.port} cannot be listened on: ${reason}. End what uses it, or set SLIPWAY_BOT_LISTEN to another address.`,
      { cause: error },
    )
  }
}

/** Gives every kind of request to the conversation. */
function listen(app: App, conversation: Conversation, background: (work: Promise<void>) => void, log: Log): void {
  const isNew = createSeen()
  const modalOpener = (triggerId: string | undefined): Exchange['openModal'] =>
    triggerId === undefined
      ? undefined
      : async (view) => {
          try {
            return (await app.client.views.open({ trigger_id: triggerId, view })).view?.id
          } catch (error) {
            log.warn('a modal could not be opened', { error })
            return undefined
          }
        }

  app.command(/^\/(?:slipway|store|image)$/, async ({ command, ack, respond }) => {
    await ack()
    if (!isNew(command.trigger_id)) return
    const exchange: Exchange = {
      user: command.user_id,
      userName: command.user_name,
      channel: command.channel_id,
      respond: responder(respond),
      openModal: modalOpener(command.trigger_id),
    }
    background(conversation.onCommand(command.command.slice(1), command.text, exchange))
  })

  app.action<BlockAction<ButtonAction>>({ type: 'block_actions', action_id: /^slipway:/ }, async ({ body, action, ack, respond }) => {
    await ack()
    if (!isNew(body.trigger_id) || action.value === undefined) return
    const exchange: Exchange = {
      user: body.user.id,
      userName: body.user.name ?? body.user.username ?? body.user.id,
      channel: body.channel?.id ?? body.user.id,
      respond: body.response_url === undefined || body.response_url === '' ? undefined : responder(respond),
      openModal: modalOpener(body.trigger_id),
    }
    background(conversation.onPress(action.value, exchange))
  })

  app.view(CONFIRM_CALLBACK, async ({ body, view, ack }) => {
    const typed = view.state.values[NAME_INPUT]?.[NAME_INPUT]?.value?.trim() ?? ''
    const mistake = conversation.checkName(view.private_metadata, typed)
    if (mistake !== undefined) {
      await ack({ response_action: 'errors', errors: { [NAME_INPUT]: mistake } })
      return
    }
    await ack()
    if (!isNew(`${view.private_metadata}:${view.hash}`)) return
    background(conversation.onConfirmed(view.private_metadata, typed, modalExchange(body.user)))
  })

  app.view(FORM_CALLBACK, async ({ body, view, ack }) => {
    await ack({ response_action: 'update', view: loadingModal(view.title.text) })
    if (!isNew(`${view.private_metadata}:${view.hash}`)) return
    const values = Object.fromEntries(Object.entries(view.state.values).map(([key, actions]) => [key, actions[key]?.value ?? '']))
    background(conversation.onForm(view.private_metadata, values, view.id, modalExchange(body.user)))
  })
}

function modalExchange(user: { readonly id: string; readonly name: string }): Exchange {
  return { user: user.id, userName: user.name, channel: user.id, respond: undefined, openModal: undefined }
}

function responder(respond: RespondFn): NonNullable<Exchange['respond']> {
  return async ({ text, blocks, isShared, replaces }) => {
    await respond({ text, blocks, response_type: isShared ? 'in_channel' : 'ephemeral', replace_original: replaces })
  }
}

/** Says of each key once that it is new; remembers a bounded number of them. */
function createSeen(): (key: string) => boolean {
  const seen = new Set<string>()
  return (key) => {
    if (seen.has(key)) return false
    seen.add(key)
    for (const oldest of seen) {
      if (seen.size <= SEEN_MAX) break
      seen.delete(oldest)
    }
    return true
  }
}
