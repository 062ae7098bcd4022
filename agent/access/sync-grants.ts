// Grants between stores: tokens with which another store copies certain images of this one, and nothing else. Only hashes of their secrets are
// stored. A grant ends when it expires, when it is revoked, and when the token of its creator ends.

import type { Token } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { NONCE_HEADER } from '../../protocol/sync/grant-proof.ts'
import type { CreatedSyncGrant } from '../../protocol/sync/sync-grant.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Actor } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent } from '../contract/work.ts'
import { hashSecret, newGrantSecret } from './credentials.ts'
import type { GrantProofs, ProvenStore } from './grant-proofs.ts'
import { HEALING_IDLE_MS, keptGrantsSchema, makeLive, makeRoom, refuseExcess, withRepairs } from './kept-grants.ts'
import type { KeptGrant, LiveGrant } from './kept-grants.ts'
import { principalOf } from './principal.ts'

/** Uses of a grant for repairs within this time write its expiry once, in milliseconds. */
const HEALING_WRITE_MS = 86_400_000
const HOUR_MS = 3_600_000
const KEY = 'sync-grants'

export interface SyncGrantsDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
  /** Returns the token of the grant's creator while it is valid. */
  readonly findToken: (id: string) => Token | undefined
  readonly proofs: GrantProofs
}

/** A grant to create: of images by their ids. */
export interface SyncGrantOrder {
  readonly images: readonly string[]
  readonly target?: string | undefined
  readonly targetKey?: string | undefined
  readonly hours: number
  /** Lets the target repair its copies after the hours, also those that an earlier grant for repairs of the same creator was for. Needs `targetKey`. */
  readonly healing?: boolean | undefined
  /** Whether an image of an earlier grant exists and may be shared by the creator now. */
  readonly isShareable?: (id: string) => boolean
}

export interface SyncGrants {
  /** Creates a grant; durable when it resolves. Throws ProblemError `forbidden` unless the actor has a token, or `limit-reached`. */
  create(order: SyncGrantOrder, actor: Actor): Promise<CreatedSyncGrant>
  /** Returns the grants as tokens, oldest first. */
  list(): Token[]
  has(id: string): boolean
  /** Revokes a grant, durable when it returns. Throws ProblemError `not-found`. */
  remove(id: string, actor: Actor): void
  /**
   * Returns the actor of a secret; undefined when no grant has it, or when the grant has ended. `proof` is the header with which a store proves itself.
   * The first store that does so is the only one that can use the grant from then on. Throws ProblemError `unauthenticated` with a nonce to sign, and
   * `grant-bound` for another store than that of the grant.
   */
  bySecret(secret: string, proof: string | null): Promise<Actor | undefined>
}

