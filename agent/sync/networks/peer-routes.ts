// Chooses the network of a sync. `network.sync` of this store wins, else the sync network that the source announces is used, else the address that the
// request names. On a sync network both ends of every connection are addresses in it: this node connects from its own one to the one that the source
// announces. Only GET /v1/store, which returns the announcement, goes to the named address.

import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import { exchange } from '../../../protocol/client/exchange.ts'
import type { Fetch, Peer } from '../../../protocol/client/exchange.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { storeNetworksSchema } from '../../../protocol/store.ts'
import { PROOF_HEADER } from '../../../protocol/sync/grant-proof.ts'
import type { StoreNetworks } from '../../../protocol/store.ts'
import { addNetwork, hostOf } from '../../contract/blocked-addresses.ts'
import type { LocalEnd } from '../../contract/connection.ts'
import { announcedWithin, isWithin, nearestAddress } from './announcement.ts'

/** How long a route is used before the source is asked for its networks again, in milliseconds. */
const ROUTE_MS = 60_000
/** Most routes that are remembered. */
const ROUTES_MAX = 64
/** Most addresses of a source that are tried. */
const CANDIDATES_MAX = 8
/** Longest answer of GET /v1/store in bytes that is read for the networks in it. */
const STORE_BYTES_MAX = 256 * 1024
/** Where the path of the interface begins in a URL; a proxy may add a prefix before it. */
const INTERFACE = /\/v1\/(?:store|images|slices|sync)(?:[/?]|$)/
/** Longest wait for the answer of a source about its networks, in milliseconds. */
const ANSWER_MS = 20_000

/** The part of GET /v1/store that chooses the network. A store whose announcement is missing or unknown to this version announces no networks. */
const announcementSchema = z.object({ id: z.string(), networks: storeNetworksSchema.optional().catch(undefined) })

/** The networks of this node. */
export interface SyncNetworks {
  /** Returns milliseconds on a monotonic clock. */
  now(): number
  /** `network.sync` of this store in CIDR notation; empty if it is not set. */
  readonly cidr: string
  /** Returns the addresses that this node has in a network now. */
  ownAddresses(cidr: string): readonly string[]
  /** Sends a request from an address of this node. */
  sendFrom(url: string, init: RequestInit, end: LocalEnd): Promise<Response>
}

export interface PeerRoutesDeps {
  /** Which addresses are allowed. */
  readonly network: { resolve(host: string): Promise<readonly string[]>; isBlocked(address: string): boolean }
  readonly networks: SyncNetworks
  /** Sends a request to the address that a URL names. */
  readonly direct: Fetch
}

/** How to reach a source: `base` replaces the part of a URL before `/v1/`. */
interface Route {
  readonly base: string
  readonly end: LocalEnd
}

type Announcement = z.output<typeof announcementSchema>

/** What is known of a source until it is asked again. */
interface Known {
  readonly untilMs: number
  readonly announcement?: Announcement
  /** Undefined in the promise: no sync network applies, and the named address is used. */
  readonly route?: Promise<Route | undefined>
}

/**
 * Returns a fetch that sends requests over the sync network. It throws ProblemError `no-network-address` when this node or the source has no address in
 * that network, and what `direct` throws.
 */
