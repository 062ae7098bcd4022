// Sends pictures of charts to Slack as files of the bot. A file cannot be part of an answer that one person sees: Slack shows a file only to those with whom
// it is shared, and it is shared with conversations. So the pictures of a private answer go to the person as a direct message.

import { ErrorCode, WebClient } from '@slack/web-api'
import type { WebAPIPlatformError, WebClientOptions } from '@slack/web-api'
import { z } from 'zod'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { DrawPictures, Picture } from '../../charts/picture/pictures.ts'
import type { Log } from '../../system/log.ts'
import { escape } from '../../views/slack-text.ts'
import type { Exchange } from '../exchange.ts'
import { NOT_THERE } from '../port.ts'

/** How long one request may take, in milliseconds. The answer waits for the pictures. */
const REQUEST_TIMEOUT_MS = 5_000
/** Longest alternative text that Slack takes, in characters. */
const WORDS_MAX = 1_000

/** Sends the pictures of a View and returns the sentence that says where they are, or why there are none. Never rejects. */
export type SendPictures = (view: View, exchange: Pick<Exchange, 'user' | 'channel'>, isShared: boolean) => Promise<string>

export interface PictureDeps {
  readonly botToken: string
  /** Of Slack's client: the address of Slack and the log. */
  readonly options: Pick<WebClientOptions, 'slackApiUrl' | 'logger'>
  readonly draw: DrawPictures
  readonly log: Log
}

/** Creates what sends pictures, with a client that neither retries nor waits: the answer has all that the pictures show. */
export function createPicturePort({ botToken, options, draw, log }: PictureDeps): SendPictures {
  const client = new WebClient(botToken, { ...options, retryConfig: { retries: 0 }, rejectRateLimitedCalls: true, timeout: REQUEST_TIMEOUT_MS })

  /** Uploads one picture; nobody sees it before it is shared. */
  const upload = async ({ name, title, words: summary, png }: Picture): Promise<{ id: string; title: string }> => {
    // The client's own method calls the words `alt_text`, which Slack does not know.
    const words = `${title}. ${summary}`.slice(0, WORDS_MAX).toWellFormed()
    const place = await client.apiCall('files.getUploadURLExternal', { filename: `${name}.png`, length: png.length, alt_txt: words })
    const { upload_url: url, file_id: id } = z.object({ upload_url: z.url(), file_id: z.string() }).parse(place)
    const answer = await fetch(url, { method: 'POST', body: png, redirect: 'error', signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`Slack takes no file: HTTP ${answer.status}`)
    return { id, title }
  }

  const share = async (pictures: readonly Picture[], to: { readonly channel: string } | { readonly user: string }, heading: string): Promise<void> => {
    const [first, ...rest] = await Promise.all(pictures.map(upload))
    if (!first) throw new Error('there are no pictures')
    // A message to a person opens the conversation, whose id Slack wants for files.
    const channel = 'channel' in to ? to.channel : await tell(to.user, heading)
    await client.files.completeUploadExternal({ channel_id: channel, files: [first, ...rest], ...('channel' in to ? { initial_comment: heading } : {}) })
  }
  const tell = async (user: string, heading: string): Promise<string> => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- Slack's method, not that of a window
    const { channel } = await client.chat.postMessage({ channel: user, text: heading })
    if (channel === undefined) throw new Error('Slack names no conversation')
    return channel
  }

  return async ({ charts = [], title }, { user, channel }, isShared) => {
    try {
      const pictures = await draw(charts, title)
      if (!pictures) return 'There is no picture, because many are being drawn. Run the command again in a minute.'
      const heading = escape(title)
      const isInChannel = isShared && (await share(pictures, { channel }, heading).then(() => true, elsewhere))
      if (!isInChannel) await share(pictures, { user }, heading)
      return isInChannel
        ? `The ${pictures.length === 1 ? 'picture is' : 'pictures are'} in this channel.`
        : `Slipway sent you ${plural(pictures.length, 'picture')} as a direct message.`
    } catch (error) {
      const code = hasCode(error, ErrorCode.PlatformError) ? (error as WebAPIPlatformError).data.error : ''
      if (code === 'missing_scope')
        return 'There is no picture, because the Slack app lacks the scope files:write. An admin of the workspace can add it (OAuth & Permissions) and install the app again.'
      log.warn('pictures of charts were not sent', { reason: errorText(error) })
      return 'There is no picture, because Slack did not take it. Run the command again later.'
    }
  }
}

/** False for a channel to which the bot may not post; rethrows everything else. */
function elsewhere(error: unknown): boolean {
  if (hasCode(error, ErrorCode.PlatformError) && NOT_THERE.has((error as WebAPIPlatformError).data.error)) return false
  throw error
}
