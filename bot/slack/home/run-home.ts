// The home tab in operation: it is published when somebody opens it, after each press, and for those who look at it when the fleet changes.

import type { App, BlockAction, ButtonAction } from '@slack/bolt'
import type { HomeView } from '@slack/types'
import { ErrorCode, WebClient } from '@slack/web-api'
import type { WebAPIPlatformError, WebAPIRateLimitedError, WebClientOptions } from '@slack/web-api'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import type { OpenBot } from '../../open.ts'
import type { Log } from '../../system/log.ts'
import type { AnswerPort } from '../answers.ts'
import type { Authority } from '../authorise.ts'
import type { Buttons } from '../buttons.ts'
import type { Conversation } from '../conversation.ts'
import type { Groups } from '../groups.ts'
import { createRegister } from '../message.ts'
import type { Repeats } from '../receive/repeats.ts'
import { COMMANDS } from '../../commands/table.ts'
import { openHomeWindow } from './home-exchange.ts'
import { createLooks } from './looks.ts'
import type { Looks } from './looks.ts'
import { createMakeHome } from './make-home.ts'
import { HOME_ACTION, REFRESH } from './page.ts'
import { createPublisher } from './publisher.ts'
import type { Published, Publisher } from './publisher.ts'
import { createReusedButtons } from './reused-buttons.ts'

/** How often it is checked whether the fleet changed for those who look at the home, in milliseconds. */
const WATCH_MS = 15_000
/** How long one request may take, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

export interface RunHomeDeps {
  readonly app: App
  readonly bot: OpenBot
  readonly buttons: Pick<Buttons, 'register' | 'find'>
  readonly authority: Authority
  readonly groups: Groups
  readonly conversation: Conversation
  readonly port: AnswerPort
  readonly repeats: Repeats
  readonly log: Log
  /** Options of a client that neither retries nor waits. */
  readonly botToken: string
  readonly clientOptions: WebClientOptions
  /** Runs work after its request was acknowledged. */
  readonly background: (work: Promise<void>) => void
}

/** Listens to what people do in the home tab; disposing ends the publishing. */
export function runHome(deps: RunHomeDeps): AsyncDisposable {
  const { bot, log } = deps
  const looks = createLooks(bot.fleet.kept, bot.clock)
  const register = createRegister({ commands: COMMANDS, buttons: createReusedButtons(deps.buttons, bot.clock) })
  const make = createMakeHome({ bot, roles: bot.roles, authority: deps.authority, groups: deps.groups, looks, register })
  const publisher = createPublisher({ make, publish: createPublish(deps), clock: bot.clock, log })
  listen(deps, looks, publisher)
  const timer = bot.clock.every(WATCH_MS, createWatch(bot, looks, publisher, log))
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await publisher[Symbol.asyncDispose]()
    },
  }
}

function listen({ app, repeats, log, conversation, port, background }: RunHomeDeps, looks: Looks, publisher: Publisher): void {
  app.event('app_home_opened', async ({ event, body }) => {
    if (event.tab !== 'home') return
    // Slack repeats an event with the same id, and signs it again.
    if (repeats.check(`event ${body.event_id}`) !== 'new') return
    looks.opened(event.user)
    publisher.request(event.user)
  })
  app.action<BlockAction<ButtonAction>>({ type: 'block_actions', action_id: new RegExp(`^${HOME_ACTION}`) }, async ({ body, action, ack, client }) => {
    await ack()
    const { user, view, trigger_id: trigger } = body
    const { value } = action
    if (value === undefined || repeats.check(`request ${trigger}`) !== 'new') return
    if (value === REFRESH) {
      publisher.request(user.id)
      return
    }
    const window = openHomeWindow({
      user: { id: user.id, name: user.name ?? user.username ?? user.id },
      async open(loading) {
        if (view?.type === 'modal') return view.id
        try {
          return (await client.views.open({ trigger_id: trigger, view: loading })).view?.id
        } catch (error) {
          log.warn('a window could not be opened', { error })
          return undefined
        }
      },
      update: (id, next) => port.updateModal(id, next),
      whisper: (message) => port.whisper(user.id, user.id, message),
    })
    const press = async (): Promise<void> => {
      try {
        await conversation.onPress(value, window.exchange)
        await window.settle()
      } finally {
        publisher.request(user.id)
      }
    }
    background(press())
  })
}

/** Publishes again for those who look at the home when the state of a store or an alert has changed. */
function createWatch({ fleet, alerts }: OpenBot, looks: Looks, publisher: Publisher, log: Log): () => void {
  const spell = (): string => JSON.stringify([fleet.kept.changes.latestId(), [...alerts.incidents.lastLines()]])
  let last = ''
  return () => {
    try {
      const recent = looks.recent()
      if (recent.length === 0) return
      const now = spell()
      if (now === last) return
      if (last !== '') for (const user of recent) publisher.request(user)
      last = now
    } catch (error) {
      log.error('changes for home tabs could not be read', { error })
    }
  }
}

function createPublish({ botToken, clientOptions }: RunHomeDeps): (user: string, view: HomeView) => Promise<Published> {
  const client = new WebClient(botToken, { ...clientOptions, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true, timeout: REQUEST_TIMEOUT_MS })
  return async (user, view) => {
    try {
      await client.views.publish({ user_id: user, view })
      return { kind: 'done' }
    } catch (error) {
      if (hasCode(error, ErrorCode.RateLimitedError)) return { kind: 'limited', afterMs: (error as WebAPIRateLimitedError).retryAfter * 1000 }
      return { kind: 'refused', reason: hasCode(error, ErrorCode.PlatformError) ? (error as WebAPIPlatformError).data.error : errorText(error) }
    }
  }
}