export function createRoutedFetch(deps: PeerRoutesDeps): Fetch {
  const known = new Map<string, Known>()
  const remember = (base: string, of: Omit<Known, 'untilMs'>): void => {
    if (known.size >= ROUTES_MAX) known.clear()
    known.set(base, { untilMs: deps.networks.now() + ROUTE_MS, ...of })
  }
  const routeOf = (source: Source): Promise<Route | undefined> => {
    const { route: usual, announcement, untilMs = 0 } = known.get(source.base) ?? {}
    const isFresh = untilMs > deps.networks.now()
    if (usual && isFresh) return usual
    // Requests that wait for the same route must not end with the first of them, so no signal of a request ends the search. It is bounded in time.
    const route = findRoute(deps, source, isFresh ? announcement : undefined)
    remember(source.base, { route })
    route.catch(() => known.delete(source.base))
    return route
  }
  return async (text, init) => {
    const at = text.search(INTERFACE)
    if (at < 0) throw new Error('a request between stores is for an unknown path')
    const source: Source = { base: text.slice(0, at), token: tokenOf(init), proof: new Headers(init.headers).get(PROOF_HEADER) }
    const path = text.slice(at)
    if (path === '/v1/store') {
      const { response, announcement } = await readAnnouncement(await deps.direct(text, init))
      if (announcement) remember(source.base, { announcement })
      return response
    }
    let route: Route | undefined
    try {
      route = await routeOf(source)
    } catch (error) {
      if (!isProofRefused(source, error)) throw error
      return await newNonce(deps, source, { error, init })
    }
    init.signal?.throwIfAborted()
    if (!route) return deps.direct(text, init)
    const headers = new Headers(init.headers)
    headers.set('host', new URL(text).host)
    try {
      return await deps.networks.sendFrom(route.base + path, { ...init, headers, redirect: 'manual' }, route.end)
    } catch (error) {
      // An address may have moved: the next request asks for the networks again.
      known.delete(source.base)
      throw error
    }
  }
}

/** Whether a source refused the question about the route because the nonce in the proof has expired. */
function isProofRefused({ proof }: Source, error: unknown): boolean {
  return proof !== null && error instanceof ProblemError && error.isFromPeer && error.code === 'unauthenticated'
}

/**
 * Returns the refusal of the source as the answer to the request: it has the nonce for a new proof, with which the request is sent again
 * (sources/prove.ts). Throws `error` when the source refuses nothing, so that its description is not taken for the answer.
 */
async function newNonce({ direct }: PeerRoutesDeps, { base, token, proof }: Source, { error, init }: { error: unknown; init: RequestInit }): Promise<Response> {
  const headers = { authorization: `Bearer ${token ?? ''}`, [PROOF_HEADER]: proof ?? '' }
  const response = await direct(`${base}/v1/store`, { headers, signal: init.signal ?? null })
  if (!response.ok) return response
  await response.body?.cancel()
  throw error
}

/** Throws ProblemError `no-network-address` when `network.sync` is set and this node has no address in it now. */
export function requireOwnAddress({ cidr, ownAddresses }: Pick<SyncNetworks, 'cidr' | 'ownAddresses'>): void {
  if (cidr !== '' && ownAddresses(cidr).length === 0) throw noOwnAddress(cidr, 'network.sync of this store')
}

interface Source {
  /** The URL of the source as it was named, before `/v1/`. */
  readonly base: string
  readonly token: string | undefined
  /** Proof for a grant, which questions about the route need too. */
  readonly proof: string | null
}

function tokenOf(init: RequestInit): string | undefined {
  return /^Bearer (.+)$/.exec(new Headers(init.headers).get('authorization') ?? '')?.[1]
}

