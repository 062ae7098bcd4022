// Origins: other stores that the configuration names, from which this store repairs its slices.

import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import type { OriginState } from '../../protocol/store.ts'
import type { SyncVersion } from '../../protocol/sync/sync.ts'

/** An origin as the configuration writes it. */
export interface OriginSettings {
  readonly name: string
  readonly url: string
  /** Never shown to clients and never logged. */
  readonly token: string
}

export interface Origin {
  /** `partner`: a store that this one synced with, whose grant for repairs it keeps. */
  readonly kind: 'origin' | 'partner'
  readonly name: string
  readonly url: string
  readonly state: OriginState
  /** Asks it within seconds and does not retry. */
  readonly client: AgentClient
}

/** An origin that has said which store it is, and which version of the protocol both speak. */
export interface KnownOrigin extends Origin {
  /** UUID of its store. */
  readonly storeId: string
  readonly version: SyncVersion
}

/** A source of a sync whose grant this store may keep. */
export interface NewPartner {
  /** UUID of its store. */
  readonly storeId: string
  readonly name: string
  readonly url: string
  /** Token of a grant for repairs. */
  readonly token: string
}

/** Stores that this one synced with and may repair its slices from. Disposing ends the probes. */
export interface Partners extends Disposable {
  /** The partners as stores to repair from; `list` is empty without any. */
  readonly origins: Origins
  /** Returns what is remembered, newest first. */
  list(): readonly (Pick<Origin, 'name' | 'url' | 'state'> & { readonly storeId: string; readonly sinceMs: number })[]
  /** Remembers a source with its grant in place of an earlier grant of the same store; durable when it resolves. The oldest partner makes room. */
  remember(partner: NewPartner): Promise<void>
}

/** The origins of a store. Disposing ends the probes. */
export interface Origins extends Disposable {
  /** Returns all origins in the order of the configuration. */
  list(): readonly Origin[]
  /**
   * Returns the origins that answer, in the order of the configuration. One that did not answer is asked again unless it failed moments ago. Takes
   * a few seconds at most.
   */
  usable(): Promise<readonly KnownOrigin[]>
  /** Notes the outcome of a request to an origin. */
  answered(origin: Origin): void
  failed(origin: Origin, error: unknown): void
  /** Calls back when an origin answers that was unreachable or never asked, until disposed. */
  onReachable(listener: (origin: Origin) => void): Disposable
}

/** The content of an image that is being pulled through. Its bytes are fetched from the origin as they are read, and kept. */
export interface PulledContent extends Disposable {
  readonly manifest: Manifest
  /** Yields the bytes [start, end), each verified. Throws what a sync throws when the origin fails. */
  read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array>
}

/** Reads images that this store does not have from its origins, and keeps them. */
export interface PullThrough {
  /** Returns the image with this id or digest while it is being pulled. */
  inProgress(idOrDigest: string): Image | undefined
  /**
   * Asks the origins for the image with this id or digest; copies nothing. Returns undefined if no origin has it, or if this store has an image with its
   * id. Throws ProblemError `origin-unreachable` if it is not known whether an origin has it, and `limit-reached` if too many look-ups wait.
   */
  find(idOrDigest: string): Promise<Image | undefined>
  /**
   * Opens an image that `find` or `inProgress` returned. All readers share one copy of each slice. With `content`, the whole image is kept, even if
   * the reader leaves early. Returns undefined if this store has the image now. Throws ProblemError if it cannot be kept: `limit-reached`,
   * `insufficient-storage`, `store-disabled`, `feature-disabled`.
   */
  open(image: Image, what: 'manifest' | 'content'): Promise<PulledContent | undefined>
}
