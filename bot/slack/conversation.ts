// How a command typed, pressed or submitted in Slack is run and answered. Slack's client is behind ports, so that the flow does
// not depend on the transport.

import type { ModalView } from '@slack/types'
import { permit } from '../commands/permit.ts'
import type { Role } from '../../protocol/access.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { fieldRefused, formOf, lineOf } from '../commands/form.ts'
import type { FormValues } from '../../protocol/views/form-field.ts'
import type { Parsed } from '../commands/parse.ts'
import { describeParsed, recordAsked } from '../commands/record.ts'
import { parseLine, runParsed } from '../commands/run.ts'
import { unescapeSlack } from '../commands/line.ts'
import { quoteOption, quoteWord } from '../views/quote.ts'
import type { OpenBot } from '../open.ts'
import type { Watch } from '../started/started.ts'
import { limitText } from '../views/slack-limits.ts'
import { plainText } from '../../protocol/views/phrases.ts'
import type { Form, View } from '../../protocol/views/view.ts'
import { denialText } from './answers.ts'
import type { AnswerPort, Answers, Shown } from './answers.ts'
import type { Authority, Denial } from './authorise.ts'
import type { Buttons } from './buttons.ts'
import type { Exchange } from './exchange.ts'
import type { RenderView } from './message.ts'
import { formModal } from './forms/form-modal.ts'
import { answerModal, confirmModal, loadingModal, textSection } from './modals.ts'
import type { OpenModal, OpenModals } from './open-modals.ts'

/** The longest error below an input of a modal. */
const INPUT_ERROR_MAX = 150

export interface ConversationDeps {
  readonly bot: Pick<OpenBot, 'context' | 'started'>
  readonly authority: Authority
  readonly buttons: Pick<Buttons, 'find'>
  readonly modals: Pick<OpenModals, 'register' | 'find' | 'restore'>
  readonly answers: Answers
  readonly port: Pick<AnswerPort, 'updateModal'>
  readonly render: RenderView
}

export interface Conversation {
  /** A slash command: its name without the slash, and its text as Slack sends it. */
  onCommand(name: string, text: string, exchange: Exchange): Promise<void>
  /** A pressed button, by its opaque id. */
  onPress(id: string, exchange: Exchange): Promise<void>
  /** A submitted confirmation; returns the sentence to show below the input when the name is wrong. */
  checkName(id: string, typed: string, exchange: Exchange): string | undefined
  onConfirmed(id: string, typed: string, exchange: Exchange): Promise<void>
  /** A submitted form: runs its command, and says what becomes of the modal. */
  onForm(id: string, values: FormValues, exchange: Exchange): Promise<FormOutcome>
  /** A choice in the picker with this opaque id. */
  onPick(id: string, choice: string, exchange: Exchange): Promise<void>
}

/**
 * What becomes of a modal whose form was submitted. `errors` stand beside the fields, `view` is shown where they cannot, because the modal shows something else by then.
 * A command that was done is answered as a typed one, by `answer`.
 */
export type FormOutcome =
  | { readonly kind: 'done'; readonly view: ModalView; readonly answer: () => Promise<void> }
  | { readonly kind: 'errors'; readonly errors: Readonly<Record<string, string>>; readonly view: ModalView }
  | { readonly kind: 'shown'; readonly view: ModalView }

/** A line that someone sent, as it was understood. */
interface Asked {
  readonly line: string
  readonly parsed: Parsed
  readonly exchange: Exchange
}

