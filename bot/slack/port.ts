// Private messages, modals and members of groups through Slack's Web API. Messages in channels are delivered by send-outbox.ts.

import type { ModalView } from '@slack/types'
import { ErrorCode } from '@slack/web-api'
import type { WebAPIPlatformError, WebClient } from '@slack/web-api'
import { z } from 'zod'
import { hasCode } from '../../protocol/errors.ts'
import type { SlackMessage } from '../views/blocks.ts'
import type { AnswerPort } from './answers.ts'
import type { GroupPort } from './groups.ts'

/** Errors that mean the bot cannot post in a channel; the message is then sent in another way. */
export const NOT_THERE: ReadonlySet<string> = new Set([
  'not_in_channel',
  'channel_not_found',
  'is_archived',
  'user_not_in_channel',
  'restricted_action',
  'cannot_reply_to_message',
])

/** Creates the port on Bolt's client, which waits and retries when Slack asks for it (429, Retry-After). */
export function createSlackPort(client: WebClient): AnswerPort & GroupPort {
  const post = (channel: string, { text, blocks }: SlackMessage): Promise<unknown> =>
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- Slack's method, not that of a window
    client.chat.postMessage({ channel, text, blocks, unfurl_links: false, unfurl_media: false })
  /** Sends a message in the channel, or directly to the person where the bot may not post. */
  const tell = async (user: string, message: SlackMessage, inChannel: () => Promise<unknown>): Promise<void> => {
    try {
      await inChannel()
    } catch (error) {
      if (!NOT_THERE.has(platformError(error))) throw error
      await post(user, message)
    }
  }
  return {
    async groupMembers(group) {
      try {
        return { members: z.array(z.string()).parse((await client.usergroups.users.list({ usergroup: group })).users) }
      } catch (error) {
        const code = platformError(error)
        if (code === '') throw error
        return { error: code }
      }
    },
    whisper: (channel, user, { text, blocks }) => tell(user, { text, blocks }, () => client.chat.postEphemeral({ channel, user, text, blocks })),
    share: (channel, user, { text, blocks }) => tell(user, { text, blocks }, () => post(channel, { text, blocks })),
    async updateModal(viewId: string, view: ModalView) {
      await client.views.update({ view_id: viewId, view })
    },
  }
}

function platformError(error: unknown): string {
  const isPlatform = hasCode(error, ErrorCode.PlatformError)
  return isPlatform ? (error as WebAPIPlatformError).data.error : ''
}
