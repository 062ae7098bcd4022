// What the console and the service share: database, registry, fleet, audit log, and the context of commands.

import type { Fetch } from '../protocol/client/exchange.ts'
import { formatOnBehalf, ON_BEHALF_HEADER } from '../protocol/on-behalf.ts'
import { openAlerts } from './alerts/alerts.ts'
import type { Alerts } from './alerts/alerts.ts'
import { createCatalogue } from './fleet/catalogue/catalogue.ts'
import type { Catalogue } from './fleet/catalogue/catalogue.ts'
import { createAudit } from './audit/audit.ts'
import type { Audit } from './audit/audit.ts'
import { createFirstAdminCodes } from './access/first-admin.ts'
import { createApprovals } from './approvals/approvals.ts'
import type { ApprovalRule, Approvals } from './approvals/approvals.ts'
import { createShownPlans } from './approvals/plans.ts'
import { createBulkRuns } from './bulk/bulk-runs.ts'
import type { BulkRuns } from './bulk/bulk-runs.ts'
import { createRoles } from './access/roles.ts'
import type { EnvironmentRoles, Roles } from './access/roles.ts'
import type { CommandActor, CommandContext } from './commands/command.ts'
import { COMMANDS } from './commands/table.ts'
import { createFleet } from './fleet/fleet.ts'
import type { Fleet } from './fleet/fleet.ts'
import { openKeptFleet } from './fleet/kept-fleet.ts'
import type { KeptFleet } from './fleet/kept-fleet.ts'
import { homeKeyPath } from './system/key-file.ts'
import { CLEAR_VAULT, openVault } from './credentials/vault.ts'
import { createHypervisors } from './hypervisors/hypervisors.ts'
import { createRegistry } from './fleet/registry.ts'
import { createLinkCards } from './links/link-cards.ts'
import type { LinkCards } from './links/link-cards.ts'
import { createUploadPages } from './links/upload-pages.ts'
import type { UploadPages } from './links/upload-pages.ts'
import { createOutbox } from './outbox/outbox.ts'
import type { Outbox } from './outbox/outbox.ts'
import { createPolicies } from './policies/policies.ts'
import { createPolicyRuns } from './policies/runs.ts'
import { createSamples } from './samples/samples.ts'
import type { Samples } from './samples/samples.ts'
import { createStarted } from './started/started.ts'
import type { Started, Watch } from './started/started.ts'
import type { Clock } from './system/clock.ts'
import type { Log } from './system/log.ts'
import type { BotDatabase } from './system/database.ts'
import { createEvidenceFiles } from './system/evidence-files.ts'
import { openDatabase } from './system/database.ts'
import { createZones } from './fleet/zones/zones.ts'
import type { ConfiguredAddress } from './entry/page-address.ts'
import { createPageEntry } from './entry/page-entry.ts'
import type { PageEntry } from './entry/page-entry.ts'

export interface OpenBot extends Disposable {
  readonly home: string
  readonly clock: Clock
  readonly database: BotDatabase
  readonly fleet: Fleet & { readonly kept: KeptFleet }
  readonly alerts: Alerts
  readonly audit: Audit
  readonly catalogue: Catalogue
  readonly roles: Roles
  readonly outbox: Outbox
  readonly approvals: Approvals
  readonly bulkRuns: BulkRuns
  readonly started: Started
  /** The cards of upload links. Only the service follows the links. */
  readonly linkCards: LinkCards
  readonly uploadPages: UploadPages
  readonly page: PageEntry
  /** What stores and fleet were like over time. Only the service adds to it. */
  readonly samples: Samples
  /** Creates the context for commands of this actor; `watch` sees the requests that start tasks. */
  context(actor: CommandActor, surface: CommandContext['surface'], watch?: Pick<Watch, 'over'>): CommandContext
}

