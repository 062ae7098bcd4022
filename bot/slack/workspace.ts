// The workspace in which the bot is installed.

import { z } from 'zod'
import type { BotConfig, SlackAccess } from '../config.ts'
import type { Log } from '../system/log.ts'
import { createOwnClient } from './send/own-client.ts'

/** Returns a function that gives the workspace's id. Slack is asked once; after a failure, the next call asks again. The function rejects when Slack does not answer. */
export function createWorkspace(access: Pick<SlackAccess, 'botToken'>, config: Pick<BotConfig, 'slackApiUrl'>, log: Log): () => Promise<string> {
  const client = createOwnClient(access, config, log)
  let asked: Promise<string> | undefined
  return () => {
    const answer = (asked ??= client.auth.test().then(({ team_id: team }) => z.string().parse(team)))
    answer.catch(() => {
      asked = undefined
    })
    return answer
  }
}
