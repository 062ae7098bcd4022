// A client of Slack's Web API for what does not wait for Bolt: it works while Bolt is not connected, asks once and gives up soon.

import { WebClient } from '@slack/web-api'
import type { BotConfig, SlackAccess } from '../../config.ts'
import type { Log } from '../../system/log.ts'
import { boltLogger } from '../receive/bolt-log.ts'

/** How long one request may take, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

/** Creates the client. */
export function createOwnClient({ botToken }: Pick<SlackAccess, 'botToken'>, { slackApiUrl }: Pick<BotConfig, 'slackApiUrl'>, log: Log): WebClient {
  const options = slackApiUrl === undefined ? {} : { slackApiUrl }
  return new WebClient(botToken, { ...options, logger: boltLogger(log), retryConfig: { retries: 0 }, timeout: REQUEST_TIMEOUT_MS })
}