/** Creates the conversation of one workspace. */
export function createConversation(deps: ConversationDeps): Conversation {
  const { authority, answers, buttons, modals, port, render } = deps

  const contextOf = (exchange: Exchange, via?: CommandContext['via'], watch?: Watch): CommandContext => ({
    ...deps.bot.context(authority.actorOf(exchange), 'slack', watch),
    channel: exchange.channel,
    ...(via ? { via } : {}),
  })

  /** Tells why a press or a submission was refused, and records it. */
  const deny = async (denial: Denial, what: 'button' | 'picker' | 'confirmation' | 'form', line: string | undefined, exchange: Exchange): Promise<void> => {
    const context = contextOf(exchange, what === 'picker' ? 'button' : what)
    const described = line === undefined ? { command: '', target: '' } : describeParsed(parseLine(context, line))
    recordAsked(context, { ...described, effect: 'decision' }, 'refused', denialText(denial, what))
    await answers.deny(denial, what, exchange)
  }

  const run = async (line: string, exchange: Exchange, shown: Omit<Shown, 'command' | 'forget'>, via?: CommandContext['via']): Promise<void> => {
    const parsed = parseLine(contextOf(exchange, via), line)
    const { user, channel } = exchange
    const watch = deps.bot.started.watch({ command: describeParsed(parsed).command, channel, user, person: authority.actorOf(exchange).name })
    const context = contextOf(exchange, via, watch)
    await answerTo({ line, parsed, exchange }, context, { ...shown, forget: watch.forget })
    // What was answered without a card, or refused, needs none.
    watch.forget()
  }

  const answerTo = async (asked: Asked, context: CommandContext, shown: Omit<Shown, 'command'>): Promise<void> => {
    const { line, parsed, exchange } = asked
    // The modal opens before the agents are asked, because its trigger expires after three seconds.
    const viewId = asksName(parsed, context) ? await exchange.openModal?.(loadingModal('Confirm')) : undefined
    const view = await runParsed(context, parsed)
    // Without a modal the answer has a button that opens one.
    if (viewId !== undefined) return port.updateModal(viewId, confirmation(view, asked))
    if (view.form && (await openForm(view, asked))) return
    await answers.answer(view, parsed, exchange, { command: withoutSecrets(parsed, line), ...shown })
  }

  const register = (command: string, name: string, { parsed, exchange: { user, channel } }: Asked): string =>
    modals.register({ command, role: roleOf(parsed), name, channel, user })

  const openForm = async (view: View, asked: Asked): Promise<boolean> => {
    const { openModal } = asked.exchange
    if (!view.form || !openModal) return false
    const { command, values, before } = view.form
    const id = modals.register({
      command,
      role: roleOf(asked.parsed),
      name: '',
      channel: asked.exchange.channel,
      user: asked.exchange.user,
      form: { values, before },
    })
    return (await openModal(formModal(view.form, id))) !== undefined
  }

  /** The question for the name, or the answer when there is nothing to confirm. */
  const confirmation = (view: View, asked: Asked): ModalView => {
    const isBlocked = view.confirm?.checklist.some((item) => !item.passed) ?? true
    if (view.confirm && !isBlocked) return confirmModal(view.confirm, register(view.confirm.command, view.confirm.name, asked))
    return answerModal(view.outcome === 'done' ? 'Nothing to do' : 'Not possible now', render(view, asked.line).blocks)
  }

  /** Runs the line that a form became, as if it had been typed in the channel where the form was opened. */
  const submitForm = async (id: string, modal: OpenModal, filled: FormValues, exchange: Exchange): Promise<FormOutcome> => {
    const asked = { ...exchange, channel: modal.channel }
    const context = contextOf(asked, 'form')
    const command = context.commands.find(({ noun, verb }) => `${noun} ${verb}`.trim() === modal.command)
    if (!command) return { kind: 'shown', view: answerModal('Not done', [textSection(`There is no command ${modal.command}.`)]) }
    const { values: fixed, before } = modal.form ?? { values: {}, before: {} }
    const line = lineOf(command, { ...fixed, ...filled }, before)
    const parsed = parseLine(context, line)
    const view = await runParsed(context, parsed)
    if (view.confirm) return { kind: 'shown', view: confirmation(view, { line, parsed, exchange: asked }) }
    const shown = { command: withoutSecrets(parsed, line), page: 0, replaces: false }
    if (view.outcome === 'done')
      return { kind: 'done', view: answerModal('Done', render(view).blocks), answer: () => answers.answer(view, parsed, asked, shown) }
    // The form asks again: nobody has to fill it in a second time.
    modals.restore(id, modal)
    const next = view.fields.find(({ label }) => label === 'Next')?.value ?? ''
    const refusal = `${view.text} ${next}`.trim()
    const form = formAgain(command, modal, filled)
    const key = fieldRefused(form.fields, filled, view.text)
    const again = formModal(form, id, refusal)
    return key === undefined
      ? { kind: 'shown', view: again }
      : { kind: 'errors', errors: { [key]: limitText(plainText(refusal), INPUT_ERROR_MAX) }, view: again }
  }

  return {
    async onCommand(name, text, exchange) {
      await authority.refresh()
      const line = unescapeSlack(text).trim()
      await run(name === 'slipway' ? line : `${name} ${line}`.trim(), exchange, { page: 0, replaces: false })
    },
    async onPress(id, exchange) {
      await authority.refresh()
      const decision = authority.press(id, exchange)
      if (decision.kind !== 'press') return deny(decision, 'button', buttons.find(id)?.press.command, exchange)
      const { command, page } = decision.press
      await run(command, exchange, { page, replaces: page > 0 }, 'button')
    },
    checkName(id, typed, exchange) {
      const modal = modals.find(id)
      if (!modal || sameName(typed, modal.name)) return undefined
      const context = contextOf(exchange, 'confirmation')
      recordAsked(context, { ...describeParsed(parseLine(context, modal.command)), effect: 'decision' }, 'refused', 'The typed name is another one.')
      return limitText(`The name is ${modal.name}.`, INPUT_ERROR_MAX)
    },
    async onConfirmed(id, typed, exchange) {
      await authority.refresh()
      const decision = authority.submit(id, exchange)
      if (decision.kind !== 'submit') return deny(decision, 'confirmation', modals.find(id)?.command, exchange)
      const { command, channel } = decision.modal
      await run(`${command} --confirm ${quoteWord(typed)}`, { ...exchange, channel }, { page: 0, replaces: false }, 'confirmation')
    },
    async onForm(id, values, exchange) {
      await authority.refresh()
      const decision = authority.submit(id, exchange)
      if (decision.kind !== 'submit') {
        await deny(decision, 'form', modals.find(id)?.command, exchange)
        return { kind: 'shown', view: answerModal('Not done', [textSection(denialText(decision, 'form'))]) }
      }
      return submitForm(id, decision.modal, values, exchange)
    },
    async onPick(id, choice, exchange) {
      await authority.refresh()
      const decision = authority.press(id, exchange)
      if (decision.kind !== 'press') return deny(decision, 'picker', buttons.find(id)?.press.command, exchange)
      const { command, picks } = decision.press
      if (!picks) return
      const word = picks.key === '' ? quoteWord(choice) : quoteOption(picks.key, choice)
      await run(`${command} ${word}`, exchange, { page: 0, replaces: false }, 'button')
    },
  }
}

