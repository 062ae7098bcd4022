// Links: signed URLs that allow one download or one upload without a token. A link becomes invalid when it expires or when its creator's token
// expires or is deleted. An upload link creates one upload only.

import { z } from 'zod'
import type { NewLink, Token } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Actor, LinkClaims, LinkOutcome } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent } from '../contract/work.ts'
import { createLinkSigner, newLinkKey } from './credentials.ts'
import type { LinkSigner } from './credentials.ts'
import { principalOf } from './principal.ts'

/** Most upload links that have created an upload and have not expired. */
const CLAIMS_MAX = 10_000
const KEY_OF_KEY = 'link-key'
const KEY_OF_CLAIMS = 'link-claims'

/** The signed part of a link. The member names are short because the payload is part of a URL. */
const payloadSchema = z.discriminatedUnion('kind', [
  z.object({
    v: z.literal(1),
    kind: z.literal('download'),
    id: z.string(),
    by: z.string(),
    end: z.number(),
    image: z.string(),
    export: z.string().optional(),
  }),
  z.object({
    v: z.literal(1),
    kind: z.literal('upload'),
    id: z.string(),
    by: z.string(),
    end: z.number(),
    name: z.string().optional(),
    max: z.number().optional(),
  }),
])
type LinkPayload = z.infer<typeof payloadSchema>

const claimsSchema = z.record(z.string(), z.object({ upload: z.string(), end: z.number() }))

export interface LinksDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
  /** Returns the token of the link's creator while it is valid. */
  readonly findToken: (id: string) => Token | undefined
}

/** A new link. `path` includes the query with the signature. */
export interface MadeLink {
  readonly path: string
  readonly expiresAt: string
}

/** A link to create. A download is of an image by its id, or of one of its exports. */
export type LinkOrder =
  | Extract<NewLink, { kind: 'upload' }>
  | { readonly kind: 'download'; readonly image: string; readonly export?: string; readonly ttlSeconds: number }

export interface Links extends LinkClaims {
  /** Creates a link. Throws ProblemError `forbidden` unless the actor was authenticated by a token. */
  create(order: LinkOrder, actor: Actor): Promise<MadeLink>
  /** Checks a link for a request; see Authenticator.byLink. */
  check(link: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
}

/** Opens the links of a store. The first start creates the key. */
export async function openLinks(deps: LinksDeps): Promise<Links> {
  const { kept, clock, emit } = deps
  const signer = await openSigner(kept)
  let claims = claimsSchema.parse(kept.read(KEY_OF_CLAIMS) ?? {})

  const saveClaims = (next: typeof claims): void => {
    kept.write(KEY_OF_CLAIMS, next)
    claims = next
  }

  return {
    async create(order, actor) {
      if (actor.tokenId === undefined) throw problem('forbidden', 'A link can only be created with a token, not with another link.')
      const id = newId('lnk', clock.nowMs())
      const end = clock.nowMs() + order.ttlSeconds * 1000
      const link = await signer.sign(makePayload(order, { id, by: actor.tokenId, end }))
      const path = order.kind === 'download' ? downloadPath(order) : '/v1/uploads'
      emit({
        type: 'link.created',
        severity: 'info',
        subject: id,
        actor: actor.name,
        message: `${actor.name} created ${order.kind === 'download' ? `a download link for ${order.export ?? order.image}` : 'an upload link'} that expires at ${formatTime(end)}.`,
        details: { ...order },
      })
      return { path: `${path}?link=${link}`, expiresAt: formatTime(end) }
    },

    async check(link, request) {
      const payload = payloadSchema.safeParse(await signer.open(link)).data
      if (!payload) return { kind: 'refused', detail: 'The link is not valid.' }
      if (payload.end <= clock.nowMs()) return { kind: 'refused', detail: `The link expired at ${formatTime(payload.end)}.` }
      const maker = deps.findToken(payload.by)
      if (!maker) return { kind: 'refused', detail: 'The token that created the link has expired or was deleted.' }
      const refusal = refuse(payload, request, claims[payload.id]?.upload)
      if (refusal !== undefined) return { kind: 'refused', detail: refusal }
      return { kind: 'allowed', actor: makeActor(payload, maker) }
    },

    async claim(link, uploadId) {
      const claim = claims[link.id]
      if (claim) return claim.upload === uploadId
      const nowMs = clock.nowMs()
      const live = Object.fromEntries(Object.entries(claims).filter(([, other]) => other.end > nowMs))
      if (Object.keys(live).length >= CLAIMS_MAX) throw problem('limit-reached', `${CLAIMS_MAX} upload links are already in use.`)
      saveClaims({ ...live, [link.id]: { upload: uploadId, end: link.endMs } })
      return true
    },

    async release(link, uploadId) {
      if (claims[link.id]?.upload !== uploadId) return
      const { [link.id]: _released, ...rest } = claims
      saveClaims(rest)
    },
  }
}

async function openSigner(kept: KeptValues): Promise<LinkSigner> {
  const key = z.string().optional().parse(kept.read(KEY_OF_KEY)) ?? newLinkKey()
  kept.write(KEY_OF_KEY, key)
  return createLinkSigner(key)
}

function makePayload(order: LinkOrder, common: { id: string; by: string; end: number }): LinkPayload {
  if (order.kind === 'download')
    return { v: 1, kind: 'download', ...common, image: order.image, ...(order.export === undefined ? {} : { export: order.export }) }
  return {
    v: 1,
    kind: 'upload',
    ...common,
    ...(order.name === undefined ? {} : { name: order.name }),
    ...(order.maxLength === undefined ? {} : { max: order.maxLength }),
  }
}

/** Returns the only path that a download link allows. */
function downloadPath({ image, export: exported }: { readonly image: string; readonly export?: string | undefined }): string {
  return exported === undefined ? `/v1/images/${encodeURIComponent(image)}/content` : `/v1/exports/${encodeURIComponent(exported)}/content`
}

/** Returns why a link does not permit this method on this path; undefined when it does. */
function refuse(payload: LinkPayload, { method, path }: { method: string; path: string }, claimedBy: string | undefined): string | undefined {
  if (payload.kind === 'download') {
    if (method !== 'GET' && method !== 'HEAD') return `The link does not allow ${method}.`
    return path === downloadPath(payload) ? undefined : `The link is for another ${payload.export === undefined ? 'image' : 'export'}.`
  }
  if (path === '/v1/uploads') {
    if (method !== 'POST') return `The link does not allow ${method} here.`
    return claimedBy === undefined ? undefined : 'The link was already used. An upload link creates one upload only.'
  }
  return claimedBy !== undefined && path === `/v1/uploads/${claimedBy}` ? undefined : 'The link is for another upload.'
}

function makeActor(payload: LinkPayload, token: Token): Actor {
  const common = { id: payload.id, makerTokenId: payload.by, endMs: payload.end, maker: principalOf(token) }
  const maker = token.name
  if (payload.kind === 'download') {
    const { image, export: exported } = payload
    return { name: maker, role: 'viewer', link: { ...common, kind: 'download', image, ...(exported === undefined ? {} : { export: exported }) } }
  }
  const { max, name } = payload
  return {
    name: maker,
    role: 'uploader',
    link: { ...common, kind: 'upload', ...(max === undefined ? {} : { maxLength: max }), ...(name === undefined ? {} : { imageName: name }) },
  }
}
