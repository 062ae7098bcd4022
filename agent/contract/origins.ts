// Origins: other stores that the configuration names, from which this store repairs its slices.

import type { AgentClient } from '../../protocol/client.ts'
import type { OriginState } from '../../protocol/store.ts'
import type { SyncVersion } from '../../protocol/sync.ts'

/** An origin as the configuration writes it. */
export interface OriginSettings {
  readonly name: string
  readonly url: string
  /** Never shown to clients and never logged. */
  readonly token: string
}

export interface Origin {
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
