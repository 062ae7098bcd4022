// The fleet: every contact with an agent goes through `contact`, which records whether the agent answered. "Stopped since" is the first
// contact that failed.

import { createAgentClient } from '../../protocol/client/client.ts'
import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { Fetch } from '../../protocol/client/exchange.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Problem } from '../../protocol/problems.ts'
import type { Clock } from '../system/clock.ts'
import { KEY_ACTION } from '../credentials/vault.ts'
import { advise } from './advice.ts'
import type { KeptFleet } from './kept-fleet.ts'
import type { Registry, StoreRecord } from './registry.ts'

/** Time an agent has for the head of its answer, and for each next piece of it, in milliseconds: people are waiting. */
export const CONTACT_TIMEOUT_MS = 5_000
/** Time an agent has for one whole answer in a contact, in milliseconds: one that sends a byte now and then would keep people waiting otherwise. */
export const ANSWER_MS_MAX = 20_000
/** Time after which a contact sends no further request, in milliseconds, for an agent whose pages never end. Reading 200,000 images takes less. */
export const CONTACT_MS_MAX = 5 * 60_000
/** Stores asked at the same time: many, so that some that are silent do not delay the others. */
export const CONTACTS_MAX = 64
/** A contact is recorded again only after this long, in milliseconds: each record is a durable write. */
const RECORD_MS = 10_000

/** Methods that change nothing. */
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The outcome of asking a store. */
export type Contact<T> =
  | { readonly kind: 'answered'; readonly store: StoreRecord; readonly value: T; readonly asOfMs: number }
  /** The agent refused, with the next step in commands of this bot; or the answer is not one of an agent. */
  | { readonly kind: 'refused'; readonly store: StoreRecord; readonly problem: Problem; readonly error: ProblemError; readonly asOfMs: number }
  | Silence

/** A store that does not answer. */
export interface Silence {
  readonly kind: 'stopped'
  readonly store: StoreRecord
  readonly sinceMs: number
  readonly lastSeenMs: number | null
  readonly reason: string
  readonly asOfMs: number
}

export interface Fleet {
  readonly registry: Registry
  /** What the service keeps of the fleet; undefined for a fleet without it, where every question asks the agents. */
  readonly kept: KeptFleet | undefined
  /** Returns when this process last began or ended a request that may change a store, in milliseconds since 1970; 0 for none. */
  changedMs(store: string): number
  /** A client without a record of contacts: for stores that are not registered yet, and for long transfers. */
  client(peer: FleetPeer): AgentClient
  /** Asks a store. Throws only for bugs and aborts. */
  contact<T>(store: StoreRecord, ask: (agent: AgentClient) => Promise<T>): Promise<Contact<T>>
  /** Asks several stores, at most CONTACTS_MAX at once; answers in the order of the stores. */
  contactAll<T>(stores: readonly StoreRecord[], ask: (agent: AgentClient, store: StoreRecord) => Promise<T>): Promise<Contact<T>[]>
}

/** An agent to which a client is made. */
export interface FleetPeer {
  readonly url: string
  readonly token?: string
  /** Why the token of a registered store cannot be read: requests then fail with this instead of being sent. */
  readonly unreadable?: string
  readonly name?: string
}

export interface FleetDeps {
  readonly registry: Registry
  readonly clock: Pick<Clock, 'nowMs'>
  readonly kept?: KeptFleet
  /** When each store was changed, shared by the fleets of one process; without it, of this fleet alone. */
  readonly changed?: Map<string, number>
  readonly fetch?: Fetch
  readonly contactTimeoutMs?: number
  readonly answerMsMax?: number
}

