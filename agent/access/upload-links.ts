// Upload links: secret URLs that allow one upload without a token. Only a hash of the secret is kept, with what the link decides about its image. The link
// may begin its upload until it expires; an upload that has begun may continue until it expires itself.

import { z } from 'zod'
import type { NewLink, Token } from '../../protocol/access.ts'
import { roleIncludes } from '../../protocol/access.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { UploadLink } from '../../protocol/upload-link.ts'
import type { Actor, LinkClaims, LinkedUploadEnd, LinkOutcome, LinkRight } from '../contract/access.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent } from '../contract/work.ts'
import { hashSecret, isEqualConstantTime, newUploadLinkSecret } from './credentials.ts'
import { keptUploadLinkSchema, showLink, stateOfLink, withLink, withoutForgotten } from './kept-upload-links.ts'
import type { KeptUploadLink } from './kept-upload-links.ts'
import { principalOf } from './principal.ts'

const KEY = 'upload-links'
const UPLOADS_PATH = '/v1/uploads'

export interface UploadLinksDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
  /** Returns the token of the link's creator while it is valid. */
  readonly findToken: (id: string) => Token | undefined
  readonly crashPoint?: CrashPoint
}

export interface UploadLinkOrder extends Omit<Extract<NewLink, { kind: 'upload' }>, 'kind' | 'ttlSeconds'> {
  readonly id: string
  /** Id of the creator's token, and the name of its actor. */
  readonly by: string
  readonly byName: string
  readonly endMs: number
}

