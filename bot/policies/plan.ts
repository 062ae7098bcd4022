// Plans a sync policy: from what stores have now to the copies to make and, if it is asked to, the copies to remove. Pure and deterministic:
// the same facts give the same plan. It removes nothing that any policy needs, nothing in use, and never the last copy of an image.

import { formatDuration, formatSize } from '../../protocol/units.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { CopyOfImage, FleetFacts, ImageFacts, ImageGroup, StoreFacts } from './facts.ts'
import { groupImages } from './groups.ts'
import { governs, isInScope, scopeWords } from './policy.ts'
import type { PolicyTerms } from './policy.ts'
import { planRemovals } from './plan-removals.ts'

/** Most copies of one run; the next run makes the rest. */
export const COPIES_PER_RUN_MAX = 200
/** Most findings of a plan; the rest is counted. */
export const FINDINGS_MAX = 100
/** Stores that a copy may come from; a sync takes no more. */
const SOURCES_MAX = 8
/** Stores that a finding names. */
const STORES_NAMED_MAX = 5

/** A copy to make. */
export interface PlannedCopy {
  /** Name of the image, and what names its bytes. */
  readonly name: string
  readonly key: string
  readonly target: string
  /** Stores that have the image undamaged, best first, with its id there. */
  readonly sources: readonly { readonly store: string; readonly imageId: string }[]
  /** `repair`: the target has the image, but it is damaged. */
  readonly why: 'new' | 'repair'
  /** Space that the copy needs at most, in bytes. */
  readonly bytes: number
}

/** A copy to remove: the images of a store with these bytes. */
export interface PlannedRemoval {
  readonly name: string
  readonly key: string
  readonly store: string
  readonly imageIds: readonly string[]
  /** The undamaged copies that stay; without one of them the copy is not removed. */
  readonly keepers: readonly { readonly store: string; readonly imageId: string }[]
}

/** Why a policy does not hold after its plan, or what it waits for. */
export interface Finding {
  /** `unmet`: somebody must act. `waiting`: a later run goes on. */
  readonly kind: 'unmet' | 'waiting'
  /** Name of an image or a store. */
  readonly subject: string
  readonly text: string
  readonly action: string
}

export interface PolicyPlan {
  readonly copies: readonly PlannedCopy[]
  readonly removals: readonly PlannedRemoval[]
  readonly findings: readonly Finding[]
  /** Findings beyond FINDINGS_MAX. */
  readonly moreFindings: number
  /** Number of different images that the policy is about. */
  readonly images: number
}

/** A copy that another run has ordered and that has not ended. */
export interface ComingCopy {
  readonly imageId: string
  readonly store: string
}

export interface PlanOrder {
  readonly policy: PolicyTerms
  readonly facts: FleetFacts
  readonly coming: readonly ComingCopy[]
  /** All other policies: what they need is not removed. */
  readonly others: readonly PolicyTerms[]
  /** Whether copies that the policy does not ask for are removed. */
  readonly removes: boolean
}

/** Plans a policy. */
export function planPolicy(order: PlanOrder): PolicyPlan {
  const { policy, facts } = order
  const planning = startPlanning(order)
  const groups = groupImages(facts)
  const governed = groups.filter((group) => isGoverned(policy, group, planning))
  const problem = scopeFinding(policy, planning)
  if (problem) planning.findings.push(problem)
  else for (const group of governed) planGroup(planning, group)
  planning.findings.push(...summaries(planning))
  const removals = order.removes && !problem ? planRemovals(order, groups, governed) : { removals: [], findings: [] }
  const findings = [...planning.findings, ...removals.findings].toSorted((a, b) => Number(a.kind === 'waiting') - Number(b.kind === 'waiting'))
  return {
    copies: planning.copies,
    removals: removals.removals,
    findings: findings.slice(0, FINDINGS_MAX),
    moreFindings: Math.max(0, findings.length - FINDINGS_MAX),
    images: governed.length,
  }
}