/** Creates the fleet of a registry. */
export function createFleet(deps: FleetDeps): Fleet {
  const { registry, clock } = deps
  const answerTimeoutMs = deps.contactTimeoutMs ?? CONTACT_TIMEOUT_MS
  const timeLimits = { answerTimeoutMs, stallTimeoutMs: answerTimeoutMs, jsonAnswerMsMax: deps.answerMsMax ?? ANSWER_MS_MAX }
  const changed = deps.changed ?? new Map<string, number>()
  const sendPlain = deps.fetch ?? fetch
  const sendFor = (peer: FleetPeer): Fetch =>
    noting(sendUnlessUnreadable(peer, sendPlain), () => peer.name !== undefined && changed.set(peer.name, clock.nowMs()))
  const client: Fleet['client'] = (peer) => createAgentClient({ baseUrl: peer.url, token: peer.token, ...timeLimits, fetch: sendFor(peer) })
  /** A client that refuses to send requests once the time of the contact is over. */
  const contactClient = (store: StoreRecord): AgentClient => {
    const { url, token } = store
    const sendNow = sendFor(store)
    const endMs = clock.nowMs() + CONTACT_MS_MAX
    const limited: Fetch = (address, init) => {
      if (clock.nowMs() < endMs) return sendNow(address, init)
      throw problem('peer-unreachable', `${url} did not finish its answer within ${CONTACT_MS_MAX / 1000} s.`)
    }
    return createAgentClient({ baseUrl: url, token, ...timeLimits, fetch: limited })
  }

  const attempt = async <T>(store: StoreRecord, ask: (agent: AgentClient) => Promise<T>): Promise<Contact<T>> => {
    try {
      const value = await ask(contactClient(store))
      return { kind: 'answered', store, value, asOfMs: clock.nowMs() }
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      return failedContact(store, error, clock.nowMs())
    }
  }
  /** Records who answered and who did not, in one write; returns the contacts with since when a store is silent. */
  const record = <T>(contacts: readonly Contact<T>[]): Contact<T>[] => {
    const known = new Map(contacts.map(({ store }) => [store.name, registry.find(store.name)]))
    const isDue = ({ kind, store, asOfMs }: Contact<T>): boolean => {
      const before = known.get(store.name)
      if (!before) return false
      return kind === 'stopped' ? before.stoppedSinceMs === null : before.stoppedSinceMs !== null || asOfMs - (before.lastSeenMs ?? 0) >= RECORD_MS
    }
    const due = contacts.filter(isDue)
    if (due.length > 0)
      registry.together(() => {
        for (const contact of due) {
          if (contact.kind === 'stopped') registry.silent(contact.store.name, contact.reason, contact.asOfMs)
          else registry.answered(contact.store.name, contact.asOfMs)
        }
      })
    return contacts.map((contact) => {
      if (contact.kind !== 'stopped') return contact
      const before = known.get(contact.store.name)
      return { ...contact, sinceMs: before?.stoppedSinceMs ?? contact.asOfMs, lastSeenMs: before?.lastSeenMs ?? contact.lastSeenMs }
    })
  }

  return {
    registry,
    kept: deps.kept,
    changedMs: (store) => changed.get(store) ?? 0,
    client,
    async contact(store, ask) {
      const [contact] = record([await attempt(store, ask)])
      if (!contact) throw new Error('a store was asked and there is no contact')
      return contact
    },
    async contactAll<T>(stores: readonly StoreRecord[], ask: (agent: AgentClient, store: StoreRecord) => Promise<T>): Promise<Contact<T>[]> {
      const answers: Contact<T>[] = []
      let next = 0
      const work = async (): Promise<void> => {
        for (let i = next++; i < stores.length; i = next++) {
          const store = stores[i]
          if (store) answers[i] = await attempt(store, (agent) => ask(agent, store))
        }
      }
      await Promise.all(Array.from({ length: Math.min(CONTACTS_MAX, stores.length) }, work))
      return record(answers)
    },
  }
}

/** Sends requests to an agent, unless its token cannot be read: without it the agent would refuse, for a reason that misleads. */
function sendUnlessUnreadable({ name = '', unreadable }: FleetPeer, send: Fetch): Fetch {
  if (unreadable === undefined) return send
  return () => {
    throw problem('unauthenticated', `The credentials of ${name} cannot be read: ${unreadable}.`, { title: 'Credentials cannot be read', action: KEY_ACTION })
  }
}

/** Notes when a request that may change something begins and when it has ended. */
function noting(send: Fetch, note: () => unknown): Fetch {
  return async (address, init) => {
    if (READING.has(init.method ?? 'GET')) return send(address, init)
    note()
    try {
      return await send(address, init)
    } finally {
      note()
    }
  }
}

/** The outcome of a contact that failed: the refusal of an agent, or a store that is silent, as far as this contact knows, since now. */
export function failedContact(store: StoreRecord, error: ProblemError, asOfMs: number): Exclude<Contact<never>, { kind: 'answered' }> {
  // From the agent itself the same code means that it answered, and that a peer of its own did not.
  if (error.code === 'peer-unreachable' && !error.isFromPeer)
    return { kind: 'stopped', store, sinceMs: asOfMs, lastSeenMs: store.lastSeenMs, reason: error.problem.detail, asOfMs }
  const advised = advise(store, error)
  return { kind: 'refused', store, problem: advised.problem, error: advised, asOfMs }
}
