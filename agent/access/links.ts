// Links: URLs that allow one download or one upload without a token. A link becomes invalid when it expires or when its creator's token expires or is
// deleted. A download link is signed; an upload link is a random secret of which a hash is kept.

import type { NewLink } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Actor, LinkOutcome } from '../contract/access.ts'
import { isUploadLinkSecret } from './credentials.ts'
import { openDownloadLinks } from './download-links.ts'
import { openUploadLinks } from './upload-links.ts'
import type { UploadLinks, UploadLinksDeps } from './upload-links.ts'

export type LinksDeps = UploadLinksDeps

/** A new link. `path` includes the query with the secret or the signature. */
export interface MadeLink {
  readonly id: string
  readonly path: string
  readonly expiresAt: string
}

/** A link to create. A download is of an image by its id, or of one of its exports. */
export type LinkOrder =
  | Extract<NewLink, { kind: 'upload' }>
  | { readonly kind: 'download'; readonly image: string; readonly export?: string; readonly ttlSeconds: number }

export interface Links extends Omit<UploadLinks, 'create' | 'check'> {
  /** Creates a link. Throws ProblemError `forbidden` unless the actor was authenticated by a token, or `limit-reached`. */
  create(order: LinkOrder, actor: Actor): Promise<MadeLink>
  /** Checks a link for a request; see Authenticator.byLink. */
  check(link: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
}

/** Returns what an order of an upload link decides. */
function decidedBy({ name, draft, maxLength, origin }: Extract<NewLink, { kind: 'upload' }>) {
  return { name, draft, maxLength, origin }
}

/** Opens the links of a store. */
export async function openLinks(deps: LinksDeps): Promise<Links> {
  const { clock, emit } = deps
  const downloads = await openDownloadLinks(deps)
  const { create: createUploadLink, check: checkUploadLink, ...uploads } = openUploadLinks(deps)

  return {
    ...uploads,

    async create(order, actor) {
      if (actor.tokenId === undefined) throw problem('forbidden', 'A link can only be created with a token, not with another link.')
      const nowMs = clock.nowMs()
      const endMs = nowMs + order.ttlSeconds * 1000
      const common = { id: newId('lnk', nowMs), by: actor.tokenId, endMs }
      const path = await (order.kind === 'download'
        ? downloads.create({ ...common, image: order.image, export: order.export })
        : createUploadLink({ ...common, byName: actor.name, ...decidedBy(order) }))
      emit({
        type: 'link.created',
        severity: 'info',
        subject: common.id,
        actor: actor.name,
        message: `${actor.name} created ${order.kind === 'download' ? `a download link for ${order.export ?? order.image}` : 'an upload link'} that expires at ${formatTime(endMs)}.`,
        details: { ...order },
      })
      return { id: common.id, path, expiresAt: formatTime(endMs) }
    },

    check: (link, request) => (isUploadLinkSecret(link) ? checkUploadLink(link, request) : downloads.check(link, request)),
  }
}