interface Planning {
  readonly policy: PolicyTerms
  readonly facts: FleetFacts
  readonly scope: readonly StoreFacts[]
  /** Images by store and id. */
  readonly images: ReadonlyMap<string, ReadonlyMap<string, ImageFacts>>
  /** Images that are on the way to a store, as `store imageId`. */
  readonly coming: ReadonlySet<string>
  /** Space above the reserve that the plan has not given away, by store. */
  readonly room: Map<string, number>
  readonly copies: PlannedCopy[]
  readonly findings: Finding[]
  /** How many copies wait for a store of the scope that did not answer or takes no images. */
  readonly waiting: Map<string, number>
  /** Copies beyond COPIES_PER_RUN_MAX. */
  omitted: number
}

function startPlanning({ policy, facts, coming }: PlanOrder): Planning {
  const images = new Map(facts.stores.map((store) => [store.name, new Map((store.images ?? []).map((image) => [image.id, image]))]))
  const lengths = new Map(facts.stores.flatMap((store) => (store.images ?? []).map(({ id, bytes }) => [id, bytes])))
  const room = new Map(facts.stores.map((store) => [store.name, store.availableBytes]))
  for (const { imageId, store } of coming) {
    // What has arrived already takes no more room.
    if (images.get(store)?.get(imageId)?.status !== 'available') room.set(store, (room.get(store) ?? 0) - (lengths.get(imageId) ?? 0))
  }
  return {
    policy,
    facts,
    scope: facts.stores.filter((store) => isInScope(policy.scope, store) && !(policy.rule.kind === 'follow' && policy.rule.source === store.name)),
    images,
    coming: new Set(coming.map(({ imageId, store }) => `${store} ${imageId}`)),
    room,
    copies: [],
    findings: [],
    waiting: new Map(),
    omitted: 0,
  }
}

/** Why a policy cannot be planned at all; undefined if it can. */
function scopeFinding(policy: PolicyTerms, { scope, facts }: Planning): Finding | undefined {
  const edit = `Add a store there, or change the policy with policy edit ${policy.name}.`
  if (policy.rule.kind === 'follow') {
    const { source } = policy.rule
    const store = facts.stores.find(({ name }) => name === source)
    if (!store) return { kind: 'unmet', subject: source, text: `${source} is not registered any more.`, action: `Change it with policy edit ${policy.name}.` }
    if (!store.images) return { kind: 'unmet', subject: source, text: `The images of ${source} are unknown: it ${store.trouble}.`, action: healthAction(store) }
  }
  return scope.length > 0
    ? undefined
    : { kind: 'unmet', subject: scopeWords(policy.scope), text: `There is no store in ${scopeWords(policy.scope)} to copy to.`, action: edit }
}

/** Whether a policy is about these bytes: one of the copies, or of a policy that follows the copy of its source, has the labels and the kind. */
function isGoverned(policy: PolicyTerms, group: ImageGroup, { facts }: Planning): boolean {
  const { rule } = policy
  const copies = rule.kind === 'follow' ? group.copies.filter(({ store }) => store === rule.source) : group.copies
  // A damaged copy in a store that nobody reads any more must not ask for copies.
  return copies.some((copy) => (copy.status === 'available' || copy.status === 'degraded') && governs(policy, copy) && isKnown(facts, copy.store))
}

function isKnown({ stores }: FleetFacts, name: string): boolean {
  return stores.some((store) => store.name === name && store.images !== null)
}

function planGroup(planning: Planning, group: ImageGroup): void {
  const { policy, scope, coming } = planning
  const undamaged = group.copies.filter(({ status }) => status === 'available')
  const holders = new Set(undamaged.map(({ store }) => store))
  const onTheWay = scope.filter((store) => !holders.has(store.name) && group.copies.some(({ id }) => coming.has(`${store.name} ${id}`)))
  const without = scope.filter((store) => !holders.has(store.name) && !onTheWay.includes(store))
  if (policy.rule.kind === 'keep') {
    const there = scope.length - without.length
    planCopies(planning, group, { candidates: without, undamaged, wanted: policy.rule.copies - there, there })
    return
  }
  for (const store of without) {
    // What a whole store lacks is one finding and not one for each image.
    if (troubleOf(store) === undefined) planCopies(planning, group, { candidates: [store], undamaged, wanted: 1, there: 0 })
    else planning.waiting.set(store.name, (planning.waiting.get(store.name) ?? 0) + 1)
  }
}

interface Need {
  readonly candidates: readonly StoreFacts[]
  readonly undamaged: readonly CopyOfImage[]
  /** Copies that are missing. */
  readonly wanted: number
  /** Copies that are there or on the way. */
  readonly there: number
}

