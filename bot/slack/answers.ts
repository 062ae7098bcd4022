// Chooses where an answer goes: reads to the person who asked, writes as a card to the channel, JSON as a code block, refusals in private.

import type { ModalView } from '@slack/types'
import { makeProblem } from '../../protocol/problems.ts'
import type { Parsed } from '../commands/parse.ts'
import { problemView } from '../commands/run.ts'
import type { Clock } from '../system/clock.ts'
import type { SlackMessage } from '../views/blocks.ts'
import type { View } from '../../protocol/views/view.ts'
import type { Denial } from './authorise.ts'
import type { LinkCards } from '../links/link-cards.ts'
import type { Cards } from './cards.ts'
import type { Exchange } from './exchange.ts'
import { jsonMessage } from './message.ts'
import type { RenderView } from './message.ts'
import type { SendPictures } from './send/picture-port.ts'

/** The part of Slack's Web API that answers need in addition to an exchange. */
export interface AnswerPort {
  updateModal(viewId: string, view: ModalView): Promise<void>
  /** Sends a message to one person in the channel where they asked, or as a direct message when the bot is not a member. */
  whisper(channel: string, user: string, message: SlackMessage): Promise<void>
  /** Sends a message to a channel, or to the person as a direct message when the bot is not a member. */
  share(channel: string, user: string, message: SlackMessage): Promise<void>
}

/** How an answer is shown: the command line below it, its page, and whether it replaces the message with the button. */
export interface Shown {
  readonly command: string
  readonly page: number
  readonly replaces: boolean
  /** Forgets what the command was about to start; part of the transaction of its card. */
  readonly forget?: () => void
}

export interface AnswersDeps {
  readonly clock: Clock
  readonly cards: Pick<Cards, 'open'>
  readonly linkCards: Pick<LinkCards, 'open'>
  readonly port: AnswerPort
  readonly pictures: SendPictures
  readonly render: RenderView
}

export interface Answers {
  /** Sends the answer of a command. */
  answer(view: View, parsed: Parsed, exchange: Exchange, shown: Shown): Promise<void>
  /** Tells the person in private why a press or a submission was refused. */
  deny(denial: Denial, what: 'button' | 'picker' | 'confirmation' | 'form', exchange: Exchange): Promise<void>
}

/** Creates the answers of one workspace. */
export function createAnswers({ clock, cards, linkCards, port, pictures, render }: AnswersDeps): Answers {
  const send = async (message: SlackMessage, exchange: Exchange, isShared: boolean, replaces: boolean): Promise<void> => {
    const sent = await exchange.respond?.({ ...message, isShared, replaces })
    if (sent === 'sent') return
    await (isShared ? port.share : port.whisper)(exchange.channel, exchange.user, message)
  }
  return {
    async answer(view, parsed, exchange, shown) {
      // When the bot may not post in the channel, the person who asked gets the card as a direct message.
      const isAnsweredHere = exchange.isCardless && view.progress.length === 0
      if (isCard(view, parsed) && !isAnsweredHere) return cards.open(exchange.channel, exchange.user, view, shown.forget)
      // The channel sees what becomes of the upload; only the person who asked sees the link.
      if (view.followedLink) linkCards.open(exchange.channel, exchange.user, view.followedLink)
      const isShared = parsed.common.has('share') && !view.isPrivate && view.outcome === 'done'
      const isJson = parsed.common.has('json')
      const where = !isJson && view.charts?.length ? [await pictures(view, exchange, isShared)] : []
      const message = isJson ? jsonMessage(view) : render({ ...view, notes: [...view.notes, ...where] }, shown.command, shown.page)
      await send(message, exchange, isShared, shown.replaces)
    },
    async deny(denial, what, exchange) {
      await send(render(problemView({ clock }, denialProblem(denial, what), 'refused')), exchange, false, false)
    },
  }
}

/** Completed writes are posted to the channel, unless they contain a secret. */
function isCard(view: View, parsed: Parsed): boolean {
  return parsed.kind === 'command' && parsed.command.effect !== 'read' && view.outcome === 'done' && !view.isPrivate
}

function denialProblem(denial: Denial, what: string): ReturnType<typeof makeProblem> {
  const text = denialText(denial, what)
  if (denial.kind === 'forbidden') return makeProblem('forbidden', text, { action: 'Ask an admin of the bot.' })
  return makeProblem('link-expired', text, { title: 'No longer valid', action: 'Run the command again.' })
}

/** Why a press or a submission was refused, in one sentence. */
export function denialText(denial: Denial, what: string): string {
  switch (denial.kind) {
    case 'forbidden':
      return `This ${what} needs the role ${denial.needs}; you have ${denial.has}.`
    case 'expired':
      return `This ${what} has expired, or was used already.`
    case 'used':
      return `This ${what} was used already.`
  }
}
