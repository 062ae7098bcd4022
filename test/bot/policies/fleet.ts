// A fleet as the planner of policies sees it, and what a plan makes of it.

import type { FleetFacts, ImageFacts, StoreFacts } from '../../../bot/policies/facts.ts'
import type { PolicyPlan } from '../../../bot/policies/plan.ts'
import type { PolicyTerms } from '../../../bot/policies/policy.ts'

export const NOW_MS = Date.UTC(2026, 0, 2)

/** An image whose digest is its name, published an hour ago. */
export function image(name: string, more: Partial<ImageFacts> = {}): ImageFacts {
  return {
    id: `img_${name}`,
    name,
    kind: 'template',
    labels: {},
    status: 'available',
    digest: `sha256:${name}`,
    manifestDigest: `manifest of ${name}`,
    bytes: 100,
    isProtected: false,
    bindings: 0,
    sourceStoreId: null,
    availableMs: NOW_MS - 3_600_000,
    ...more,
  }
}

/** A store with 1,000 bytes above its reserve. */
export function store(name: string, images: readonly ImageFacts[] = [], more: Partial<StoreFacts> = {}): StoreFacts {
  return {
    name,
    zone: 'zone-1',
    storeId: `id of ${name}`,
    state: 'running',
    isEnabled: true,
    hasImagesOn: true,
    availableBytes: 1000,
    images,
    trouble: '',
    silentSinceMs: null,
    ...more,
  }
}

/** A store that has not answered for this long. */
export function silentStore(name: string, silentMs: number): StoreFacts {
  return store(name, [], { state: 'stopped', images: null, trouble: 'has not answered', silentSinceMs: NOW_MS - silentMs })
}

export function fleet(...stores: StoreFacts[]): FleetFacts {
  return { stores, nowMs: NOW_MS }
}

/** Keeps two copies in zone-1, without grace. */
export function policy(more: Partial<PolicyTerms> = {}): PolicyTerms {
  return { name: 'p', rule: { kind: 'keep', copies: 2 }, scope: { kind: 'zone', zone: 'zone-1' }, labels: [], kinds: [], graceMs: 0, ...more }
}

/** The fleet after every action of a plan has succeeded. A removed copy frees no space before the recycle bin is emptied. */
export function applied(facts: FleetFacts, plan: PolicyPlan): FleetFacts {
  const stores = new Map(facts.stores.map((one) => [one.name, { ...one, images: one.images && [...one.images] }]))
  for (const { target, sources, bytes } of plan.copies) {
    const [from] = sources
    const source = stores.get(from?.store ?? '')
    const copied = source?.images?.find(({ id }) => id === from?.imageId)
    const into = stores.get(target)
    if (!source || !copied || !into?.images) throw new Error(`the plan copies from or to a store that cannot: ${target}`)
    const others = into.images.filter(({ id, digest }) => id !== copied.id && (digest === null || digest !== copied.digest))
    const arrived: ImageFacts = { ...copied, sourceStoreId: source.storeId, isProtected: false, bindings: 0 }
    stores.set(target, { ...into, images: [...others, arrived], availableBytes: into.availableBytes - bytes })
  }
  for (const { store: name, imageIds } of plan.removals) {
    const from = stores.get(name)
    if (from?.images) stores.set(name, { ...from, images: from.images.filter(({ id }) => !imageIds.includes(id)) })
  }
  return { ...facts, stores: [...stores.values()] }
}