/** Plans the missing copies of one image, or says why they cannot be made. */
function planCopies(planning: Planning, group: ImageGroup, { candidates, undamaged, wanted, there }: Need): void {
  if (wanted <= 0) return
  const { policy, facts, findings } = planning
  if (undamaged.length === 0) {
    const damaged = [...new Set(group.copies.map(({ store }) => store))].join(', ')
    const text = `${group.name} has no undamaged copy, only a damaged one in ${damaged}.`
    findings.push({
      kind: 'unmet',
      subject: group.name,
      text,
      action: `Look at image show ${group.copies[0]?.id ?? group.name}; upload it again if no store can repair it.`,
    })
    return
  }
  const silent = candidates.filter((store) => mayHold(policy, facts, store, group))
  const open = candidates.filter((store) => !silent.includes(store))
  const missing = wanted - silent.length
  for (const { name } of silent) planning.waiting.set(name, (planning.waiting.get(name) ?? 0) + 1)
  const refusals: string[] = []
  let planned = 0
  for (const target of rank(planning, open, group)) {
    if (planned >= missing) break
    const refusal = refusalOf(planning, target, group)
    if (refusal !== undefined) refusals.push(refusal)
    else {
      addCopy(planning, group, target, undamaged)
      planned++
    }
  }
  if (planned < missing) findings.push(unmetFinding(policy, group, { wanted: wanted + there, short: missing - planned, refusals, scope: planning.scope }))
}

/** Damaged copies first, since their repair costs least, then the stores with most room. */
function rank({ room }: Planning, stores: readonly StoreFacts[], group: ImageGroup): StoreFacts[] {
  const isDamaged = (store: StoreFacts): boolean => group.copies.some((copy) => copy.store === store.name)
  return stores.toSorted(
    (a, b) => Number(isDamaged(b)) - Number(isDamaged(a)) || (room.get(b.name) ?? 0) - (room.get(a.name) ?? 0) || (a.name < b.name ? -1 : 1),
  )
}

/** Why a store cannot take a copy; undefined if it can. */
function refusalOf({ room, images }: Planning, store: StoreFacts, group: ImageGroup): string | undefined {
  const trouble = troubleOf(store)
  if (trouble !== undefined) return `${store.name} ${trouble}`
  const kinds = [...new Set(group.copies.map(({ kind }) => kind))]
  const { acceptedKinds } = store
  if (acceptedKinds && !kinds.every((kind) => acceptedKinds.includes(kind)) && !group.copies.some((copy) => copy.store === store.name))
    return `${store.name} takes only images of the kinds ${acceptedKinds.join(', ')}`
  for (const id of group.ids) {
    const image = images.get(store.name)?.get(id)
    if (image?.status === 'available') return `${store.name} has other bytes under the id ${id}`
    if (image && image.status !== 'degraded' && image.status !== 'error') return `the image is ${image.status} in ${store.name}`
  }
  const free = room.get(store.name) ?? 0
  return group.bytes > free
    ? `${store.name} has ${formatSize(Math.max(0, free))} above its reserve, and the copy needs up to ${formatSize(group.bytes)}`
    : undefined
}

/** Why a store takes no image now; undefined if it does. */
function troubleOf(store: StoreFacts): string | undefined {
  if (store.images === null) return store.trouble
  if (!store.isEnabled) return 'is disabled'
  if (store.maintenanceUntilMs !== undefined) return `is in maintenance until ${formatAt(store.maintenanceUntilMs)}`
  return store.hasImagesOn ? undefined : 'takes no images: they are switched off'
}

