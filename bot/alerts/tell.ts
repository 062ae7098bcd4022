// Tells channels about incidents, by comparing what is with what each channel was shown. It runs in the transaction of the caller, so that a message is
// in the outbox if and only if the database says that it is.

import type { StoreRecord } from '../fleet/registry.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { historyNote, incidentCard, reminderCard, summaryCard } from './cards.ts'
import { outageCard } from './outage-card.ts'
import { FLEET, isOutage, isSilence } from './outage.ts'
import type { Incident, Incidents } from './incidents.ts'
import type { KeptMachine, Machines } from './machines.ts'
import type { Group, Post, Posts } from './posts.ts'
import type { QuietOf } from './quiet.ts'
import { isWanted } from './subscriptions.ts'
import type { SubscribedChannel, Subscriptions } from './subscriptions.ts'

/** Stores of a zone that fail at the same time, from which on one card shows all of them. */
export const SUMMARY_STORES_MIN = 5
/** How long after its start a summary takes further incidents of its zone, in milliseconds. */
export const SUMMARY_JOIN_MS = 10 * 60_000
/** Shortest time between two edits of a card for a measured value alone, in milliseconds. */
export const REFRESH_MS = 5 * 60_000

export interface TellDeps {
  readonly incidents: Incidents
  readonly machines: Machines
  readonly posts: Posts
  readonly subscriptions: Subscriptions
  readonly outbox: Pick<Outbox, 'put'>
  readonly quietOf: QuietOf
  readonly nowMs: number
}

/** Puts what channels should be told into the outbox. */
export function tell(deps: TellDeps, stores: readonly StoreRecord[]): void {
  const live = deps.incidents.live()
  if (live.length === 0) return
  const lines = deps.incidents.lastLines()
  const byId = new Map(live.map((incident) => [incident.id, incident]))
  const posts = deps.posts.live()
  const told = Map.groupBy(posts, ({ channel }) => channel)
  const channels = deps.subscriptions.list()
  const groups = new Set<number>()
  const zones = new Map(stores.map(({ name, zone }) => [name.toLowerCase(), zone]))
  const pending = deps.machines.all().filter(({ isOpen, store }) => !isOpen && store !== '')
  for (const channel of channels) {
    const known = new Set(told.get(channel.channel)?.map(({ incident }) => incident))
    const due = live.filter(
      (incident) => incident.resolvedMs === null && !known.has(incident.id) && isWanted(channel, incident, incident.severity) && !deps.quietOf(incident),
    )
    if (due.length === 0) continue
    const conditions = new Set(due.map(({ condition }) => condition))
    const coming = pending.filter(({ store, condition }) => {
      const zone = zones.get(store.toLowerCase())
      return zone !== undefined && conditions.has(condition) && isWanted(channel, { store, zone, condition: '' }, 'critical')
    })
    const zoneOf = ({ store }: KeptMachine): string => zones.get(store.toLowerCase()) ?? ''
    const hasOutage =
      deps.posts.openGroup(channel.channel, FLEET, deps.nowMs - SUMMARY_JOIN_MS) !== undefined ||
      isOutage({ due, coming, zoneOf, stores, quietOf: deps.quietOf })
    const [outage, others] = hasOutage ? split(due, isSilence) : [[], due]
    if (outage.length > 0) for (const group of showNew({ ...deps, lines }, channel, { zone: FLEET, due: outage, coming: [], isOne: true })) groups.add(group)
    for (const [zone, ofZone] of Map.groupBy(others, (incident) => incident.zone)) {
      const own = new Set(ofZone.map(({ condition }) => condition))
      const ofZoneComing = coming.filter((machine) => own.has(machine.condition) && zoneOf(machine) === zone)
      for (const group of showNew({ ...deps, lines }, channel, { zone, due: ofZone, coming: ofZoneComing, isOne: false })) groups.add(group)
    }
  }
  const byChannel = new Map(channels.map((channel) => [channel.channel, channel]))
  for (const post of posts) {
    const incident = byId.get(post.incident)
    if (!incident) continue
    if (post.group === null) refresh({ ...deps, lines }, post, incident, byChannel.get(post.channel))
    else groups.add(post.group)
  }
  for (const id of groups) {
    const group = deps.posts.findGroup(id)
    if (group) refreshGroup(deps, group, byChannel.get(group.channel))
  }
  const shownNow = Map.groupBy(deps.posts.live(), ({ channel }) => channel)
  for (const channel of channels) remind(deps, channel, shownNow.get(channel.channel) ?? [], byId)
}

interface NewOfZone {
  readonly zone: string
  /** Incidents that the channel was not shown yet. */
  readonly due: readonly Incident[]
  /** The same findings in other stores, which do not last long enough yet. */
  readonly coming: readonly KeptMachine[]
  /** Whether they are one summary, however few they are. */
  readonly isOne: boolean
}

type Lines = ReadonlyMap<number, number>

