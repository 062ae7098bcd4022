// The origins of a store, or the stores that it synced with, and whether they answer. Requests note their outcome here, and a probe asks each once a
// minute, so that no request waits for one that is known to be down.

import { ProblemError } from '../../../protocol/problems.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { Fetch, Peer } from '../../../protocol/client/exchange.ts'
import type { OriginState } from '../../../protocol/store.ts'
import type { KnownOrigin, Origin, Origins, OriginSettings } from '../../contract/origins.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import { faultOf } from '../sources/faults.ts'
import type { SourceFault } from '../../../protocol/sync/sync.ts'
import { negotiateVersion } from '../../../protocol/sync/sync.ts'
import type { SyncVersion } from '../../../protocol/sync/sync.ts'

/** Longest wait for the first byte of an answer, in milliseconds: a reader waits for it. */
const ANSWER_MS = 5000
/** Longest silence within an answer, in milliseconds. */
const STALL_MS = 15_000
/** How often an origin that answers is asked whether it still does, in milliseconds. One that does not is asked when it has rested. */
const PROBE_MS = 60_000
const PROBE_STEP_MS = 1000
/** Time after a failure in which an origin is not asked, in milliseconds. It doubles with each failure. */
const REST_FIRST_MS = 1000
const REST_MAX_MS = 60_000

/** Faults that only a change of the configuration, or of the origin, ends. */
const REFUSALS: ReadonlySet<SourceFault> = new Set(['refused', 'not-allowed', 'protocol-unsupported'])

export interface OriginsDeps {
  /** What these stores are; origins by default. */
  readonly kind?: Origin['kind']
  readonly clock: Clock
  readonly log: Log
  readonly settings: readonly OriginSettings[]
  /** UUID of this store, which is not an origin of itself. */
  readonly storeId: string
  /** Connects to allowed addresses only. */
  readonly fetch: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  readonly pace?: NonNullable<Peer['pace']>
  /** Wraps the fetch of one of them. */
  readonly wrapFetch?: (send: Fetch, token: string) => Fetch
  /** How often one that answers is asked, and the longest rest of one that does not, in milliseconds. */
  readonly probeMs?: number
  readonly restMsMax?: number
  /** Called when one refuses its token. */
  readonly onUnauthenticated?: (origin: Origin) => void
}

/** Origins whose list can change. */
export interface ChangingOrigins extends Origins {
  /** Replaces the list. One that stays the same keeps what is known about it. New ones are asked at once. */
  replace(settings: readonly OriginSettings[]): void
}

/** What is known about one origin. */
class OriginRecord implements Origin {
  readonly kind: Origin['kind']
  readonly name: string
  readonly url: string
  readonly client: Origin['client']
  state: OriginState = 'unknown'
  storeId: string | undefined
  version: SyncVersion | undefined
  failures = 0
  /** Monotonic time before which it is not asked. */
  restUntilMs = 0
  /** Monotonic time of its last answer. */
  answeredMs = Number.NEGATIVE_INFINITY
  readonly #token: string

  constructor({ name, url, token }: OriginSettings, { kind, fetch, wrapFetch, answerTimeoutMs, stallTimeoutMs, pace }: OriginsDeps) {
    this.kind = kind ?? 'origin'
    this.name = name
    this.url = url
    this.#token = token
    const limits = { answerTimeoutMs: answerTimeoutMs ?? ANSWER_MS, stallTimeoutMs: stallTimeoutMs ?? STALL_MS }
    this.client = createAgentClient({ baseUrl: url, token, fetch: wrapFetch?.(fetch, token) ?? fetch, ...limits, ...(pace && { pace }) })
  }

  hasSettings({ name, url, token }: OriginSettings): boolean {
    return this.name === name && this.url === url && this.#token === token
  }
}

