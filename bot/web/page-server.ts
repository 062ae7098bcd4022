// Serves the page at its address.

import { errorText } from '../../protocol/errors.ts'
import { ConfigRefused } from '../config.ts'
import type { WebAccess } from '../config.ts'
import { originOf } from '../entry/page-address.ts'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { createPageApp } from './page-app.tsx'
import type { PageUploads } from './page-app.tsx'
import { NO_GROUPS } from './person.ts'
import type { PeopleGroups } from './person.ts'
import type { SlackSignIn } from './sign-in/slack-sign-in.ts'

/** Seconds without a byte after which a connection is closed: longer than a store takes to answer or to be silent. */
const IDLE_TIMEOUT_S = 60

export interface PageServerDeps {
  readonly bot: OpenBot
  readonly log: Log
  /** The groups of Slack; without Slack there are none. */
  readonly groups?: PeopleGroups
  /** Lets people of Slack enter without a link. */
  readonly signIn?: SlackSignIn
  /** Uploads of browsers, of which one request may bring a whole image. */
  readonly uploads: Pick<PageUploads, 'loads'> & {
    answer(request: Request, server: Bun.Server<undefined> | undefined): Response | Promise<Response>
  }
  /** Longest body of an upload in bytes. The page bounds its forms itself. */
  readonly bodyMax: number
}

/**
 * Starts the server; disposing stops it. When nobody chose the address and another process has it, the service does without the page. Throws ConfigRefused when a
 * chosen address cannot be used.
 */
export function servePage(
  { hostname, port, isDefault, publicUrl }: WebAccess,
  { bot, log, groups = NO_GROUPS, signIn, uploads, bodyMax }: PageServerDeps,
): AsyncDisposable {
  const ending = new AbortController()
  const app = createPageApp({
    bot,
    groups,
    log,
    publicUrl,
    stopping: ending.signal,
    uploads: { ...uploads, answer: (request) => uploads.answer(request, server) },
    ...(signIn ? { signIn } : {}),
  })
  const start = (): Bun.Server<undefined> | undefined => {
    try {
      return Bun.serve({ hostname, port, idleTimeout: IDLE_TIMEOUT_S, maxRequestBodySize: bodyMax, fetch: (request) => app.fetch(request) })
    } catch (error) {
      const text = `${hostname}:${port} cannot be used for the page: ${errorText(error)}. Stop the process that uses it, or set SLIPWAY_WEB_LISTEN to another address, or to off.`
      if (!isDefault) throw new ConfigRefused(text, { cause: error })
      log.info('the page is not served', { reason: text })
      return undefined
    }
  }
  const server = start()
  const { address } = bot.page
  address.note(server && originOf(hostname, server.port ?? port))
  if (server) log.info('serving the page', { url: address.origin() })
  return {
    async [Symbol.asyncDispose]() {
      address.note(undefined)
      // The server waits for its answers, and streams of live pages do not end by themselves.
      ending.abort()
      await server?.stop()
    },
  }
}
