// Handles Slack's requests as Bolt delivers them: each is acknowledged at once and answered in the background. A request that Slack
// repeats is answered once.

import type { App, BlockAction, ButtonAction, ExternalSelectAction, ViewSubmitAction } from '@slack/bolt'
import { SLASH_COMMANDS } from '../commands/slack/app-manifest.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import { PICK_ACTION } from '../views/blocks.ts'
import type { AnswerPort } from './answers.ts'
import type { Conversation } from './conversation.ts'
import { modalExchange } from './exchange.ts'
import type { Exchange } from './exchange.ts'
import { FORM_CALLBACK, readForm } from './forms/form-modal.ts'
import type { ModalState } from './forms/form-modal.ts'
import type { Pickers } from './forms/pickers.ts'
import { CONFIRM_CALLBACK, loadingModal, NAME_INPUT } from './modals.ts'
import type { Repeats } from './receive/repeats.ts'
import { limitResponses } from './response-url.ts'

/** How long a submitted form waits for its command before the modal says that it runs, in milliseconds. */
const FORM_WAIT_MS = 200

export interface RequestsDeps {
  readonly app: App
  readonly conversation: Conversation
  readonly pickers: Pickers
  readonly port: Pick<AnswerPort, 'updateModal'>
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly repeats: Repeats
  readonly log: Log
  /** Runs an answer after its request was acknowledged. */
  readonly background: (work: Promise<void>) => void
}

/** Registers handlers for commands, buttons and modals. */
export function listenToSlack(deps: RequestsDeps): void {
  const { app, conversation, clock, repeats, log, background } = deps
  // Slack repeats a request with the same trigger id; in Socket Mode there is no signature to compare.
  const isNew = (key: string): boolean => {
    const outcome = repeats.check(`request ${key}`)
    if (outcome === 'full') log.warn('a request was dropped, because too many came in the last minutes')
    return outcome === 'new'
  }
  app.command(new RegExp(`^/(?:${SLASH_COMMANDS.map(({ name }) => name).join('|')})$`), async ({ command, ack, respond }) => {
    await ack()
    if (!isNew(command.trigger_id)) return
    const exchange: Exchange = {
      user: command.user_id,
      userName: command.user_name,
      channel: command.channel_id,
      respond: limitResponses(respond, clock),
      openModal: openerOf(app, log, command.trigger_id),
    }
    background(conversation.onCommand(command.command.slice(1), command.text, exchange))
  })

  app.action<BlockAction<ButtonAction>>({ type: 'block_actions', action_id: /^slipway:/ }, async ({ body, action, ack, respond }) => {
    await ack()
    if (!isNew(body.trigger_id) || action.value === undefined) return
    background(conversation.onPress(action.value, actionExchange(body, limitResponses(respond, clock), openerOf(app, log, body.trigger_id))))
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

  app.view<ViewSubmitAction>({ type: 'view_submission', callback_id: FORM_CALLBACK }, async ({ body, view, ack }) => {
    // The modal may be submitted again with other values, each time with another trigger.
    if (!isNew(body.trigger_id)) return ack()
    const work = conversation.onForm(view.private_metadata, readForm(view.state.values), modalExchange(body.user))
    const early = await Promise.race([work, clock.sleep(FORM_WAIT_MS)])
    if (early) {
      await (early.kind === 'errors'
        ? ack({ response_action: 'errors', errors: early.errors })
        : early.kind === 'shown'
          ? ack({ response_action: 'update', view: early.view })
          : ack())
      if (early.kind === 'done') background(early.answer())
      return
    }
    await ack({ response_action: 'update', view: loadingModal(view.title.text) })
    background(
      work.then(async (late) => {
        await deps.port.updateModal(view.id, late.view)
        if (late.kind === 'done') await late.answer()
      }),
    )
  })
  listenToPickers(deps, isNew)
}

/** Registers handlers for what is typed and chosen in pickers. */
function listenToPickers({ app, conversation, pickers, clock, log, background }: RequestsDeps, isNew: (key: string) => boolean): void {
  app.options(/./, async ({ body, ack }) => {
    if (body.type !== 'block_suggestion') return ack({ options: [] })
    const { action_id: key, value, view, user, channel } = body
    const typed: string = value
    // Slack sends no state before anything was filled in.
    const state = (view?.state as { readonly values?: ModalState } | undefined)?.values
    const asker = { user: user.id, userName: user.name, channel: channel?.id ?? user.id }
    const picker = key.startsWith(PICK_ACTION)
      ? { button: key.slice(PICK_ACTION.length) }
      : { modal: view?.private_metadata ?? '', key, filled: readForm(state ?? {}) }
    const options = await pickers.options(picker, typed, asker).catch((error: unknown) => {
      log.error('a picker has no options', { error })
      return []
    })
    await ack({ options })
  })

  app.action<BlockAction<ExternalSelectAction>>({ type: 'block_actions', action_id: new RegExp(`^${PICK_ACTION}`) }, async ({ body, action, ack, respond }) => {
    await ack()
    const choice = action.selected_option?.value
    if (!isNew(body.trigger_id) || choice === undefined) return
    background(
      conversation.onPick(
        action.action_id.slice(PICK_ACTION.length),
        choice,
        actionExchange(body, limitResponses(respond, clock), openerOf(app, log, body.trigger_id)),
      ),
    )
  })
}

/** Returns what opens a modal with a trigger: at once, because it expires after three seconds. */
function openerOf(app: App, log: Log, triggerId: string | undefined): Exchange['openModal'] {
  if (triggerId === undefined) return undefined
  return async (view) => {
    try {
      return (await app.client.views.open({ trigger_id: triggerId, view })).view?.id
    } catch (error) {
      log.warn('a modal could not be opened', { error })
      return undefined
    }
  }
}

/** The exchange of a button or a picker in a message. */
function actionExchange({ user, channel, response_url: url }: BlockAction, respond: Exchange['respond'], openModal: Exchange['openModal']): Exchange {
  return {
    user: user.id,
    userName: user.name ?? user.username ?? user.id,
    channel: channel?.id ?? user.id,
    respond: url === undefined || url === '' ? undefined : respond,
    openModal,
  }
}
