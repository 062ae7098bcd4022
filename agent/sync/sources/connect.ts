// Opens another store as a source of slices: connects to allowed addresses only, identifies the store and negotiates the version of the protocol.

import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Fetch, Peer } from '../../../protocol/client/exchange.ts'
import { problem } from '../../../protocol/problems.ts'
import { negotiateVersion, SYNC_VERSIONS } from '../../../protocol/sync/sync.ts'
import type { SourceAddress, SyncVersion } from '../../../protocol/sync/sync.ts'
import type { Prover } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import { retrying } from '../peer.ts'
import { createPeerFetch } from '../peer-network.ts'
import type { PeerNetwork } from '../peer-network.ts'
import { createProvingFetch } from './prove.ts'

/** Time limits in milliseconds for the start of a response, and for a pause within a response. */
const ANSWER_MS = 20_000
const STALL_MS = 30_000
/** Maximum attempts at the first request to another store, so that a wrong address is reported quickly. */
const FIRST_ATTEMPTS_MAX = 3
/** The same for a task that ran before: after a power cut of a whole site its source may start minutes later. About six minutes. */
const RERUN_ATTEMPTS_MAX = 40

/** Another store from which slices and images can be copied. */
export interface SliceSource {
  /** Address without credentials. It identifies the source in results, logs and problems. */
  readonly url: string
  /** UUID of the store. */
  readonly storeId: string
  /** Name that the store says. It may be any text. */
  readonly name: string
  /** Highest version of the protocol that both stores speak. */
  readonly version: SyncVersion
  readonly client: AgentClient
}

export interface ConnectDeps {
  readonly clock: Clock
  /** UUID of this store. */
  readonly storeId: string
  /** Proves to sources which store this is. */
  readonly prover: Prover
  /** Addresses that this store may connect to. */
  readonly network: PeerNetwork
  readonly fetch?: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  readonly pace?: NonNullable<Peer['pace']>
  /** Whether the task ran before, so that a source that does not answer is waited for. */
  readonly isRerun?: boolean
}

/**
 * Opens a source. Throws ProblemError `peer-not-allowed`, `peer-unreachable`, `peer-refused`, `protocol-unsupported` if both stores speak no
 * common version, and `invalid-input` if the address leads to this store.
 */
export async function openSource(deps: ConnectDeps, { url, token }: SourceAddress, signal: AbortSignal): Promise<SliceSource> {
  const client = createAgentClient({
    baseUrl: url,
    token,
    answerTimeoutMs: deps.answerTimeoutMs ?? ANSWER_MS,
    stallTimeoutMs: deps.stallTimeoutMs ?? STALL_MS,
    ...(deps.pace ? { pace: deps.pace } : {}),
    fetch: createProvingFetch(createPeerFetch(deps.network, deps.fetch), deps.prover, token),
  })
  const attemptsMax = deps.isRerun ? RERUN_ATTEMPTS_MAX : FIRST_ATTEMPTS_MAX
  const { id, name, protocol } = await retrying({ clock: deps.clock, signal, url, attemptsMax }, () => client.store.identify({ signal }))
  if (id === deps.storeId) throw problem('invalid-input', `${url} is this store (${name}).`, { action: 'Use another store as the source.' })
  const version = negotiateVersion(protocol?.sync)
  if (version === undefined) {
    const theirs = protocol?.sync.join(', ') ?? ''
    throw problem('protocol-unsupported', `${url} speaks version ${theirs} of the protocol between stores, this store ${SYNC_VERSIONS.join(' and ')}.`, {
      spoken: protocol?.sync,
      supported: SYNC_VERSIONS,
    })
  }
  return { url, storeId: id, name, version, client }
}
