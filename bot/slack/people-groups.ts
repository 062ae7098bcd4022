// The groups of Slack for decisions outside of Slack, such as on the page. Members come from the same table.

import type { BotConfig, SlackAccess } from '../config.ts'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { createGroups } from './groups.ts'
import type { Groups } from './groups.ts'
import { createOwnClient } from './send/own-client.ts'
import { createSlackPort } from './port.ts'

export interface PeopleGroupsDeps {
  readonly bot: Pick<OpenBot, 'database' | 'clock'>
  readonly config: Pick<BotConfig, 'slackApiUrl'>
  readonly log: Log
}

/** Creates the groups of a workspace. */
export function createPeopleGroups(access: Pick<SlackAccess, 'botToken'>, { bot, config, log }: PeopleGroupsDeps): Groups {
  const port = createSlackPort(createOwnClient(access, config, log))
  return createGroups({ database: bot.database, port, clock: bot.clock, log })
}
