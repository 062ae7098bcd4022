// The service: keeps the state of every store, runs the sync policies, and connects to Slack if it is configured.

import { runAlerts } from './alerts/run.ts'
import { noteHead } from './audit/note-head.ts'
import { formatTime } from '../protocol/time.ts'
import { keepRunning } from './commands/bulk/keep-running.ts'
import type { BotConfig } from './config.ts'
import { createGateway, GATEWAY_BODY_MAX } from './gateway/gateway.ts'
import { KEY_ACTION } from './credentials/vault.ts'
import { fillCatalogue } from './fleet/catalogue/filler.ts'
import { keepFleet } from './fleet/connections.ts'
import type { Sighting } from './fleet/states.ts'
import type { CommandActor } from './commands/command.ts'
import { openBot } from './open.ts'
import type { OpenBot } from './open.ts'
import { runPolicies } from './commands/policy/scheduled-runs.ts'
import { connectSlack } from './slack/connect.ts'
import { createPeopleGroups } from './slack/people-groups.ts'
import { createWorkspace } from './slack/workspace.ts'
import { keepConnecting } from './slack/receive/keep-connecting.ts'
import { lockHome } from './system/home-lock.ts'
import { runSampler } from './samples/sampler.ts'
import { servePage } from './web/page-server.ts'
import type { PageServerDeps } from './web/page-server.ts'
import { createSlackSignIn } from './web/sign-in/slack-sign-in.ts'
import { streamsOf } from './system/request-limit.ts'
import { systemRandom } from './system/clock.ts'
import type { Clock } from './system/clock.ts'
import type { Log } from './system/log.ts'

export interface BotDeps {
  readonly clock: Clock
  readonly log: Log
  /** Receives the state of the connection to Slack in one sentence. */
  readonly report?: (status: string) => void
  readonly random?: () => number
  /** Interval between two observations for alerts, in milliseconds, for a test that is in a hurry. */
  readonly observeMs?: number
  /** Prints a sentence for whoever starts the bot. */
  readonly announce?: (text: string) => void
}

export interface RunningBot extends AsyncDisposable {
  /** Never resolves; rejects with ConfigRefused when Slack refuses the credentials, however late. */
  readonly failed: Promise<never>
}

/**
 * Starts the bot on its home folder; disposing stops it cleanly. While Slack cannot be reached, the bot retries in the background. Throws
 * ConfigRefused, and HomeUnusable when another service runs on the home folder.
 */
export async function startBot(config: BotConfig, deps: BotDeps): Promise<RunningBot> {
  const { clock, log, report = () => {} } = deps
  const stack = new AsyncDisposableStack()
  // Opened first and released last: another service may begin when nothing of this one is in progress.
  stack.use(lockHome(config.home))
  const bot = stack.use(
    openBot(config.home, {
      clock: deps.clock,
      log,
      environmentRoles: config,
      approvalRule: config.approvalRule,
      keyFiles: config.keyFiles,
      ...(config.web ? { web: config.web } : {}),
    }),
  )
  stack.use(noteHead(bot.audit, clock, log))
  const { fleet, database } = bot
  noteUnreadable(bot, log)
  const random = deps.random ?? systemRandom
  const alerts = stack.use(runAlerts({ ...deps, alerts: bot.alerts, registry: fleet.registry, database, outbox: bot.outbox }))
  const sampler = stack.use(runSampler({ samples: bot.samples, registry: fleet.registry, clock, log }))
  const { linkCards } = bot
  stack.defer(() => linkCards.stop())
  const onSightings = (sightings: readonly Sighting[]): void => {
    alerts.saw(sightings)
    sampler.saw(sightings)
    linkCards.saw(sightings)
  }
  const { reconnectMs } = config
  const catalogue = stack.use(fillCatalogue({ catalogue: bot.catalogue, fleet, clock, log }))
  const streamsMax = streamsOf(config.requestsMax)
  stack.use(keepFleet({ fleet, database, clock, log, random, reconnectMs, streamsMax, onSightings, onProgress: linkCards.read, catalogue }))
  stack.use(runPolicies(bot.context({ name: 'policies', role: 'operator' }, 'service'), { clock, log }))
  // What a killed console left. Whoever runs it owns the machine, and is an admin.
  const consoleActor = ({ actor }: { readonly actor: string }): Promise<CommandActor> => Promise.resolve({ name: actor, role: 'admin' })
  stack.use(keepRunning({ ...bot, log, surface: 'console', takesOver: false, actorOf: consoleActor }))
  const { slack } = config
  if (slack && !bot.roles.hasAdmin()) announceCode(bot, deps)
  try {
    if (config.web)
      stack.use(
        servePage(config.web, {
          bot,
          log,
          uploads: uploadsOf(bot, log),
          bodyMax: GATEWAY_BODY_MAX,
          ...(slack ? { groups: createPeopleGroups(slack, { bot, config, log }) } : {}),
          ...(slack && config.signIn ? { signIn: createSlackSignIn(config.signIn, { clock, log, workspace: createWorkspace(slack, config, log) }) } : {}),
        }),
      )
    const connect = slack && (() => connectSlack(slack, { bot, config, log, report }))
    const connection = connect && stack.use(await keepConnecting({ connect, clock, log, report }))
    return { failed: connection?.failed ?? new Promise<never>(() => {}), [Symbol.asyncDispose]: () => stack.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** Returns the uploads of browsers. */
function uploadsOf(bot: OpenBot, log: Log): PageServerDeps['uploads'] {
  const { links, assets } = createGateway({ bot, log, origin: bot.page.address.origin })
  return { loads: assets, answer: (request, server) => links.fetch(request, server ? { server } : {}) }
}

/** Logs which stores have tokens that cannot be read, and why. */
function noteUnreadable({ fleet }: OpenBot, log: Log): void {
  const stores = fleet.registry.list().filter(({ unreadable }) => unreadable !== undefined)
  const [first] = stores
  if (first) log.error('credentials of stores cannot be read', { stores: stores.length, first: first.name, reason: first.unreadable, action: KEY_ACTION })
}

/** Prints the code with which somebody in Slack becomes the first admin. */
function announceCode(bot: OpenBot, { announce }: BotDeps): void {
  const { code, expiresMs } = bot.context({ name: 'service', role: 'admin' }, 'service').firstAdminCodes.issue()
  announce?.(`No Slack user is an admin yet. Until ${formatTime(expiresMs)}, the first one can run in Slack: /slipway role claim ${code}`)
}
