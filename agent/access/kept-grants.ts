// Grants between stores as they are kept, and the room for them: grants for copies are refused above a limit, grants for repairs make room for others.

import { z } from 'zod'
import { problem } from '../../protocol/problems.ts'
import { GRANT_IMAGES_MAX } from '../../protocol/sync/sync-grant.ts'

/** Most grants of one store, and of one creator, that have not expired: enough for a fleet that copies from a few stores. */
export const GRANTS_MAX = 1000
export const GRANTS_PER_CREATOR_MAX = 500
/** Most images of all grants together. They are held in memory and kept in one document, which each new grant writes. */
export const GRANTED_IMAGES_MAX = 40_000
/** How long a grant for repairs is valid after its last use, and at most, in milliseconds. */
export const HEALING_IDLE_MS = 30 * 86_400_000
export const HEALING_MS_MAX = 366 * 86_400_000
/** Grants for repairs of one creator for one store: the newest, and the one before it, in case that the newest never reached the store. */
const HEALING_PER_STORE_MAX = 2

export const keptGrantsSchema = z.array(
  z.object({
    id: z.string(),
    hash: z.string(),
    images: z.array(z.string()),
    target: z.string().nullable(),
    /** Public key of the only store that may use the grant; null until a store has proven itself. Grants of earlier versions have none. */
    key: z.string().nullable().default(null),
    /** Id and name of the token that created the grant. */
    by: z.string(),
    byName: z.string(),
    createdMs: z.number(),
    /** Of a grant for repairs, each use moves it. */
    expiresMs: z.number(),
    /** Set for a grant for repairs: when its hours are over, and when it ends however much it is used. */
    healing: z.object({ hoursEndMs: z.number(), endMs: z.number() }).nullable().default(null),
  }),
)
export type KeptGrant = z.infer<typeof keptGrantsSchema>[number]

/** A grant in use. */
export interface LiveGrant extends KeptGrant {
  readonly granted: ReadonlySet<string>
  /** Not kept: after a restart the time is unknown until the next request. */
  lastUsedMs: number | null
}

/**
 * Returns a new grant as one for repairs, and the others after it: the target keeps one grant of each store, so the new one is also for the images of the
 * one before it, newest first, as far as they fit. Older ones end with their hours.
 */
export function withRepairs(
  made: KeptGrant,
  live: readonly LiveGrant[],
  isShareable: (id: string) => boolean,
): { grant: LiveGrant; others: readonly LiveGrant[] } {
  const before = live.filter(({ healing, by, key }) => healing !== null && by === made.by && key === made.key).toSorted((a, b) => b.createdMs - a.createdMs)
  const inherited = (before[0]?.images ?? []).filter(isShareable)
  const grant = makeLive({
    ...made,
    images: [...new Set([...made.images, ...inherited])].slice(0, GRANT_IMAGES_MAX),
    expiresMs: Math.max(made.expiresMs, made.createdMs + HEALING_IDLE_MS),
    healing: { hoursEndMs: made.expiresMs, endMs: made.createdMs + HEALING_MS_MAX },
  })
  const older = new Set(before.slice(HEALING_PER_STORE_MAX - 1))
  const others = live.map((other) => (older.has(other) && other.healing ? { ...other, expiresMs: other.healing.hoursEndMs, healing: null } : other))
  return { grant, others: others.filter(({ expiresMs }) => expiresMs > made.createdMs) }
}

/** Returns the others without grants for repairs that a new grant needs the room of: those that expire first go first. A repair never refuses a copy. */
export function makeRoom(others: readonly LiveGrant[], grant: LiveGrant, nowMs: number): readonly LiveGrant[] {
  const spare = others.filter(({ healing }) => healing !== null && healing.hoursEndMs <= nowMs).toSorted((a, b) => b.expiresMs - a.expiresMs)
  let kept = others
  for (;;) {
    const excess = excessOf(kept, grant)
    // Among the grants of one creator, only its own make room.
    const gone = excess && spare.findLast((other) => kept.includes(other) && (excess !== 'creator' || other.by === grant.by))
    if (!gone) return kept
    kept = kept.filter((other) => other !== gone)
  }
}

/** Throws ProblemError `limit-reached` when one more grant would exceed a limit. */
export function refuseExcess(others: readonly KeptGrant[], grant: KeptGrant): void {
  const action = 'Revoke grants that are no longer needed (grant list, grant revoke), or wait until some have expired.'
  switch (excessOf(others, grant)) {
    case 'grants':
      throw problem('limit-reached', `The store already has ${GRANTS_MAX} grants to other stores.`, { action })
    case 'creator':
      throw problem('limit-reached', `${grant.byName} already has ${GRANTS_PER_CREATOR_MAX} grants to other stores.`, { action })
    case 'images':
      throw problem('limit-reached', `The grants of the store would name more than ${GRANTED_IMAGES_MAX} images.`, { action })
    case undefined:
  }
}

/** Returns the limit that one more grant would exceed. */
function excessOf(others: readonly KeptGrant[], grant: KeptGrant): 'grants' | 'creator' | 'images' | undefined {
  if (others.length >= GRANTS_MAX) return 'grants'
  if (others.filter(({ by }) => by === grant.by).length >= GRANTS_PER_CREATOR_MAX) return 'creator'
  const images = others.reduce((count, other) => count + other.images.length, grant.images.length)
  return images > GRANTED_IMAGES_MAX ? 'images' : undefined
}

/** Returns a kept grant with its images as a set. */
export function makeLive(grant: KeptGrant): LiveGrant {
  return { ...grant, granted: new Set(grant.images), lastUsedMs: null }
}
