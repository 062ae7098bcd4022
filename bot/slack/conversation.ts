// How a command is answered in Slack: reads to the one who asked, writes as a card in the channel, destroying through a
// modal. Slack's client is behind a port, so that what is said here does not depend on how it travels.

import type { KnownBlock, ModalView } from '@slack/types'
import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import { makeProblem } from '../../protocol/problems.ts'
import type { CommandContext } from '../commands/command.ts'
import { parseWords } from '../commands/parse.ts'
import type { Parsed } from '../commands/parse.ts'
import { parseLine, problemView, runParsed } from '../commands/run.ts'
import { quoteOption, quoteWord, splitLine, unescapeSlack } from '../commands/words.ts'
import type { OpenBot } from '../open.ts'
import { renderMessage } from '../views/blocks.ts'
import type { Press, SlackMessage } from '../views/blocks.ts'
import { limitText, SECTION_TEXT_MAX } from '../views/slack-limits.ts'
import type { View } from '../views/view.ts'
import type { Buttons } from './buttons.ts'
import type { Cards } from './cards.ts'
import { answerModal, confirmModal, formModal, loadingModal } from './modals.ts'

/** One exchange with a person: where the answer goes. */
export interface Exchange {
  readonly user: string
  readonly userName: string
  readonly channel: string
  /** Answers through the response_url; `undefined` in a modal, which has none. */
  readonly respond: ((message: SlackMessage & { readonly isShared: boolean; readonly replaces: boolean }) => Promise<void>) | undefined
  /** Opens a modal and gives the id of its view, or undefined when the trigger is too old; there may be no trigger at all. */
  readonly openModal: ((view: ModalView) => Promise<string | undefined>) | undefined
}

/** What the conversation needs of Slack's Web API beyond an exchange. */
export interface ConversationPort {
  updateModal(viewId: string, view: ModalView): Promise<void>
  /** To one person, in the channel where they asked; by direct message when the bot is not in there. */
  whisper(channel: string, user: string, message: SlackMessage): Promise<void>
}

export interface ConversationDeps {
  readonly bot: OpenBot
  readonly buttons: Buttons
  readonly cards: Cards
  readonly port: ConversationPort
  roleOf(user: string): Role
}

export interface Conversation {
  /** A slash command: its name without the slash, and its text as Slack sends it. */
  onCommand(name: string, text: string, exchange: Exchange): Promise<void>
  /** A pressed button, by its opaque id. */
  onPress(id: string, exchange: Exchange): Promise<void>
  /** A submitted confirmation; gives the sentence to show at the input when the name is not right. */
  checkName(id: string, typed: string): string | undefined
  onConfirmed(id: string, typed: string, exchange: Exchange): Promise<void>
  /** A submitted form; the answer goes into the modal of this view. */
  onForm(id: string, values: Readonly<Record<string, string>>, viewId: string, exchange: Exchange): Promise<void>
  /** Message of a View as cards show it. */
  renderCard(view: View): SlackMessage
}

/** What a modal carries under its opaque id. */
interface Pending {
  readonly command: string
  readonly name: string
  readonly channel: string
}

