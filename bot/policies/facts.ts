// What stores have now, as far as the planner of sync policies needs it. Every fact is asked for; nothing is remembered from an earlier run.

import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { HealthState } from '../../protocol/health.ts'
import type { Image } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { maintenanceAt } from '../fleet/maintenance.ts'
import { observeAll } from '../fleet/observe.ts'
import type { Observation } from '../fleet/judge.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { PolicyTerms } from './policy.ts'
import { labelWords } from './policy.ts'

/** Most images of all stores together that one plan reads. */
export const IMAGES_PLANNED_MAX = 200_000

/** An image in a store. */
export interface ImageFacts extends Pick<Image, 'id' | 'name' | 'kind' | 'labels' | 'status' | 'digest' | 'manifestDigest'> {
  /** Space that a copy needs at most. */
  readonly bytes: number
  readonly isProtected: boolean
  /** Instances that use it. */
  readonly bindings: number
  /** UUID of the store that it was copied from; null for an image that came another way. */
  readonly sourceStoreId: string | null
  /** When it was published, in milliseconds since 1970. */
  readonly availableMs: number
}

export interface StoreFacts {
  readonly name: string
  readonly zone: string
  readonly storeId: string | null
  readonly state: HealthState
  readonly isEnabled: boolean
  readonly hasImagesOn: boolean
  /** Kinds of images that the store takes; absent for all. */
  readonly acceptedKinds?: readonly Image['kind'][]
  /** Until when the store is in maintenance, in milliseconds since 1970; absent when it is not. */
  readonly maintenanceUntilMs?: number
  /** Space above the reserve in bytes. */
  readonly availableBytes: number
  /** Null when they are unknown: the store does not answer or is in error. Its copies do not count, and it gets none. */
  readonly images: readonly ImageFacts[] | null
  /** Why the images are unknown, as it follows the name of the store: `does not answer …`. */
  readonly trouble: string
  /** Since when a store has not answered; null for one that answers, also with an error. */
  readonly silentSinceMs: number | null
}

export interface FleetFacts {
  readonly stores: readonly StoreFacts[]
  readonly nowMs: number
}

export interface CopyOfImage extends ImageFacts {
  readonly store: string
}

/** Images with the same bytes. */
export interface ImageGroup {
  /** What names the bytes. */
  readonly key: string
  /** The name of the first copy. */
  readonly name: string
  /** Available and degraded ones, by store. */
  readonly copies: readonly CopyOfImage[]
  readonly ids: ReadonlySet<string>
  /** Space that a copy of an undamaged one needs at most. */
  readonly bytes: number
  /** When the first copy was published. */
  readonly availableMs: number
}

/**
 * Asks all stores for their state and for the images that a policy is about. An image counts in each store, also where its copy has lost the labels.
 * Throws `limit-reached` for more than IMAGES_PLANNED_MAX images.
 */
export async function gatherFacts(fleet: Fleet, policy: PolicyTerms, nowMs: number): Promise<FleetFacts> {
  const seen = await observeAll(fleet, fleet.registry.list())
  const readable = seen.filter(({ state }) => state !== 'stopped' && state !== 'error').map(({ record }) => record)
  const label = labelWords(policy.labels)
  const names = label === '' ? undefined : new Set<string>()
  const count = { images: 0 }
  if (names) {
    // A store that fails here fails in the second reading as well, which reports it.
    await fleet.contactAll(readable, async (agent) => {
      for await (const image of agent.images.all({ label })) for (const name of namesOf(image)) names.add(name)
    })
  }
  const contacts = await fleet.contactAll(readable, (agent) => readImages(agent, names, count))
  if (count.images > IMAGES_PLANNED_MAX) {
    const action = 'Make it smaller with label=, and add a second one for the others.'
    throw problem('limit-reached', `The policy is about more than ${IMAGES_PLANNED_MAX} images.`, { action })
  }
  const images = new Map(contacts.map((contact) => [contact.store.name, contact]))
  const stores = seen.map((one): StoreFacts => {
    const contact = images.get(one.record.name)
    if (contact?.kind === 'answered') return storeFacts(one, contact.value, nowMs)
    if (contact?.kind === 'stopped') return { ...storeFacts(one, null, nowMs), silentSinceMs: contact.sinceMs, trouble: silence(contact.sinceMs) }
    return { ...storeFacts(one, null, nowMs), ...(contact && { trouble: `refuses: ${contact.problem.detail}` }) }
  })
  return { stores, nowMs }
}

function storeFacts({ record, state, store, sinceMs, finding }: Observation, images: readonly ImageFacts[] | null, nowMs: number): StoreFacts {
  const maintenance = maintenanceAt(record, nowMs)
  return {
    name: record.name,
    zone: record.zone,
    storeId: record.storeId ?? store?.id ?? null,
    state,
    isEnabled: store?.enabled ?? false,
    hasImagesOn: store?.imagesEnabled ?? true,
    ...(store?.kinds && store.kinds.accepted.length > 0 ? { acceptedKinds: store.kinds.accepted } : {}),
    ...(maintenance ? { maintenanceUntilMs: maintenance.untilMs } : {}),
    availableBytes: store?.capacity.available ?? 0,
    images,
    trouble: state === 'stopped' ? silence(sinceMs ?? 0) : `is in error: ${finding}`,
    silentSinceMs: state === 'stopped' ? sinceMs : null,
  }
}

function silence(sinceMs: number): string {
  return `has not answered since ${formatAt(sinceMs)}`
}

async function readImages(agent: AgentClient, names: ReadonlySet<string> | undefined, count: { images: number }): Promise<ImageFacts[]> {
  const images: ImageFacts[] = []
  for await (const image of agent.images.all()) {
    if (names && !namesOf(image).some((name) => names.has(name))) continue
    if (++count.images > IMAGES_PLANNED_MAX) break
    images.push(imageFacts(image))
  }
  return images
}

/** What may name the same image in another store. */
function namesOf({ id, digest, manifestDigest }: Image): string[] {
  return [id, ...(digest === null ? [] : [digest]), ...(manifestDigest === null ? [] : [manifestDigest])]
}

function imageFacts(image: Image): ImageFacts {
  const { id, name, kind, labels, status, digest, manifestDigest } = image
  return {
    ...{ id, name, kind, labels, status, digest, manifestDigest },
    bytes: image.storedSize ?? image.length,
    isProtected: image.protected,
    bindings: image.bindings.length,
    sourceStoreId: image.source.kind === 'sync' ? image.source.storeId : null,
    availableMs: image.availableAt === null ? 0 : Date.parse(image.availableAt),
  }
}