export interface OpenBotDeps {
  readonly clock: Clock
  /** Without it, failures of background work are not logged: only the service does such work. */
  readonly log?: Log
  readonly fetch?: Fetch
  readonly contactTimeoutMs?: number
  readonly answerMsMax?: number
  /** Roles of Slack users that the environment gives; nobody by default. */
  readonly environmentRoles?: EnvironmentRoles
  /** Key files for the tokens of agents that the bot is given; none lets it make one in its home folder. */
  readonly keyFiles?: readonly string[]
  /** Which deletions in Slack need a second person; none without it. The program reads it from its configuration, where the default is `on`. */
  readonly approvalRule?: ApprovalRule
  /** Where the page is reached, as the configuration says. */
  readonly web?: ConfiguredAddress
  /** Used instead of the database in the home folder. */
  readonly database?: BotDatabase
}

const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Sends requests that name the person who asked. */
function onBehalfOf(name: string, send: Fetch): Fetch {
  const value = formatOnBehalf(name)
  if (value === undefined) return send
  return (url, init) => {
    const headers = new Headers(init.headers)
    headers.set(ON_BEHALF_HEADER, value)
    return send(url, { ...init, headers })
  }
}

/** Opens the bot's state in a home folder. */
export function openBot(home: string, deps: OpenBotDeps): OpenBot {
  const { clock } = deps
  const database = deps.database ?? openDatabase(home)
  const vault = deps.database ? CLEAR_VAULT : openVault({ database, clock, keyFiles: deps.keyFiles ?? [], homeKeyFile: homeKeyPath(home) })
  const registry = createRegistry(database, vault)
  const zones = createZones(database)
  const catalogue = createCatalogue(database)
  const hypervisors = createHypervisors(database)
  const kept = openKeptFleet(database, registry, zones)
  const changed = new Map<string, number>()
  const fleet = { ...createFleet({ registry, kept, changed, ...deps }), kept }
  /** The fleet whose requests name a person of Slack. */
  const fleetOf = ({ id, name }: CommandActor, watch?: Pick<Watch, 'over'>): Fleet => {
    if (id === undefined) return fleet
    const send = onBehalfOf(name, deps.fetch ?? fetch)
    return { ...createFleet({ registry, kept, changed, ...deps, fetch: watch ? watch.over(send) : send }), kept }
  }
  const alerts = openAlerts(database)
  const audit = createAudit(database)
  const roles = createRoles(database, deps.environmentRoles)
  const firstAdminCodes = createFirstAdminCodes(database, clock, roles)
  const policies = createPolicies(database)
  const policyRuns = createPolicyRuns(database)
  const plans = createShownPlans(database)
  const outbox = createOutbox(database, clock)
  const approvals = createApprovals(database, outbox, deps.approvalRule ?? 'off')
  const bulkRuns = createBulkRuns(database, outbox, audit)
  const evidenceFiles = createEvidenceFiles(home)
  const uploadPages = createUploadPages(database, clock)
  const samples = createSamples(database, (storeId) => registry.list().some((store) => store.storeId === storeId))
  const page = createPageEntry(database, clock, deps.web)
  return {
    home,
    clock,
    database,
    fleet,
    alerts,
    audit,
    catalogue,
    roles,
    outbox,
    approvals,
    bulkRuns,
    page,
    samples,
    started: createStarted(database, clock),
    uploadPages,
    linkCards: createLinkCards({ database, fleet, outbox, clock, log: deps.log ?? NO_LOG }),
    context: (actor, surface, watch) => ({
      fleet: fleetOf(actor, watch),
      clock,
      actor,
      surface,
      alerts,
      audit,
      roles,
      firstAdminCodes,
      policies,
      policyRuns,
      zones,
      plans,
      catalogue,
      approvals,
      bulkRuns,
      evidenceFiles,
      hypervisors,
      samples,
      page,
      uploadPages,
      commands: COMMANDS,
    }),
    [Symbol.dispose]: () => database.close(),
  }
}