/** Makes the conversation of one workspace. */
export function createConversation(deps: ConversationDeps): Conversation {
  const { bot, buttons, port } = deps

  const contextOf = (exchange: Pick<Exchange, 'user' | 'userName'>): CommandContext =>
    bot.context({ name: `${exchange.userName} (${exchange.user})`, role: deps.roleOf(exchange.user) }, 'slack')

  const register = (press: Press): string => buttons.register(press, press.opens === undefined && isWrite(bot, press.command))

  const render = (view: View, command: string, page = 0): SlackMessage => renderMessage(view, { nowMs: bot.clock.nowMs(), page, command, register })

  const answer = async (view: View, parsed: Parsed, exchange: Exchange, shown: { command: string; page: number; replaces: boolean }): Promise<void> => {
    const isJson = parsed.common.has('json')
    const isShared = parsed.common.has('share') && !view.isPrivate && view.outcome === 'done'
    // Where the bot may not post, the one who asked gets the card as a direct message.
    if (isCard(view, parsed) && ((await deps.cards.open(exchange.channel, view)) || (await deps.cards.open(exchange.user, view)))) return
    const message = isJson ? jsonMessage(view) : render(view, shown.command, shown.page)
    if (exchange.respond) await exchange.respond({ ...message, isShared, replaces: shown.replaces })
    else await port.whisper(exchange.channel, exchange.user, message)
  }

  const run = async (line: string, exchange: Exchange, shown: { page: number; replaces: boolean }): Promise<void> => {
    const context = contextOf(exchange)
    const parsed = parseLine(context, line)
    const asksName =
      parsed.kind === 'command' &&
      parsed.command.effect === 'destroy' &&
      parsed.input.confirm.length === 0 &&
      roleIncludes(context.actor.role, parsed.command.role)
    const viewId = asksName ? await exchange.openModal?.(loadingModal('Confirm')) : undefined
    const view = await runParsed(context, parsed)
    // Without a modal the answer has a button that opens one.
    if (viewId !== undefined) return showConfirmation(view, line, exchange, viewId)
    if (view.form && exchange.openModal && roleIncludes(context.actor.role, 'admin')) {
      const pending: Pending = { command: view.form.command, name: '', channel: exchange.channel }
      if ((await exchange.openModal(formModal(view.title, view.form, keep(pending)))) !== undefined) return
    }
    await answer(view, parsed, exchange, { command: withoutSecrets(context, line), ...shown })
  }

  const keep = (pending: Pending): string => buttons.register({ command: JSON.stringify(pending), page: 0, role: 'viewer' }, true)
  const peek = new Map<string, Pending>()

  const showConfirmation = async (view: View, line: string, exchange: Exchange, viewId: string): Promise<void> => {
    const isBlocked = view.confirm?.checklist.some((item) => !item.passed) ?? true
    if (!view.confirm || isBlocked) {
      await port.updateModal(viewId, answerModal('Not possible now', renderMessage(view, { nowMs: bot.clock.nowMs(), command: line }).blocks))
      return
    }
    const pending: Pending = { command: view.confirm.command, name: view.confirm.name, channel: exchange.channel }
    const id = keep(pending)
    rememberBounded(peek, id, pending)
    await port.updateModal(viewId, confirmModal(view.confirm, id))
  }

  const take = (id: string): Pending | undefined => {
    const pressed = buttons.press(id)
    return pressed.kind === 'press' ? (JSON.parse(pressed.press.command) as Pending) : undefined
  }

  const tooLate = async (exchange: Exchange, detail: string): Promise<void> => {
    const view = problemView(
      contextOf(exchange),
      makeProblem('link-expired', detail, { title: 'No longer valid', action: 'Run the command again.' }),
      'refused',
    )
    const message = render(view, '')
    if (exchange.respond) await exchange.respond({ ...message, isShared: false, replaces: false })
    else await port.whisper(exchange.channel, exchange.user, message)
  }

  return {
    async onCommand(name, text, exchange) {
      const line = unescapeSlack(text).trim()
      await run(name === 'slipway' ? line : `${name} ${line}`.trim(), exchange, { page: 0, replaces: false })
    },
    async onPress(id, exchange) {
      const pressed = buttons.press(id)
      if (pressed.kind === 'expired') return tooLate(exchange, 'This button is too old: what it was about may have changed.')
      if (pressed.kind === 'used') return tooLate(exchange, 'This button was pressed already.')
      const { press } = pressed
      const role = deps.roleOf(exchange.user)
      if (!roleIncludes(role, press.role)) {
        const view = problemView(
          contextOf(exchange),
          makeProblem('forbidden', `This needs the role ${press.role}; you have ${role}.`, { action: 'Ask an admin of the bot.' }),
          'refused',
        )
        return answer(view, { kind: 'unclear', detail: '', action: '', suggestion: undefined, common: new Set() }, exchange, {
          command: '',
          page: 0,
          replaces: false,
        })
      }
      return run(press.command, exchange, { page: press.page, replaces: press.page > 0 })
    },
    checkName(id, typed) {
      const pending = peek.get(id)
      if (!pending || sameName(typed, pending.name)) return undefined
      return limitText(`This is not the name: ${pending.name}`, 150)
    },
    async onConfirmed(id, typed, exchange) {
      const pending = take(id)
      if (!pending) return tooLate(exchange, 'This confirmation is too old, or was given already.')
      peek.delete(id)
      const there = { ...exchange, channel: pending.channel, respond: undefined, openModal: undefined }
      return run(`${pending.command} --confirm ${quoteWord(typed)}`, there, { page: 0, replaces: false })
    },
    async onForm(id, values, viewId, exchange) {
      const pending = take(id)
      if (!pending) return tooLate(exchange, 'This form is too old, or was sent already.')
      const context = contextOf(exchange)
      const options = Object.entries(values).flatMap(([key, value]) => (value.trim() === '' ? [] : [quoteOption(key, value.trim())]))
      const parsed = parseWords(context.commands, splitLine([pending.command, ...options].join(' ')) ?? [])
      const view = await runParsed(context, parsed)
      await port.updateModal(viewId, answerModal(view.outcome === 'done' ? 'Done' : 'Not done', render(view, '').blocks))
    },
    renderCard: (view) => render(view, ''),
  }
}

/** Writes that did something are for the channel to see; secrets never are. */
function isCard(view: View, parsed: Parsed): boolean {
  return parsed.kind === 'command' && parsed.command.effect !== 'read' && view.outcome === 'done' && !view.isPrivate
}

function isWrite(bot: OpenBot, line: string): boolean {
  const parsed = parseLine(bot.context({ name: 'bot', role: 'viewer' }, 'slack'), line)
  return parsed.kind === 'command' && parsed.command.effect === 'write'
}

/** The line as it may be shown again: secrets and `--confirm` left out. */
function withoutSecrets(context: CommandContext, line: string): string {
  const parsed = parseLine(context, line)
  if (parsed.kind !== 'command') return line.includes('token') ? '' : line
  const isSecret = Object.keys(parsed.input.options).some((key) => parsed.command.options[key]?.secret)
  return isSecret ? `${parsed.command.noun} ${parsed.command.verb}` : line
}

function jsonMessage(view: View): SlackMessage {
  const fence = '```'
  const text = JSON.stringify(view.json, null, 1).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(fence, "'''")
  const blocks: KnownBlock[] = [{ type: 'section', text: { type: 'mrkdwn', text: `${fence}${limitText(text, SECTION_TEXT_MAX - 2 * fence.length)}${fence}` } }]
  return { text: view.title, blocks }
}

function sameName(typed: string, name: string): boolean {
  const split = (text: string): string =>
    text
      .split(',')
      .map((part) => part.trim())
      .join(',')
  return split(typed) === split(name)
}

const PEEKS_MAX = 500

function rememberBounded<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= PEEKS_MAX) break
    map.delete(oldest)
  }
}
