// Who asks: the outcome of authentication, decided once at the edge.

import type { Role } from '../../protocol/access.ts'

/**
 * Who sent a request. `name` is shown in tasks, events and logs and is never a secret. It decides nothing: several tokens can have the same
 * name, also one after the other. What belongs to an actor belongs to a token id.
 */
export interface Actor {
  readonly name: string
  readonly role: Role
  /** Id of the token that the request came with; undefined when it came by a link. */
  readonly tokenId?: string
  /** Set when the request came by a signed link and not by a token. `name` is then that of the link's maker. */
  readonly link?: LinkRight
}

/** What a signed link allows. */
export interface LinkRight {
  readonly id: string
  /** Id of the token that made the link. */
  readonly makerTokenId: string
  readonly kind: 'upload' | 'download'
  /** End of the link in milliseconds since 1970. */
  readonly endMs: number
  /** Download: the only image it opens. */
  readonly image?: string
  /** Upload: longest upload in bytes. */
  readonly maxLength?: number
  /** Upload: name that the image gets, whatever the client sends. */
  readonly imageName?: string
}

export type LinkOutcome = { readonly kind: 'allowed'; readonly actor: Actor } | { readonly kind: 'refused'; readonly detail: string }

/** Tells who is behind a credential. Answers in the same time for a wrong secret as for a right one. */
export interface Authenticator {
  /** The owner of a token's secret; undefined when no valid token has it. */
  byToken(secret: string): Promise<Actor | undefined>
  /**
   * Checks signature, end, method and path of a signed link. A link ends with the token of its maker. An upload link opens POST
   * on /v1/uploads, and after its claim every method on the one upload it made.
   */
  byLink(link: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
}

/** An upload link makes one upload: whoever creates it claims the link first. */
export interface LinkClaims {
  /** Ties the link to this upload, durable when it resolves. Gives false when it is tied to another one. */
  claim(link: LinkRight, uploadId: string): Promise<boolean>
  /** Undoes a claim whose upload could not be made. */
  release(link: LinkRight, uploadId: string): Promise<void>
}

/** Seals secrets that are kept for a time. */
export interface Sealer {
  /** The sealed form as text. It opens for the same purpose only, so that it cannot be moved to another place. */
  seal(secret: string, purpose: string): Promise<string>
  /** Undefined when it was sealed with another key or for another purpose, or was changed. */
  open(sealed: string, purpose: string): Promise<string | undefined>
}
