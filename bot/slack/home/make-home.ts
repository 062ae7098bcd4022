// Gathers what the home tab of one person shows: from what the service keeps, so that a silent store delays nobody.

import type { HomeView } from '@slack/types'
import { roleIncludes } from '../../../protocol/access.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { mayRun } from '../../commands/permit.ts'
import type { Roles } from '../../access/roles.ts'
import { isAtLeast } from '../../alerts/conditions.ts'
import type { Incident } from '../../alerts/incidents.ts'
import { readQuiet } from '../../alerts/quiet.ts'
import type { CommandContext } from '../../commands/command.ts'
import { parseLine } from '../../commands/run.ts'
import { oldestAsOf } from '../../commands/select.ts'
import { changesAfter } from '../../commands/store/health/changed.ts'
import { seeStores } from '../../fleet/see.ts'
import type { OpenBot } from '../../open.ts'
import type { Press } from '../../views/blocks.ts'
import { placeWords } from '../../commands/role/role-options.ts'
import type { Action } from '../../../protocol/views/view.ts'
import { zoneFindings } from '../../fleet/zones/findings.ts'
import type { Authority } from '../authorise.ts'
import type { Groups } from '../groups.ts'
import type { Looks } from './looks.ts'
import { homePage, strangerPage } from './page.ts'
import { homeReach } from './reach.ts'
import type { HomeReach } from './reach.ts'

/** Open incidents that are read; the page counts them. */
const INCIDENTS_MAX = 2_000

/** The usual commands in the order of their buttons. Who may not run one does not see its button. */
const USUAL: readonly Omit<Action, 'role'>[] = [
  { label: 'Health', command: 'store health' },
  { label: 'Stores', command: 'store list' },
  { label: 'Images', command: 'image list' },
  { label: 'Alerts', command: 'alert list' },
  { label: 'Tasks', command: 'task list' },
  { label: 'Events', command: 'event list' },
  { label: 'Approvals', command: 'approval list' },
  { label: 'Policies', command: 'policy list' },
  { label: 'Add a store', command: 'store add' },
  { label: 'Roles', command: 'role list' },
  { label: 'Audit', command: 'audit list' },
  { label: 'Help', command: 'help' },
]

export interface MakeHomeDeps {
  readonly bot: Pick<OpenBot, 'context' | 'fleet'>
  readonly roles: Pick<Roles, 'list' | 'hasAdmin'>
  readonly authority: Pick<Authority, 'refresh' | 'actorOf'>
  readonly groups: Pick<Groups, 'groupsOf'>
  readonly looks: Pick<Looks, 'before'>
  readonly register: (press: Press) => string
}

/** Creates the function that makes the home of a person as it is now. */
export function createMakeHome(deps: MakeHomeDeps): (user: string) => Promise<HomeView> {
  return async (user) => {
    await deps.authority.refresh()
    const reach = homeReach(deps.roles.list(), { user, groups: deps.groups.groupsOf(user) })
    if (reach.kind === 'none') return strangerPage(user, { hasAdmin: deps.roles.hasAdmin(), isInChannels: reach.isInChannels })
    // The home belongs to no channel: a role for a channel does not count here.
    const context = deps.bot.context(deps.authority.actorOf({ user, userName: user, channel: user }), 'slack')
    return homeOf(deps, context, reach, user)
  }
}

async function homeOf({ bot, looks, register, roles, groups }: MakeHomeDeps, context: CommandContext, reach: HomeReach, user: string): Promise<HomeView> {
  const { fleet, actor, clock } = context
  const all = fleet.registry.list()
  const stores = reach.kind === 'some' ? all.filter(reach.includes) : all
  const seen = await seeStores(context, stores, false)
  const nowMs = clock.nowMs()
  const quiet = readQuiet(all, context.alerts.silences, nowMs)
  const zones = new Set(stores.map(({ zone }) => zone))
  const names = new Set(stores.map(({ name }) => name.toLowerCase()))
  // A zone of which somebody sees a part only is not theirs.
  const isWhole = (zone: string): boolean => zones.has(zone) && all.every((store) => store.zone !== zone || names.has(store.name.toLowerCase()))
  const incidents = context.alerts.incidents
    .list({ limit: INCIDENTS_MAX })
    .filter(({ store, zone }) => (store === '' ? isWhole(zone) : names.has(store.toLowerCase())))
  const before = looks.before(user)
  const changed = before && changesAfter(bot.fleet.kept, before, seen, `since you last looked, ${formatDuration(Math.max(0, nowMs - before.askedMs))} ago`)
  const known = reach.kind === 'all' ? context.zones.list().map(({ name }) => name) : [...zones].filter(isWhole)
  return homePage(
    {
      ...{ actor, seen, nowMs, quietOf: quiet, changed: changed?.text ?? '', usual: usualActions(context) },
      incidents: incidents.toSorted(worstFirst),
      zones: zoneFindings(known, seen),
      roleText: reach.kind === 'all' ? `you are ${actor.role}` : `your roles: ${roleWords(roles, user, groups.groupsOf(user))}`,
      asOfMs: oldestAsOf(seen, nowMs),
    },
    register,
  )
}

/** `operator in zone zone-1; viewer in store edge-a`: at most five. */
function roleWords(roles: Pick<Roles, 'list'>, user: string, groups: ReadonlySet<string>): string {
  const own = roles.list().filter(({ subject, channel }) => channel === '' && (subject === `user:${user}` || groups.has(subject.replace(/^group:/, ''))))
  return own
    .slice(0, 5)
    .map((grant) => `${grant.role} ${placeWords(grant)}`)
    .join('; ')
}

/** The most severe first, and of these the oldest. */
function worstFirst(a: Incident, b: Incident): number {
  return Number(isAtLeast(b.severity, a.severity)) - Number(isAtLeast(a.severity, b.severity)) || a.sinceMs - b.sinceMs || a.id - b.id
}

function usualActions(context: CommandContext): Action[] {
  return USUAL.flatMap((action) => {
    const parsed = parseLine(context, action.command)
    if (parsed.kind !== 'command' || !mayRun(context, parsed.command)) return []
    // What somebody may run in some stores is checked again when the button is pressed.
    return [{ ...action, role: roleIncludes(context.actor.role, parsed.command.role) ? parsed.command.role : 'viewer' }]
  })
}
