// Upload links as they are kept: their states, how many there may be, and when they are forgotten. Pure functions.

import { z } from 'zod'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { linkDraftSchema } from '../../protocol/upload-link.ts'
import type { UploadLink, UploadLinkState } from '../../protocol/upload-link.ts'

/** Most upload links of one store. All are kept in one document, which each change writes. Links that have ended make room for new ones. */
export const UPLOAD_LINKS_MAX = 500
/** Most upload links of one creator that have not ended. */
export const UPLOAD_LINKS_PER_CREATOR_MAX = 250
/** How long a link that has ended is kept, so that whoever opens it learns why, in milliseconds. */
export const ENDED_LINK_MS = 7 * 86_400_000

const endedSchema = z.object({ state: z.enum(['completed', 'cancelled', 'expired', 'revoked']), atMs: z.number() })

export const keptUploadLinkSchema = z.object({
  id: z.string(),
  /** SHA-256 of the secret as hex. */
  hash: z.string(),
  /** Id of the token that created the link, and the name of its actor. */
  by: z.string(),
  byName: z.string(),
  createdMs: z.number(),
  /** Until when the upload can begin. */
  expiresMs: z.number(),
  name: z.string().nullable(),
  draft: linkDraftSchema,
  maxLength: z.number().nullable(),
  /** Origin of the page that may use the link in a browser; null without one. */
  origin: z.string().nullable().default(null),
  /** The upload that claimed the link, and its image. */
  upload: z.object({ id: z.string(), imageId: z.string() }).nullable(),
  /** Null while the link is open or used. A link that expires unused ends by its time alone; the next maintenance records it. */
  ended: endedSchema.nullable(),
})
export type KeptUploadLink = z.infer<typeof keptUploadLinkSchema>

/** Returns the state of a link. `isMakerValid` says whether its creator's token is valid. */
export function stateOfLink(link: KeptUploadLink, nowMs: number, isMakerValid: boolean): UploadLinkState {
  if (link.ended) return link.ended.state
  if (link.upload === null && link.expiresMs <= nowMs) return 'expired'
  if (!isMakerValid) return 'revoked'
  return link.upload === null ? 'open' : 'used'
}

/** Returns when a link ended; null while it is open or used, and for one that ended with its creator's token. */
function endedMsOf({ ended, upload, expiresMs }: KeptUploadLink, nowMs: number): number | null {
  if (ended) return ended.atMs
  return upload === null && expiresMs <= nowMs ? expiresMs : null
}

/** Returns the links that are still kept at a time. */
export function withoutForgotten(links: readonly KeptUploadLink[], nowMs: number): KeptUploadLink[] {
  return links.filter((link) => (endedMsOf(link, nowMs) ?? Infinity) + ENDED_LINK_MS > nowMs)
}

/** Returns the links with one more, without those that have to make room for it. Throws ProblemError `limit-reached`. */
export function withLink(links: readonly KeptUploadLink[], made: KeptUploadLink): KeptUploadLink[] {
  const nowMs = made.createdMs
  const action = 'Revoke upload links that are no longer needed (link list, link revoke), or wait until some have ended.'
  const kept = withoutForgotten(links, nowMs)
  const live = kept.filter((link) => endedMsOf(link, nowMs) === null)
  if (live.length >= UPLOAD_LINKS_MAX) throw problem('limit-reached', `The store already has ${UPLOAD_LINKS_MAX} upload links.`, { action })
  if (live.filter(({ by }) => by === made.by).length >= UPLOAD_LINKS_PER_CREATOR_MAX)
    throw problem('limit-reached', `The token already has ${UPLOAD_LINKS_PER_CREATOR_MAX} upload links that have not ended.`, { action })
  const ended = kept.filter((link) => !live.includes(link)).toSorted((a, b) => (endedMsOf(b, nowMs) ?? 0) - (endedMsOf(a, nowMs) ?? 0))
  const staying = new Set([...live, ...ended.slice(0, UPLOAD_LINKS_MAX - 1 - live.length)])
  return [...kept.filter((link) => staying.has(link)), made]
}

/** Returns a link as clients see it. */
export function showLink(link: KeptUploadLink, nowMs: number, isMakerValid: boolean): UploadLink {
  const { id, name, draft, maxLength, byName, createdMs, expiresMs, upload } = link
  const endedMs = endedMsOf(link, nowMs)
  return {
    id,
    state: stateOfLink(link, nowMs, isMakerValid),
    name,
    draft,
    maxLength,
    createdBy: byName,
    createdAt: formatTime(createdMs),
    expiresAt: formatTime(expiresMs),
    endedAt: endedMs === null ? null : formatTime(endedMs),
    uploadId: upload?.id ?? null,
    imageId: upload?.imageId ?? null,
  }
}
