// Plans which copies a policy may remove, when it is asked to: copies beyond what it asks for that no other policy needs, that nothing uses, and
// that are not the last ones of an image. Copies in stores that did not answer are never counted.

import type { FleetFacts, ImageGroup, StoreFacts } from './facts.ts'
import type { Finding, PlannedRemoval, PlanOrder } from './plan.ts'
import { governs, isInScope } from './policy.ts'
import type { PolicyTerms } from './policy.ts'

/** Most removals of one run. */
export const REMOVALS_PER_RUN_MAX = 200

interface Removals {
  readonly removals: PlannedRemoval[]
  readonly findings: Finding[]
}

/** Plans removals. `governed` are the groups that the policy is about now; one that follows may also remove what its source no longer has. */
export function planRemovals(order: PlanOrder, groups: readonly ImageGroup[], governed: readonly ImageGroup[]): Removals {
  const result: Removals = { removals: [], findings: [] }
  const { rule } = order.policy
  if (rule.kind === 'keep') for (const group of governed) removeSurplus(order, group, rule.copies, result)
  else {
    // Any image of the source counts, also one that is not available at the moment.
    const sourceIds = new Set(order.facts.stores.find(({ name }) => name === rule.source)?.images?.map(({ id }) => id))
    for (const group of groups) if (!isAt(group, rule.source, sourceIds)) removeUnfollowed(order, group, rule.source, result)
  }
  return result
}

/** Removes copies beyond the wanted number, from the stores with least room first. */
function removeSurplus(order: PlanOrder, group: ImageGroup, wanted: number, result: Removals): void {
  const { facts, policy } = order
  const holders = holdersOf(facts, group)
  const inScope = holders.filter((store) => isInScope(policy.scope, store))
  let surplus = inScope.length - wanted
  const leaving: StoreFacts[] = []
  const byRoom = inScope.toSorted((a, b) => a.availableBytes - b.availableBytes || (a.name < b.name ? 1 : -1))
  let left = holders
  for (const store of byRoom) {
    if (surplus <= 0) break
    const obstacle = obstacleTo(order, group, store, left)
    if (obstacle !== undefined) {
      result.findings.push(keptFinding(group, store, obstacle))
      continue
    }
    leaving.push(store)
    left = left.filter(({ name }) => name !== store.name)
    surplus--
  }
  for (const store of leaving) add(result, { group, store, left })
}

function isAt(group: ImageGroup, source: string, sourceIds: ReadonlySet<string>): boolean {
  return group.copies.some(({ store, id }) => store === source || sourceIds.has(id))
}

/** Removes images that came from the source of a policy and that the source no longer has. */
function removeUnfollowed(order: PlanOrder, group: ImageGroup, source: string, result: Removals): void {
  const { facts, policy } = order
  const followed = facts.stores.find(({ name }) => name === source)
  if (!followed?.images) return
  let left = holdersOf(facts, group)
  const leaving: StoreFacts[] = []
  for (const store of left.filter((one) => isInScope(policy.scope, one) && one.name !== source)) {
    const copies = group.copies.filter((copy) => copy.store === store.name)
    const cameFromSource = followed.storeId !== null && copies.every(({ sourceStoreId }) => sourceStoreId === followed.storeId)
    if (!cameFromSource || !copies.some((copy) => governs(policy, copy))) continue
    const obstacle = obstacleTo(order, group, store, left)
    if (obstacle !== undefined) {
      result.findings.push(keptFinding(group, store, obstacle))
      continue
    }
    leaving.push(store)
    left = left.filter(({ name }) => name !== store.name)
  }
  for (const store of leaving) add(result, { group, store, left })
}

/** Stores that answered and have an undamaged copy. */
function holdersOf({ stores }: FleetFacts, group: ImageGroup): StoreFacts[] {
  return stores.filter((store) => group.copies.some((copy) => copy.store === store.name && copy.status === 'available'))
}

/** Why the copy in a store stays; undefined if it may be removed. `holders` are the stores that have an undamaged copy now. */
function obstacleTo({ policy, facts, others }: PlanOrder, group: ImageGroup, store: StoreFacts, holders: readonly StoreFacts[]): string | undefined {
  const copies = group.copies.filter((copy) => copy.store === store.name)
  if (copies.some((copy) => copy.isProtected)) return 'it is protected'
  if (copies.some((copy) => copy.bindings > 0)) return 'an instance uses it'
  const left = holders.filter(({ name }) => name !== store.name)
  if (left.length === 0) return 'it is the last undamaged copy'
  const needing = others.find((other) => isNeeded(other, group, store, left, facts))
  if (needing) return `the policy ${needing.name} needs it`
  const staying = group.copies.filter((copy) => left.some(({ name }) => name === copy.store))
  // Without its labels a policy would forget the image. One that follows reads them at its source only.
  const asking = [...others, ...(policy.rule.kind === 'keep' ? [policy] : [])]
  const blind = asking.find((one) => copies.some((copy) => governs(one, copy)) && !staying.some((copy) => governs(one, copy)))
  return blind && `no other copy has the labels of the policy ${blind.name}`
}

function isNeeded({ rule, scope, ...filter }: PolicyTerms, group: ImageGroup, store: StoreFacts, left: readonly StoreFacts[], facts: FleetFacts): boolean {
  // What others follow decides what they have.
  if (rule.kind === 'follow' && rule.source === store.name) return group.copies.some((copy) => copy.store === store.name && governs(filter, copy))
  if (!isInScope(scope, store)) return false
  if (rule.kind === 'keep') return group.copies.some((copy) => governs(filter, copy)) && left.filter((one) => isInScope(scope, one)).length < rule.copies
  const source = facts.stores.find(({ name }) => name === rule.source)
  // While the source does not answer, it may have the image.
  if (!source?.images) return group.copies.some((copy) => governs(filter, copy))
  return group.copies.some((copy) => copy.store === rule.source && governs(filter, copy))
}

function keptFinding(group: ImageGroup, store: StoreFacts, obstacle: string): Finding {
  return {
    kind: 'waiting',
    subject: group.name,
    text: `The copy of ${group.name} in ${store.name} stays: ${obstacle}.`,
    action: `Remove it yourself with image delete ${group.name} store=${store.name} if you do not need it.`,
  }
}

interface Leaving {
  readonly group: ImageGroup
  readonly store: StoreFacts
  /** Stores that keep an undamaged copy. */
  readonly left: readonly StoreFacts[]
}

function add({ removals, findings }: Removals, { group, store, left }: Leaving): void {
  if (removals.length >= REMOVALS_PER_RUN_MAX) {
    const text = `One run removes at most ${REMOVALS_PER_RUN_MAX} copies.`
    if (findings.at(-1)?.text !== text) findings.push({ kind: 'waiting', subject: group.name, text, action: 'Run it again for the rest.' })
    return
  }
  const keepers = left.flatMap(({ name }) => group.copies.filter((copy) => copy.store === name && copy.status === 'available').slice(0, 1))
  removals.push({
    name: group.name,
    key: group.key,
    store: store.name,
    imageIds: group.copies.flatMap((copy) => (copy.store === store.name ? [copy.id] : [])),
    keepers: keepers.map((copy) => ({ store: copy.store, imageId: copy.id })),
  })
}
