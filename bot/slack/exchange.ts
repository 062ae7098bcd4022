// One request of a person in Slack: who asked, and how to answer.

import type { ModalView } from '@slack/types'
import type { SlackMessage } from '../views/blocks.ts'

export interface Exchange {
  readonly user: string
  readonly userName: string
  readonly channel: string
  /** Answers through the response_url; `spent` when Slack takes nothing more there. Undefined for a modal, which has none. */
  readonly respond: ((message: SlackMessage & { readonly isShared: boolean; readonly replaces: boolean }) => Promise<'sent' | 'spent'>) | undefined
  /** Opens a modal and returns the id of its view, or undefined when the trigger has expired; absent without a trigger. */
  readonly openModal: ((view: ModalView) => Promise<string | undefined>) | undefined
  /** The answer of a write without a task goes to `respond` too, instead of becoming a card. */
  readonly isCardless?: true
}

/** The exchange of a submitted modal: Slack sends neither a channel nor a response_url. */
export function modalExchange(user: { readonly id: string; readonly name: string }): Exchange {
  return { user: user.id, userName: user.name, channel: user.id, respond: undefined, openModal: undefined }
}
