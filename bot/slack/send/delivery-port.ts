// Posts and edits messages of the outbox, each with one request, and says what Slack answered. The sender decides what follows.

import { ErrorCode, WebClient } from '@slack/web-api'
import type { WebAPIPlatformError, WebAPIRateLimitedError, WebClientOptions } from '@slack/web-api'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import type { SlackMessage } from '../../views/blocks.ts'
import { NOT_THERE } from '../port.ts'

/** How long one request may take, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

/** What Slack answered. */
export type Answer =
  | { readonly kind: 'done'; readonly channel: string; readonly ts: string }
  /** Slack does not answer, refuses the credentials for now, or asks to wait for this many milliseconds (429, Retry-After). */
  | { readonly kind: 'away'; readonly reason: string }
  | { readonly kind: 'limited'; readonly afterMs: number }
  /** The bot may not post in the channel. */
  | { readonly kind: 'closed'; readonly reason: string }
  /** The message of the thread was deleted, or takes no replies. */
  | { readonly kind: 'threadless'; readonly reason: string }
  /** The message was deleted, or can no longer be edited. */
  | { readonly kind: 'gone'; readonly reason: string }
  | { readonly kind: 'invalid'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }

/** The part of Slack's Web API that the outbox needs. Never throws. */
export interface DeliveryPort {
  post(channel: string, threadTs: string | undefined, message: SlackMessage): Promise<Answer>
  edit(channel: string, ts: string, message: SlackMessage): Promise<Answer>
}

/** Errors of a workspace that may pass, or that an admin can correct without changing messages. */
const AWAY = new Set([
  ...['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'team_added_to_org', 'ratelimited', 'accesslimited', 'ekm_access_denied'],
  ...['invalid_auth', 'not_authed', 'account_inactive', 'token_revoked', 'token_expired', 'missing_scope', 'team_access_not_granted'],
])
const THREADLESS = new Set(['thread_not_found', 'cannot_reply_to_message', 'invalid_thread_ts', 'thread_locked'])
const GONE = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed'])
const INVALID = new Set(['invalid_blocks', 'invalid_blocks_format', 'msg_too_long', 'msg_blocks_too_long', 'no_text'])

/** Creates the port with a client of its own, which neither retries nor waits: a message that waits is in the outbox. */
export function createDeliveryPort(botToken: string, options: Pick<WebClientOptions, 'slackApiUrl' | 'logger'>): DeliveryPort {
  const client = new WebClient(botToken, { ...options, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true, timeout: REQUEST_TIMEOUT_MS })
  return {
    post: (channel, threadTs, { text, blocks }) =>
      answerOf(() =>
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- Slack's method, not that of a window
        client.chat.postMessage({
          channel,
          text,
          blocks,
          unfurl_links: false,
          unfurl_media: false,
          ...(threadTs === undefined ? {} : { thread_ts: threadTs }),
        }),
      ),
    edit: (channel, ts, { text, blocks }) => answerOf(() => client.chat.update({ channel, ts, text, blocks })),
  }
}

async function answerOf(call: () => Promise<{ channel?: string; ts?: string }>): Promise<Answer> {
  try {
    const { channel, ts } = await call()
    return channel === undefined || ts === undefined ? { kind: 'refused', reason: 'the answer names no message' } : { kind: 'done', channel, ts }
  } catch (error) {
    if (hasCode(error, ErrorCode.RateLimitedError)) return { kind: 'limited', afterMs: (error as WebAPIRateLimitedError).retryAfter * 1000 }
    if (!hasCode(error, ErrorCode.PlatformError)) return { kind: 'away', reason: errorText(error) }
    const reason = (error as WebAPIPlatformError).data.error
    if (AWAY.has(reason)) return { kind: 'away', reason }
    if (THREADLESS.has(reason)) return { kind: 'threadless', reason }
    if (NOT_THERE.has(reason)) return { kind: 'closed', reason }
    if (GONE.has(reason)) return { kind: 'gone', reason }
    return { kind: INVALID.has(reason) ? 'invalid' : 'refused', reason }
  }
}