/** The form with what was filled in, but for secrets and for targets that were given before it was opened. */
function formAgain(command: Command, { form }: OpenModal, filled: FormValues): Form {
  const { fields, ...words } = formOf(command)
  const fixed = form?.values ?? {}
  const shown = fields.filter(({ key }) => filled[key] !== undefined || fixed[key] === undefined)
  const open = Object.fromEntries(shown.filter(({ isSecret }) => !isSecret).map(({ key }) => [key, filled[key]]))
  return { ...words, fields: shown, values: { ...fixed, ...open }, before: {}, line: '' }
}

function roleOf(parsed: Parsed): Role {
  return (parsed.kind === 'command' ? parsed.command : parsed.lacks?.command)?.role ?? 'admin'
}

/** Whether a command asks for a typed name and this person may run it. */
function asksName(parsed: Parsed, context: CommandContext): boolean {
  if (parsed.kind !== 'command' || parsed.input.confirm.length > 0) return false
  const { effect, destroysWith } = parsed.command
  if (destroysWith !== undefined && !parsed.input.flags.has(destroysWith)) return false
  return effect === 'destroy' && permit(context, parsed.command, parsed.input).kind === 'permitted'
}

/** The line without secrets, as it may be shown again. */
function withoutSecrets(parsed: Parsed, line: string): string {
  if (parsed.kind !== 'command') return line.includes('token') ? '' : line
  const { options, targets } = parsed.command
  const isSecret = Object.keys(parsed.input.options).some((key) => options[key]?.secret ?? options[key]?.shown) || targets.some(({ secret }) => secret)
  return isSecret ? `${parsed.command.noun} ${parsed.command.verb}` : line
}

/** Compares lists of names, ignoring the space around commas. */
function sameName(typed: string, name: string): boolean {
  const split = (text: string): string =>
    text
      .split(',')
      .map((part) => part.trim())
      .join(',')
  return split(typed) === split(name)
}
