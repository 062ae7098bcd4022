// One request of a person in Slack: who asked, and the ways to answer.

import type { ModalView } from '@slack/types'
import type { SlackMessage } from '../views/blocks.ts'

export interface Exchange {
  readonly user: string
  readonly userName: string
  readonly channel: string
  /** Answers through the response_url; undefined in a modal, which has none. */
  readonly respond: ((message: SlackMessage & { readonly isShared: boolean; readonly replaces: boolean }) => Promise<void>) | undefined
  /** Opens a modal and gives the id of its view, or undefined when the trigger is too old; undefined without a trigger. */
  readonly openModal: ((view: ModalView) => Promise<string | undefined>) | undefined
}

/** An exchange that began with a submitted modal: Slack gives neither a channel nor a response_url. */
export function modalExchange(user: { readonly id: string; readonly name: string }): Exchange {
  return { user: user.id, userName: user.name, channel: user.id, respond: undefined, openModal: undefined }
}