export interface UploadLinks extends LinkClaims {
  /** Returns the path of a new link, with its query; durable when it resolves. Throws ProblemError `limit-reached`. */
  create(order: UploadLinkOrder): Promise<string>
  /** Checks a link for a request; see Authenticator.byLink. */
  check(secret: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
  /** Returns the origin whose page may use the link of this secret in a browser; undefined for an unknown link and for one without an origin. */
  originOf(secret: string): Promise<string | undefined>
  /** Returns the upload links that an actor may see, oldest first: operators all, others those of their token. */
  list(actor: Actor): UploadLink[]
  /** Returns the link that authenticated a request. */
  own(link: LinkRight): UploadLink
  /** Returns a link by its id. Throws ProblemError `not-found`, also for a link that the actor may not see. */
  get(id: string, actor: Actor): UploadLink
  /**
   * Revokes a link; durable when it returns. Does not cancel its upload: the caller does. Throws ProblemError `not-found`, or `wrong-status` for a link
   * that has ended.
   */
  revoke(id: string, actor: Actor): UploadLink
  /** Returns links with an upload of which no end is known, and revoked links with an upload, which may not have been cancelled. */
  unsettled(): UploadLink[]
  /** Records and reports the links that expired unused, and forgets those that ended long ago. */
  expire(): void
}

/** Opens the upload links of a store. */
export function openUploadLinks(deps: UploadLinksDeps): UploadLinks {
  const { kept, clock, emit, findToken, crashPoint = () => {} } = deps
  let links: readonly KeptUploadLink[] = z.array(keptUploadLinkSchema).parse(kept.read(KEY) ?? [])

  const save = (next: readonly KeptUploadLink[]): void => {
    kept.write(KEY, next)
    links = next
  }
  const change = (id: string, to: Partial<KeptUploadLink>): void =>
    save(withoutForgotten(links, clock.nowMs()).map((link) => (link.id === id ? { ...link, ...to } : link)))
  const find = (id: string): KeptUploadLink | undefined => links.find((link) => link.id === id)
  const bySecret = async (secret: string): Promise<KeptUploadLink | undefined> => {
    const hash = await hashSecret(secret)
    // Compares all links, so that the time does not reveal which one matched.
    let found: KeptUploadLink | undefined
    for (const link of links) if (isEqualConstantTime(link.hash, hash)) found = link
    return found
  }
  const show = (link: KeptUploadLink): UploadLink => showLink(link, clock.nowMs(), findToken(link.by) !== undefined)
  const isSeen = (link: KeptUploadLink, actor: Actor): boolean => !actor.link && (roleIncludes(actor.role, 'operator') || link.by === actor.tokenId)
  const need = (id: string, actor: Actor): KeptUploadLink => {
    const link = withoutForgotten(links, clock.nowMs()).find((candidate) => candidate.id === id)
    if (!link || !isSeen(link, actor)) throw problem('not-found', `There is no upload link ${JSON.stringify(id)}.`)
    return link
  }
  const report = (link: KeptUploadLink, what: 'used' | 'expired' | 'revoked' | LinkedUploadEnd, message: string, actor?: Actor): void =>
    emit({
      type: `link.${what}`,
      severity: 'info',
      subject: link.id,
      message,
      ...(actor && { actor: actor.name }),
      details: { kind: 'upload', ...(link.upload && { uploadId: link.upload.id, imageId: link.upload.imageId }) },
    })

  return {
    async create({ id, by, byName, endMs, name, draft, maxLength, origin }) {
      const secret = newUploadLinkSecret()
      const common = { id, by, byName, hash: await hashSecret(secret), createdMs: clock.nowMs(), expiresMs: endMs }
      const decided = { name: name ?? null, draft: draft ?? {}, maxLength: maxLength ?? null, origin: origin ?? null }
      save(withLink(links, { ...common, ...decided, upload: null, ended: null }))
      return `${UPLOADS_PATH}?link=${secret}`
    },

    originOf: async (secret) => (await bySecret(secret))?.origin ?? undefined,

    async check(secret, request) {
      const found = await bySecret(secret)
      if (!found) return { kind: 'refused', detail: 'The link is not valid.', action: 'Check that the whole link was copied, or ask for a new link.' }
      return checkFound(found, request, { nowMs: clock.nowMs(), maker: findToken(found.by) })
    },

    async claim({ id }, upload) {
      const link = find(id)
      if (!link) throw problem('link-expired', 'The link is not valid.')
      if (link.upload) return link.upload.id === upload.id
      const state = stateOfLink(link, clock.nowMs(), findToken(link.by) !== undefined)
      if (state !== 'open') throw problem('link-expired', whyEnded(link, state))
      change(id, { upload: { id: upload.id, imageId: upload.imageId } })
      crashPoint('links:claimed')
      report({ ...link, upload }, 'used', `Upload ${upload.id} began with the upload link of ${link.byName}.`)
      return true
    },

    release(id, uploadId) {
      const link = find(id)
      if (link?.upload?.id === uploadId && link.ended === null) change(id, { upload: null })
    },

    settle(id, uploadId, end) {
      const link = find(id)
      if (link?.upload?.id !== uploadId) return
      // The last bytes may arrive while the link is being revoked: then there is an image, and the link says so.
      if (link.ended !== null && !(link.ended.state === 'revoked' && end === 'completed')) return
      change(id, { ended: { state: end, atMs: clock.nowMs() } })
      report(link, end, `${END_SENTENCES[end]} (upload link of ${link.byName}).`)
    },

    list: (actor) => withoutForgotten(links, clock.nowMs()).flatMap((link) => (isSeen(link, actor) ? [show(link)] : [])),
    own({ id }) {
      const link = find(id)
      if (!link) throw problem('link-expired', 'The link is not valid.')
      return show(link)
    },
    get: (id, actor) => show(need(id, actor)),

    revoke(id, actor) {
      const link = need(id, actor)
      const state = stateOfLink(link, clock.nowMs(), true)
      if (state !== 'open' && state !== 'used') {
        throw problem('wrong-status', whyEnded(link, state), {
          action: state === 'completed' ? 'Delete the image instead, if it must go.' : 'There is nothing to revoke.',
        })
      }
      const ended = { state: 'revoked', atMs: clock.nowMs() } as const
      change(id, { ended })
      crashPoint('links:revoked')
      report(link, 'revoked', `${actor.name} revoked the upload link of ${link.byName}.`, actor)
      return show({ ...link, ended })
    },

    unsettled: () => links.filter(({ upload, ended }) => upload !== null && (ended === null || ended.state === 'revoked')).map(show),

    expire() {
      const nowMs = clock.nowMs()
      const over = links.filter(({ upload, ended, expiresMs }) => upload === null && ended === null && expiresMs <= nowMs)
      save(withoutForgotten(links, nowMs).map((link) => (over.includes(link) ? { ...link, ended: { state: 'expired', atMs: link.expiresMs } } : link)))
      for (const link of over) report(link, 'expired', `The upload link of ${link.byName} expired unused.`)
    },
  }
}

const END_SENTENCES: Readonly<Record<LinkedUploadEnd, string>> = {
  completed: 'The upload became an image',
  cancelled: 'The upload was deleted',
  expired: 'The upload expired',
}

/** Checks a link for a request. `maker` is its creator's token while it is valid. */
function checkFound(
  link: KeptUploadLink,
  { method, path }: { readonly method: string; readonly path: string },
  { nowMs, maker }: { readonly nowMs: number; readonly maker: Token | undefined },
): LinkOutcome {
  const state = stateOfLink(link, nowMs, maker !== undefined)
  if (!maker || state === 'revoked') return { kind: 'refused', detail: whyEnded(link, 'revoked') }
  if (path === UPLOADS_PATH) {
    if (state === 'cancelled' || state === 'expired') return { kind: 'refused', detail: whyEnded(link, state) }
    if (method === 'POST' && state !== 'open') {
      const detail = 'The link was already used. An upload link creates one upload only.'
      return state === 'used'
        ? { kind: 'refused', detail, action: 'Open the link to see how to continue its upload, or ask for a new link.' }
        : { kind: 'refused', detail }
    }
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') return { kind: 'refused', detail: `The link does not allow ${method} here.` }
  } else if (link.upload === null || path !== `${UPLOADS_PATH}/${link.upload.id}`) {
    return { kind: 'refused', detail: state === 'expired' ? whyEnded(link, state) : 'The link is for another upload.' }
  }
  // Also for an upload that was deleted or has expired: its route answers so in the words of the protocol.
  return { kind: 'allowed', actor: makeActor(link, maker) }
}

/** Returns why a link that has ended cannot be used. */
function whyEnded({ upload, ended, expiresMs }: KeptUploadLink, state: UploadLink['state']): string {
  const at = ended ? ` at ${formatTime(ended.atMs)}` : ''
  switch (state) {
    case 'expired':
      return upload === null ? `The link expired at ${formatTime(expiresMs)}.` : `The upload of the link expired${at}.`
    case 'revoked':
      return ended?.state === 'revoked' ? `The link was revoked${at}.` : 'The token that created the link has expired or was deleted.'
    case 'cancelled':
      return `The upload of the link was deleted${at}.`
    case 'completed':
    case 'open':
    case 'used':
      return 'The link was already used. An upload link creates one upload only.'
    default:
      return state satisfies never
  }
}

function makeActor(link: KeptUploadLink, maker: Token): Actor {
  const { id, by, byName, expiresMs, name, draft, maxLength } = link
  return {
    name: byName,
    role: 'uploader',
    link: {
      id,
      makerTokenId: by,
      endMs: expiresMs,
      maker: principalOf(maker),
      kind: 'upload',
      draft,
      ...(maxLength === null ? {} : { maxLength }),
      ...(name === null ? {} : { imageName: name }),
    },
  }
}
