// The outcome of authentication, which is decided once for each request, in agent/http.

import type { Role } from '../../protocol/access.ts'
import type { LinkDraft } from '../../protocol/upload-link.ts'

/** For whom a token acts, which decides the rights on each image (agent/access/image-rights.ts). */
export interface Principal {
  readonly role: Role
  /** Name of the user; undefined when the token acts for no user. It has the rights of grants to `user:NAME` and of images that NAME owns. */
  readonly subject?: string
  /** Names of the groups of the user. */
  readonly groups?: readonly string[]
}

/**
 * The sender of a request. `name` is shown in tasks, events and logs and is never a secret. Do not use it to decide anything: several tokens can
 * have the same name, even at different times. Ownership is decided by token id.
 */
export interface Actor extends Principal {
  /** Name of the token; `PERSON via TOKEN` when an operator's token names the person who asked. */
  readonly name: string
  /** Id of the request's token; undefined when the request was authenticated by a link. */
  readonly tokenId?: string
  /** Set when the request was authenticated by a link. `name` is then the name of the creator's token, with the person for whom it asked. */
  readonly link?: LinkRight
  /** Set when the request was authenticated by a grant between stores, which allows to read some images and nothing else. */
  readonly grant?: GrantRight
}

/** What a grant between stores allows. */
export interface GrantRight {
  /** Id of the grant. */
  readonly id: string
  /** Ids of the only images that the grant allows to read. */
  readonly images: ReadonlySet<string>
  /** For whom the token acts that created the grant: the grant ends for an image that its creator may no longer manage. */
  readonly maker: Principal
}

/** What a link allows. */
export interface LinkRight {
  readonly id: string
  /** Id of the token that created the link. */
  readonly makerTokenId: string
  /** For whom that token acts: the link allows no more than its creator may do now. */
  readonly maker: Principal
  readonly kind: 'upload' | 'download'
  /** Time at which the link expires, in milliseconds since 1970. */
  readonly endMs: number
  /** Download: id of the only image that the link allows. */
  readonly image?: string
  /** Download: id of the export of that image, if the link is for the exported file only. */
  readonly export?: string
  /** Upload: longest upload in bytes. */
  readonly maxLength?: number
  /** Upload: name of the image, which overrides the name that the client sends. */
  readonly imageName?: string
  /** Upload: further members of the image, which override those that the client sends. */
  readonly draft?: LinkDraft
}

/** A refusal says what is wrong, and what to do if it is not to ask for a new link. */
export type LinkOutcome = { readonly kind: 'allowed'; readonly actor: Actor } | { readonly kind: 'refused'; readonly detail: string; readonly action?: string }

/** Authenticates credentials. Takes the same time for an invalid secret as for a valid one. */
export interface Authenticator {
  /**
   * Returns the actor of a token's secret; undefined when no valid token has it. `proof` is what the sender says about its store, which only grants
   * between stores need. Throws ProblemError `unauthenticated` with a nonce if a proof is missing, and `grant-bound` if the grant is for another store.
   */
  byToken(secret: string, proof?: string | null): Promise<Actor | undefined>
  /**
   * Checks a link, its method and its path. A link becomes invalid when its creator's token expires or is deleted. A download link is signed. An upload
   * link is compared with the hashes of all upload links; it allows GET and POST on /v1/uploads; once claimed, GET, and every method on the upload that it created.
   */
  byLink(link: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
  /** Returns the origin whose page may use an upload link in a browser; undefined for any other link. Says nothing about whether
   * the link is still good. */
  originOfLink?(link: string): Promise<string | undefined>
  /** Returns the actor of a session of the page, which only routes of the page accept; undefined when it has ended, and when its token has. */
  byPageSession?(secret: string): Promise<Actor | undefined>
}

/** How an upload that a link created ended. */
export type LinkedUploadEnd = 'completed' | 'cancelled' | 'expired'

/** An upload link creates one upload. The route that creates the upload claims the link first. Everything is durable when it returns. */
export interface LinkClaims {
  /**
   * Claims the link for this upload and its image. Resolves with false when another upload has claimed it. Throws ProblemError `link-expired` for a link
   * that was revoked or has expired since the request was authenticated.
   */
  claim(link: LinkRight, upload: { readonly id: string; readonly imageId: string }): Promise<boolean>
  /** Releases a claim whose upload could not be created. The link can be used again. */
  release(linkId: string, uploadId: string): void
  /** Records how the upload ended. Called before the upload is removed, and after it became an image. Does nothing for an unknown link. */
  settle(linkId: string, uploadId: string, end: LinkedUploadEnd): void
}

/** Proves to other stores which store this is. */
export interface Prover {
  /** UUID of this store. */
  readonly storeId: string
  /** Public Ed25519 key of this store as base64url. */
  readonly publicKey: string
  /** Returns a signature as base64url. */
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<string>
}

/** Encrypts secrets that are stored for a time. */
export interface Sealer {
  /** Returns the sealed secret as text. It can be opened for the same purpose only, so that it cannot be used in another place. */
  seal(secret: string, purpose: string): Promise<string>
  /** Returns the secret; undefined when it was modified, or sealed with another key or for another purpose. */
  open(sealed: string, purpose: string): Promise<string | undefined>
}
