// Handles Slack's requests as Bolt delivers them: each is acknowledged at once and answered in the background. A request that Slack
// repeats is answered once.

import type { App, BlockAction, ButtonAction } from '@slack/bolt'
import { SLASH_COMMANDS } from '../commands/slack/app-manifest.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import type { Conversation } from './conversation.ts'
import { modalExchange } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { CONFIRM_CALLBACK, FORM_CALLBACK, loadingModal, NAME_INPUT } from './modals.ts'
import type { Repeats } from './repeats.ts'
import { limitResponses } from './response-url.ts'

export interface RequestsDeps {
  readonly app: App
  readonly conversation: Conversation
  readonly clock: Pick<Clock, 'nowMs'>
  readonly repeats: Repeats
  readonly log: Log
  /** Runs an answer after its request was acknowledged. */
  readonly background: (work: Promise<void>) => void
}

/** Registers handlers for commands, buttons and modals. */
export function listenToSlack({ app, conversation, clock, repeats, log, background }: RequestsDeps): void {
  // Slack repeats a request with the same trigger id; in Socket Mode there is no signature to compare.
  const isNew = (key: string): boolean => {
    const outcome = repeats.check(`request ${key}`)
    if (outcome === 'full') log.warn('a request was dropped, because too many came in the last minutes')
    return outcome === 'new'
  }
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

  app.command(new RegExp(`^/(?:${SLASH_COMMANDS.map(({ name }) => name).join('|')})$`), async ({ command, ack, respond }) => {
    await ack()
    if (!isNew(command.trigger_id)) return
    const exchange: Exchange = {
      user: command.user_id,
      userName: command.user_name,
      channel: command.channel_id,
      respond: limitResponses(respond, clock),
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
      respond: body.response_url === undefined || body.response_url === '' ? undefined : limitResponses(respond, clock),
      openModal: modalOpener(body.trigger_id),
    }
    background(conversation.onPress(action.value, exchange))
  })

  app.view(CONFIRM_CALLBACK, async ({ body, view, ack }) => {
    const typed = view.state.values[NAME_INPUT]?.[NAME_INPUT]?.value?.trim() ?? ''
    const mistake = conversation.checkName(view.private_metadata, typed, modalExchange(body.user))
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