async function findRoute(deps: PeerRoutesDeps, source: Source, known: Announcement | undefined): Promise<Route | undefined> {
  const { network, networks } = deps
  requireOwnAddress(networks)
  const named = new URL(source.base)
  const addresses = await network.resolve(named.hostname)
  // The named address may already be on the network of this store: then there is nothing to ask.
  const [inside] = networks.cidr === '' ? [] : addresses.filter((address) => isWithin(address, networks.cidr))
  if (inside !== undefined) return routeTo(deps, networks.cidr, named, withHost(source.base, inside))
  const peer: Peer = { baseUrl: source.base, token: source.token, fetch: deps.direct, answerTimeoutMs: ANSWER_MS }
  const { id, networks: announced } = known ?? (await announcementOf(peer, source))
  const cidr = networks.cidr === '' ? syncNetworkOf(announced) : networks.cidr
  if (cidr === '') return undefined
  if (networks.ownAddresses(cidr).length === 0) throw noOwnAddress(cidr, `the sync network of ${source.base}`)
  const candidates = await allowedUrls(deps, { announced, cidr, named, addresses })
  if (candidates.length === 0) throw noSourceAddress(source.base, cidr)
  let failure: unknown
  for (const url of candidates) {
    const route = routeTo(deps, cidr, named, url.origin)
    const overNetwork: Fetch = (text, init) => networks.sendFrom(text, init, route.end)
    try {
      const other = await announcementOf({ ...peer, baseUrl: route.base, fetch: overNetwork }, source)
      if (other.id === id) return route
      failure ??= problem('peer-unreachable', `${url.origin} is another store than ${source.base}, which announces that address.`)
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

async function announcementOf(peer: Peer, { proof }: Source): Promise<Announcement> {
  const answer = await exchange(peer, { path: ['v1', 'store'], headers: proof === null ? {} : { [PROOF_HEADER]: proof } })
  return answer.json(announcementSchema)
}

/** Returns the sync network that a source announces; empty if there is none. */
function syncNetworkOf(announced: StoreNetworks | undefined): string {
  const cidr = announced?.sync.cidr ?? ''
  return addNetwork(new BlockList(), cidr) ? cidr : ''
}

/** Reads the announcement in an answer to GET /v1/store, so that the source need not be asked twice. Returns the answer as it was. */
async function readAnnouncement(response: Response): Promise<{ response: Response; announcement?: Announcement }> {
  if (!response.ok || !response.body || Number(response.headers.get('content-length') ?? Infinity) > STORE_BYTES_MAX) return { response }
  const text = await response.text()
  const { data } = z.string().transform(parseJson).pipe(announcementSchema).safeParse(text)
  return { response: new Response(text, { status: response.status, headers: response.headers }), ...(data ? { announcement: data } : {}) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function routeTo({ networks }: PeerRoutesDeps, cidr: string, named: URL, base: string): Route {
  const localAddress = nearestAddress(networks.ownAddresses(cidr), hostOf(new URL(base).hostname))
  if (localAddress === undefined) throw noOwnAddress(cidr, 'the sync network')
  return { base, end: { localAddress, serverName: hostOf(named.hostname) } }
}

interface Choice {
  readonly announced: StoreNetworks | undefined
  readonly cidr: string
  readonly named: URL
  /** Addresses of the named host. */
  readonly addresses: readonly string[]
}

/**
 * Returns the announced URLs that this store may connect to. The source chooses them, so they must not lead to this node, and must be allowed like an
 * address in a request. `network.sync` of this store is configured here, so addresses in it need no entry in `sync.peers`.
 */
async function allowedUrls({ network, networks }: PeerRoutesDeps, { announced, cidr, named, addresses }: Choice): Promise<URL[]> {
  const isHere = addresses.every(isLoopback)
  const allowed: URL[] = []
  for (const url of announced ? announcedWithin(announced, cidr, named.protocol) : []) {
    const address = hostOf(url.hostname)
    if (network.isBlocked(address) || (isLoopback(address) && !isHere)) continue
    if (networks.cidr === '') await network.resolve(address)
    allowed.push(url)
  }
  return allowed.slice(0, CANDIDATES_MAX)
}

function isLoopback(address: string): boolean {
  return isWithin(address, isIP(address) === 6 ? '::1/128' : '127.0.0.0/8')
}

function withHost(base: string, address: string): string {
  const url = new URL(base)
  url.hostname = isIP(address) === 6 ? `[${address}]` : address
  return url.href.replace(/\/$/, '')
}

function noOwnAddress(cidr: string, what: string) {
  return problem('no-network-address', `This node has no address in ${cidr}, ${what}.`)
}

function noSourceAddress(url: string, cidr: string) {
  return problem('no-network-address', `${url} announces no address in ${cidr} that this store may connect to.`, {
    action: 'Set network.sync of the source to a network that both stores share, or correct network.sync of this store.',
  })
}