/** Shows incidents of a zone for the first time: in a summary when many stores of the zone fail, else each as a card. Returns the summaries. */
function showNew(deps: TellDeps & { readonly lines: Lines }, { channel }: SubscribedChannel, { zone, due, coming, isOne }: NewOfZone): number[] {
  const { posts, outbox, quietOf, lines, nowMs } = deps
  const failing = [...due, ...coming].flatMap(({ store }) => (store === '' ? [] : [store.toLowerCase()]))
  const isMany = isOne || new Set(failing).size >= SUMMARY_STORES_MIN
  const group = posts.openGroup(channel, zone, nowMs - SUMMARY_JOIN_MS) ?? (isMany ? posts.startGroup(channel, zone, nowMs) : undefined)
  for (const incident of due) {
    const history = lines.get(incident.id) ?? 0
    const post = { incident: incident.id, channel, history, toldMs: nowMs }
    if (group) {
      posts.put({ ...post, group: group.id, card: groupKey(group.id), shown: '' })
      continue
    }
    const quiet = quietOf(incident)
    const card = `alert:${incident.id}:${channel}:${history}`
    outbox.put({ key: card, channel, view: incidentCard(incident, quiet, nowMs) })
    posts.put({ ...post, group: null, card, shown: spellShown(incident, quiet, nowMs) })
  }
  return group ? [group.id] : []
}

/** Edits a card that says something else than what is, and tells its thread what happened since. */
function refresh(deps: TellDeps & { readonly lines: Lines }, post: Post, incident: Incident, channel: SubscribedChannel | undefined): void {
  const { outbox, posts, nowMs } = deps
  const quiet = deps.quietOf(incident)
  const shown = spellShown(incident, quiet, nowMs)
  const hasChanged = !isShown(post.shown, shown)
  const key = post.card
  if (hasChanged) outbox.put({ key, channel: post.channel, view: incidentCard(incident, quiet, nowMs) })
  const hasNews = (deps.lines.get(incident.id) ?? 0) > post.history
  const lines = hasNews ? deps.incidents.history(incident.id).filter(({ id }) => id > post.history) : []
  for (const line of lines) {
    if (line.isSilent || !channel) continue
    const thread = channel.isThreaded ? { threadKey: key } : {}
    outbox.put({ key: `${key}:${line.id}`, channel: post.channel, ...thread, view: historyNote(incident, line) })
  }
  const last = lines.at(-1)
  if (!hasChanged && !last) return
  posts.put({ ...post, shown: hasChanged ? shown : post.shown, history: last?.id ?? post.history })
}

function refreshGroup(deps: TellDeps, group: Group, channel: SubscribedChannel | undefined): void {
  const { incidents, posts, outbox, quietOf, nowMs } = deps
  const members = posts.members(group.id).flatMap((id) => incidents.find(id) ?? [])
  const shown = JSON.stringify(members.map((incident) => factsOf(incident, quietOf(incident))))
  const digest = new Bun.CryptoHasher('sha256').update(shown).digest('hex')
  if (digest === group.shown) return
  const key = groupKey(group.id)
  const view = group.zone === FLEET ? outageCard(members, quietOf, nowMs) : summaryCard(group.zone, members, quietOf, nowMs)
  outbox.put({ key, channel: group.channel, view })
  posts.showGroup(group.id, digest)
  const isOver = members.every(({ resolvedMs }) => resolvedMs !== null)
  const isQuiet = members.every((incident) => quietOf(incident) !== undefined)
  if (isOver && !isQuiet && channel)
    outbox.put({ key: `${key}:over`, channel: group.channel, ...(channel.isThreaded ? { threadKey: key } : {}), view: { ...view, actions: [] } })
}

/** Reminds a channel of what is open, told and not acknowledged, in one message. */
function remind(
  { posts, outbox, quietOf, nowMs }: TellDeps,
  { channel, remindMs }: SubscribedChannel,
  shown: readonly Post[],
  live: ReadonlyMap<number, Incident>,
): void {
  if (remindMs === 0) return
  const waiting = shown.flatMap((post) => {
    const incident = live.get(post.incident)
    const isMeant = incident?.resolvedMs === null && incident.ackedBy === null && quietOf(incident) === undefined
    return isMeant ? [{ post, incident }] : []
  })
  if (!waiting.some(({ post }) => nowMs - post.toldMs >= remindMs)) return
  const view = reminderCard(
    waiting.map(({ incident }) => incident),
    nowMs,
  )
  outbox.put({ key: `alert-reminder:${channel}:${nowMs}`, channel, view })
  for (const { post } of waiting) posts.put({ ...post, toldMs: nowMs })
}

/** The elements for which a condition holds, and the others, in their order. */
function split<T>(all: readonly T[], holds: (one: T) => boolean): [T[], T[]] {
  return [all.filter(holds), all.filter((one) => !holds(one))]
}

function groupKey(group: number): string {
  return `alert-group:${group}`
}

/** What a card says that is edited at once. */
function factsOf({ severity, flaps, ackedBy, resolvedMs, store, zone, sinceMs }: Incident, quiet: string | undefined): readonly unknown[] {
  return [store, zone, severity, sinceMs, flaps, ackedBy, resolvedMs, quiet ?? null]
}

/** What a card says: the facts, and the finding with the time at which it was shown. */
function spellShown(incident: Incident, quiet: string | undefined, nowMs: number): string {
  return JSON.stringify([factsOf(incident, quiet), incident.finding, nowMs])
}

/** Whether a card that was shown earlier needs no edit. */
function isShown(before: string, now: string): boolean {
  const [facts, finding, atMs] = JSON.parse(before) as [unknown, string, number]
  const [factsNow, findingNow, nowMs] = JSON.parse(now) as [unknown, string, number]
  if (JSON.stringify(facts) !== JSON.stringify(factsNow)) return false
  return finding === findingNow || nowMs - atMs < REFRESH_MS
}