/** Opens the grants of a store. */
export function openSyncGrants({ kept, clock, emit, findToken, proofs }: SyncGrantsDeps): SyncGrants {
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

  /** Binds a grant to the first store that proves itself, durable when it returns. Throws ProblemError `grant-bound` for any other store. */
  const bind = (grant: LiveGrant, { storeId, key }: ProvenStore): void => {
    const isOther = (grant.key !== null && grant.key !== key) || (grant.target !== null && grant.target !== storeId)
    if (isOther) throw problem('grant-bound', `The grant is for ${targetName(grant)}; the request is from store ${storeId}.`)
    if (grant.key === null) save(grants.map((other) => (other === grant ? { ...grant, key } : other)))
  }

  /** Lets a grant for repairs last longer, because it was used. */
  const extend = (id: string): void => {
    const grant = grants.find((candidate) => candidate.id === id)
    if (!grant?.healing) return
    const expiresMs = Math.min(clock.nowMs() + HEALING_IDLE_MS, grant.healing.endMs)
    if (expiresMs < grant.expiresMs + HEALING_WRITE_MS) return
    save(grants.map((other) => (other === grant ? { ...grant, expiresMs } : other)))
  }

  return {
    list: () => grants.map(show),
    has: (id) => grants.some((grant) => grant.id === id),

    async create(order, actor) {
      if (actor.tokenId === undefined) throw problem('forbidden', 'A grant can only be created with a token.')
      const secret = newGrantSecret()
      const hash = await hashSecret(secret)
      const nowMs = clock.nowMs()
      const made: KeptGrant = {
        id: newId('tok', nowMs),
        hash,
        images: [...new Set(order.images)],
        target: order.target ?? null,
        key: order.targetKey ?? null,
        by: actor.tokenId,
        byName: actor.name,
        createdMs: nowMs,
        expiresMs: nowMs + order.hours * HOUR_MS,
        healing: null,
      }
      const live = grants.filter(isLive)
      const { grant, others } = order.healing === true ? withRepairs(made, live, order.isShareable ?? (() => false)) : { grant: makeLive(made), others: live }
      const kept = makeRoom(others, grant, nowMs)
      refuseExcess(kept, grant)
      save([...kept, grant])
      emit({
        type: 'grant.created',
        severity: 'info',
        subject: grant.id,
        actor: actor.name,
        message: `${actor.name} allowed ${targetName(grant)} to copy ${countImages(grant)} until ${formatTime(grant.expiresMs)}${forRepairs(grant)}.`,
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

    async bySecret(secret, proof) {
      const hash = await hashSecret(secret)
      const found = byHash.get(hash)
      if (!found || !isLive(found)) return undefined
      const outcome = await proofs.check(proof, secret)
      // It may have been bound, or have ended, meanwhile.
      const grant = byHash.get(hash)
      const maker = grant && isLive(grant) ? findToken(grant.by) : undefined
      if (!grant || !maker) return undefined
      if (outcome.kind === 'invalid') throw problem('grant-bound', 'The proof of the store that sent the request is not valid.')
      if (outcome.kind === 'stale' || (outcome.kind === 'none' && grant.key !== null)) throw unproven(await proofs.nonce())
      grant.lastUsedMs = clock.nowMs()
      if (outcome.kind === 'proven') bind(grant, outcome.by)
      extend(grant.id)
      const right = { id: grant.id, images: grant.granted, maker: principalOf(maker) }
      return { name: targetName(grant), role: 'viewer', tokenId: grant.id, grant: right }
    },
  }
}

/** Returns the refusal of a request whose store has to sign a nonce. */
function unproven(nonce: string): ProblemError {
  return problem(
    'unauthenticated',
    'The grant can be used by one store only, which has to prove itself.',
    { action: 'Sign the nonce in Slipway-Nonce, then send the request again.' },
    { headers: { 'WWW-Authenticate': 'Bearer realm="slipway", error="invalid_token"', [NONCE_HEADER]: nonce } },
  )
}

/** Returns the name that the store using a grant has in tasks, events and logs. */
function targetName({ target }: KeptGrant): string {
  return target === null ? 'another store' : `store ${target}`
}

function countImages({ images }: KeptGrant): string {
  return images.length === 1 ? `image ${images[0]}` : `${images.length} images`
}

function forRepairs({ healing }: KeptGrant): string {
  return healing === null ? '' : `, and while it repairs copies with it until ${formatTime(healing.endMs)} at the latest`
}

function show(grant: LiveGrant): Token {
  const { id, images, target, key, byName, createdMs, expiresMs, healing, lastUsedMs } = grant
  return {
    id,
    name: `copies to ${targetName(grant)}`,
    role: 'viewer',
    subject: null,
    groups: [],
    grant: { images, target, createdBy: byName, ...(key === null ? {} : { key }), ...(healing === null ? {} : { healingUntil: formatTime(healing.endMs) }) },
    createdAt: formatTime(createdMs),
    expiresAt: formatTime(expiresMs),
    lastUsedAt: lastUsedMs === null ? null : formatTime(lastUsedMs),
  }
}