/** Creates the origins. Disposing ends the probes. */
export function createOrigins(deps: OriginsDeps): ChangingOrigins {
  const { clock, log, settings, storeId, probeMs = PROBE_MS, restMsMax = REST_MAX_MS } = deps
  let origins = settings.map((one) => new OriginRecord(one, deps))
  const listeners = new Set<(origin: Origin) => void>()
  const asking = new Map<OriginRecord, Promise<void>>()
  const ended = new AbortController()

  const note = (origin: OriginRecord, state: OriginState): void => {
    if (state === 'reachable') {
      origin.failures = 0
      origin.answeredMs = clock.monotonicMs()
    } else {
      origin.restUntilMs = clock.monotonicMs() + Math.min(restMsMax, REST_FIRST_MS * 2 ** origin.failures)
      origin.failures++
    }
    if (state === origin.state) return
    const was = origin.state
    origin.state = state
    if (state === 'reachable') log.info('an origin answers', { origin: origin.name, was })
    else log.warn('an origin does not answer as an origin', { origin: origin.name, state })
    if (state === 'reachable') for (const listener of listeners) listener(origin)
  }
  const known = (origin: Origin): OriginRecord => {
    if (!(origin instanceof OriginRecord)) throw new Error(`${origin.name} is not an origin of this store`)
    return origin
  }
  const failed = (origin: OriginRecord, error: unknown): void => {
    const fault = faultOf(error)
    // An origin that does not have something has answered.
    if (error instanceof ProblemError && error.isFromPeer && error.code === 'unauthenticated') deps.onUnauthenticated?.(origin)
    note(origin, fault === 'lacks' ? 'reachable' : fault !== undefined && REFUSALS.has(fault) ? 'refused' : 'unreachable')
  }
  const identify = async (origin: OriginRecord): Promise<void> => {
    try {
      const { id, protocol } = await origin.client.store.identify({ signal: ended.signal })
      const version = negotiateVersion(protocol?.sync)
      if (id === storeId || version === undefined) {
        const why = id === storeId ? 'it is this store itself' : 'it speaks no version of the protocol that this store speaks'
        log.error('an origin cannot be used', { origin: origin.name, why })
        return note(origin, 'refused')
      }
      origin.storeId = id
      origin.version = version
      note(origin, 'reachable')
    } catch (error) {
      if (!ended.signal.aborted) failed(origin, error)
    }
  }
  /** Asks an origin for its identity; concurrent calls share one request. */
  const ask = (origin: OriginRecord): Promise<void> => {
    const running = asking.get(origin)
    if (running) return running
    const request = identify(origin).finally(() => asking.delete(origin))
    asking.set(origin, request)
    return request
  }
  const probe = (): void => {
    const nowMs = clock.monotonicMs()
    for (const origin of origins) if (nowMs >= (origin.state === 'reachable' ? origin.answeredMs + probeMs : origin.restUntilMs)) void ask(origin)
  }
  let probes: Disposable | undefined
  /** Asks those that are due now and from time to time; an agent without origins needs no timer. */
  const probeOften = (): void => {
    if (origins.length > 0 && !ended.signal.aborted) probes ??= clock.every(PROBE_STEP_MS, probe)
    probe()
  }
  probeOften()

  return {
    list: () => origins,
    replace(next) {
      origins = next.map((one) => origins.find((before) => before.hasSettings(one)) ?? new OriginRecord(one, deps))
      probeOften()
    },
    async usable() {
      const rested = origins.filter(({ state, restUntilMs }) => state === 'reachable' || clock.monotonicMs() >= restUntilMs)
      await Promise.all(rested.filter(({ state }) => state !== 'reachable').map(ask))
      return rested.filter((origin): origin is OriginRecord & KnownOrigin => origin.state === 'reachable' && origin.storeId !== undefined)
    },
    answered: (origin) => note(known(origin), 'reachable'),
    failed: (origin, error) => failed(known(origin), error),
    onReachable(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]() {
      probes?.[Symbol.dispose]()
      ended.abort()
    },
  }
}
