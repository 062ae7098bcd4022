// Grants between stores: tokens with which another store copies certain images of this one, and nothing else. Only hashes of their secrets are
// stored. A grant ends when it expires, when it is revoked, and when the token of its creator ends.

import { z } from 'zod'
import type { Token } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import type { CreatedSyncGrant } from '../../protocol/sync/sync-grant.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Actor } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent } from '../contract/work.ts'
import { hashSecret, newGrantSecret } from './credentials.ts'
import { principalOf } from './principal.ts'

/** Most grants of one store, and of one creator, that have not expired: enough for a fleet that copies from a few stores. */
export const GRANTS_MAX = 1000
export const GRANTS_PER_CREATOR_MAX = 500
/** Most images of all grants together. They are held in memory and kept in one document, which each new grant writes. */
export const GRANTED_IMAGES_MAX = 40_000
const HOUR_MS = 3_600_000
const KEY = 'sync-grants'

const keptGrantsSchema = z.array(
  z.object({
    id: z.string(),
    hash: z.string(),
    images: z.array(z.string()),
    target: z.string().nullable(),
    /** Id and name of the token that created the grant. */
    by: z.string(),
    byName: z.string(),
    createdMs: z.number(),
    expiresMs: z.number(),
  }),
)
type KeptGrant = z.infer<typeof keptGrantsSchema>[number]

/** A grant in use. */
interface LiveGrant extends KeptGrant {
  readonly granted: ReadonlySet<string>
  /** Not kept: after a restart the time is unknown until the next request. */
  lastUsedMs: number | null
}

export interface SyncGrantsDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
  /** Returns the token of the grant's creator while it is valid. */
  readonly findToken: (id: string) => Token | undefined
}

/** A grant to create: of images by their ids. */
export interface SyncGrantOrder {
  readonly images: readonly string[]
  readonly target?: string | undefined
  readonly hours: number
}

export interface SyncGrants {
  /** Creates a grant; durable when it resolves. Throws ProblemError `forbidden` unless the actor has a token, or `limit-reached`. */
  create(order: SyncGrantOrder, actor: Actor): Promise<CreatedSyncGrant>
  /** Returns the grants as tokens, oldest first. */
  list(): Token[]
  has(id: string): boolean
  /** Revokes a grant, durable when it returns. Throws ProblemError `not-found`. */
  remove(id: string, actor: Actor): void
  /** Returns the actor of a secret; undefined when no grant has it, or when the grant has ended. */
  bySecret(secret: string): Promise<Actor | undefined>
}

/** Opens the grants of a store. */
export function openSyncGrants({ kept, clock, emit, findToken }: SyncGrantsDeps): SyncGrants {
  let grants: readonly LiveGrant[] = keptGrantsSchema.parse(kept.read(KEY) ?? []).map(makeLive)
  // The hash of an unknown secret cannot be chosen, so the time of a look-up by hash tells nothing about the hashes of others.
  let byHash = new Map(grants.map((grant) => [grant.hash, grant]))
  const isLive = (grant: KeptGrant): boolean => grant.expiresMs > clock.nowMs()
  const save = (next: readonly LiveGrant[]): void => {
    kept.write(
      KEY,
      next.map(({ granted: _granted, lastUsedMs: _lastUsedMs, ...grant }) => grant),
    )
    grants = next
    byHash = new Map(next.map((grant) => [grant.hash, grant]))
  }

  return {
    list: () => grants.map(show),
    has: (id) => grants.some((grant) => grant.id === id),

    async create({ images, target, hours }, actor) {
      if (actor.tokenId === undefined) throw problem('forbidden', 'A grant can only be created with a token.')
      const secret = newGrantSecret()
      const hash = await hashSecret(secret)
      const nowMs = clock.nowMs()
      const grant = makeLive({
        id: newId('tok', nowMs),
        hash,
        images: [...new Set(images)],
        target: target ?? null,
        by: actor.tokenId,
        byName: actor.name,
        createdMs: nowMs,
        expiresMs: nowMs + hours * HOUR_MS,
      })
      const others = grants.filter(isLive)
      refuseExcess(others, grant)
      save([...others, grant])
      emit({
        type: 'grant.created',
        severity: 'info',
        subject: grant.id,
        actor: actor.name,
        message: `${actor.name} allowed ${targetName(grant)} to copy ${countImages(grant)} until ${formatTime(grant.expiresMs)}.`,
        details: { images: grant.images, target: grant.target },
      })
      return { id: grant.id, token: secret, expiresAt: formatTime(grant.expiresMs) }
    },

    remove(id, actor) {
      const grant = grants.find((candidate) => candidate.id === id)
      if (!grant) throw problem('not-found', `There is no grant ${JSON.stringify(id)}.`)
      save(grants.filter((candidate) => candidate !== grant))
      emit({
        type: 'grant.revoked',
        severity: 'info',
        subject: id,
        actor: actor.name,
        message: `${actor.name} revoked the grant of ${targetName(grant)} to copy ${countImages(grant)}.`,
        details: { images: grant.images, target: grant.target },
      })
    },

    async bySecret(secret) {
      const grant = byHash.get(await hashSecret(secret))
      const maker = grant && isLive(grant) ? findToken(grant.by) : undefined
      if (!grant || !maker) return undefined
      grant.lastUsedMs = clock.nowMs()
      const right = { id: grant.id, images: grant.granted, maker: principalOf(maker) }
      return { name: targetName(grant), role: 'viewer', tokenId: grant.id, grant: right }
    },
  }
}

/** Throws ProblemError `limit-reached` when one more grant would exceed a limit. */
function refuseExcess(others: readonly KeptGrant[], grant: KeptGrant): void {
  const action = 'Revoke grants that are no longer needed (grant list, grant revoke), or wait until some have expired.'
  if (others.length >= GRANTS_MAX) throw problem('limit-reached', `The store already has ${GRANTS_MAX} grants to other stores.`, { action })
  if (others.filter(({ by }) => by === grant.by).length >= GRANTS_PER_CREATOR_MAX)
    throw problem('limit-reached', `${grant.byName} already has ${GRANTS_PER_CREATOR_MAX} grants to other stores.`, { action })
  const images = others.reduce((count, other) => count + other.images.length, grant.images.length)
  if (images > GRANTED_IMAGES_MAX) throw problem('limit-reached', `The grants of the store would name more than ${GRANTED_IMAGES_MAX} images.`, { action })
}

function makeLive(grant: KeptGrant): LiveGrant {
  return { ...grant, granted: new Set(grant.images), lastUsedMs: null }
}

/** Returns the name that the store using a grant has in tasks, events and logs. */
function targetName({ target }: KeptGrant): string {
  return target === null ? 'another store' : `store ${target}`
}

function countImages({ images }: KeptGrant): string {
  return images.length === 1 ? `image ${images[0]}` : `${images.length} images`
}

function show(grant: LiveGrant): Token {
  const { id, images, target, byName, createdMs, expiresMs, lastUsedMs } = grant
  return {
    id,
    name: `copies to ${targetName(grant)}`,
    role: 'viewer',
    subject: null,
    groups: [],
    grant: { images, target, createdBy: byName },
    createdAt: formatTime(createdMs),
    expiresAt: formatTime(expiresMs),
    lastUsedAt: lastUsedMs === null ? null : formatTime(lastUsedMs),
  }
}