function addCopy(planning: Planning, group: ImageGroup, target: StoreFacts, undamaged: readonly CopyOfImage[]): void {
  const { room, copies, facts } = planning
  room.set(target.name, (room.get(target.name) ?? 0) - group.bytes)
  if (copies.length >= COPIES_PER_RUN_MAX) {
    planning.omitted++
    return
  }
  const { policy } = planning
  const storeOf = (copy: CopyOfImage): StoreFacts | undefined => facts.stores.find(({ name }) => name === copy.store)
  const preference = (copy: CopyOfImage): number => {
    const store = storeOf(copy)
    const isFollowed = policy.rule.kind === 'follow' && policy.rule.source === copy.store
    return (isFollowed ? 0 : 4) + (store?.zone === target.zone ? 0 : 2) + (store?.state === 'running' ? 0 : 1)
  }
  const sources = undamaged.toSorted((a, b) => preference(a) - preference(b) || (a.store < b.store ? -1 : a.store > b.store ? 1 : a.id < b.id ? -1 : 1))
  copies.push({
    name: group.name,
    key: group.key,
    target: target.name,
    sources: sources.slice(0, SOURCES_MAX).map(({ store, id }) => ({ store, imageId: id })),
    why: group.copies.some((copy) => copy.store === target.name) ? 'repair' : 'new',
    bytes: group.bytes,
  })
}

/** Whether a store that was silent for a short time may have the image: it was published before the silence. */
function mayHold({ graceMs }: PolicyTerms, { nowMs }: FleetFacts, store: StoreFacts, group: ImageGroup): boolean {
  const { silentSinceMs } = store
  return store.images === null && silentSinceMs !== null && nowMs - silentSinceMs < graceMs && group.availableMs < silentSinceMs
}

/** One finding for each store that copies wait for, and one for the copies that this run does not make. */
function summaries({ policy, facts, scope, waiting, omitted }: Planning): Finding[] {
  const findings: Finding[] = []
  for (const store of policy.rule.kind === 'keep' ? facts.stores : scope) {
    const count = waiting.get(store.name)
    if (count === undefined) {
      // It may have images that the policy is about, and that no other store has.
      if (store.images === null)
        findings.push({
          kind: 'waiting',
          subject: store.name,
          text: `${store.name} ${store.trouble}; its images are not in this plan.`,
          action: healthAction(store),
        })
      continue
    }
    const leftMs = store.silentSinceMs === null ? 0 : store.silentSinceMs + policy.graceMs - facts.nowMs
    const images = count === 1 ? '1 image' : `${count} images`
    findings.push(
      leftMs > 0
        ? {
            kind: 'waiting',
            subject: store.name,
            text: `${store.name} ${troubleOf(store) ?? ''}; it may have a copy of ${images}.`,
            action: `${policy.rule.kind === 'keep' ? `They are copied elsewhere after ${formatDuration(leftMs)} more of silence. ` : ''}${healthAction(store)}`,
          }
        : {
            kind: 'unmet',
            subject: store.name,
            text: `${store.name} ${troubleOf(store) ?? ''}; ${images} cannot be copied to it.`,
            action: healthAction(store),
          },
    )
  }
  if (omitted > 0)
    findings.push({
      kind: 'waiting',
      subject: policy.name,
      text: `${omitted} more copies are needed; one run makes at most ${COPIES_PER_RUN_MAX}.`,
      action: `The next run goes on; policy run ${policy.name} starts it now.`,
    })
  return findings
}

interface Shortfall {
  readonly wanted: number
  readonly short: number
  readonly refusals: readonly string[]
  readonly scope: readonly StoreFacts[]
}

function unmetFinding(policy: PolicyTerms, group: ImageGroup, { wanted, short, refusals, scope }: Shortfall): Finding {
  const tooFew = policy.rule.kind === 'keep' && scope.length < policy.rule.copies
  const why = tooFew ? [`${scopeWords(policy.scope)} has only ${scope.length} stores`, ...refusals] : refusals
  const missing = policy.rule.kind === 'keep' ? `${short} of ${wanted} copies of ${group.name} cannot be made` : `${group.name} cannot be copied`
  return {
    kind: 'unmet',
    subject: group.name,
    text: `${missing}: ${named(why, '; ')}.`,
    action: tooFew
      ? `Add a store to ${scopeWords(policy.scope)}, or lower copies= with policy edit ${policy.name}.`
      : `Make room, or repair or enable a store of ${scopeWords(policy.scope)}; store health says more.`,
  }
}

function healthAction(store: Pick<StoreFacts, 'name'>): string {
  return `Look at store health ${store.name}.`
}

function named(words: readonly string[], separator = ', '): string {
  const more = words.length - STORES_NAMED_MAX
  return `${words.slice(0, STORES_NAMED_MAX).join(separator)}${more > 0 ? ` and ${more} more` : ''}`
}
