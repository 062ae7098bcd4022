// The groups of Slack for decisions outside of Slack, such as on the page. Members come from the same table; Slack is asked with a client of its own, which also
// works while Bolt is not connected.

import { WebClient } from '@slack/web-api'
import type { BotConfig, SlackAccess } from '../config.ts'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { boltLogger } from './bolt-log.ts'
import { createGroups } from './groups.ts'
import type { Groups } from './groups.ts'
import { createSlackPort } from './port.ts'

/** How long one request may take, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

export interface PeopleGroupsDeps {
  readonly bot: Pick<OpenBot, 'database' | 'clock'>
  readonly config: Pick<BotConfig, 'slackApiUrl'>
  readonly log: Log
}

/** Creates the groups of a workspace. */
export function createPeopleGroups({ botToken }: Pick<SlackAccess, 'botToken'>, { bot, config, log }: PeopleGroupsDeps): Groups {
  const { slackApiUrl } = config
  const options = slackApiUrl === undefined ? {} : { slackApiUrl }
  const client = new WebClient(botToken, { ...options, logger: boltLogger(log), retryConfig: { retries: 0 }, timeout: REQUEST_TIMEOUT_MS })
  return createGroups({ database: bot.database, port: createSlackPort(client), clock: bot.clock, log })
}
