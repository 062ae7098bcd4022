// Restricts the addresses that a sync may connect to. The address comes from a request, so it must not give access to services that only this
// node can reach. A name is resolved once, its addresses are checked, and the connection uses a checked address, without resolving the name again
// or following redirects.

import { BlockList, isIP } from 'node:net'
import { addNetwork, hostOf, includes, listBlocked } from '../contract/blocked-addresses.ts'
import type { Lookup } from '../contract/blocked-addresses.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Fetch } from '../../protocol/client/exchange.ts'
import { createRoutedFetch } from './networks/peer-routes.ts'
import type { SyncNetworks } from './networks/peer-routes.ts'

/** Maximum number of addresses of a name that are tried. */
const ADDRESSES_MAX = 8

export interface PeerNetwork {
  /**
   * Returns the allowed addresses of a host, in the order of the resolver. Throws ProblemError `peer-not-allowed` if none of its addresses
   * is allowed, and the error of the resolver if it has no addresses.
   */
  resolve(host: string): Promise<readonly string[]>
  /** The networks of this node that syncs keep to; without them, every request goes to the address in its URL. */
  readonly networks?: SyncNetworks
  /** Returns whether an address is never connected to, listed or not. */
  isBlocked(address: string): boolean
}

/** Creates the rules of `sync.peers`: CIDRs, addresses and host names. An empty list allows all addresses that are not blocked. */
export function createPeerNetwork(peers: readonly string[], lookup: Lookup, networks?: SyncNetworks): PeerNetwork {
  const blocked = listBlocked()
  const names = new Set<string>()
  const listed = new BlockList()
  for (const peer of peers) if (!addNetwork(listed, peer)) names.add(hostOf(peer))
  return {
    ...(networks ? { networks } : {}),
    isBlocked: (address) => includes(blocked, address),
    async resolve(host) {
      const name = hostOf(host)
      const isAddress = isIP(name) !== 0
      const addresses = isAddress ? [name] : await lookup(name)
      const isListed = peers.length === 0 || names.has(name)
      const allowed = addresses.filter((address) => !includes(blocked, address) && (isListed || includes(listed, address)))
      if (allowed.length > 0) return allowed.slice(0, ADDRESSES_MAX)
      throw notAllowed(
        name,
        addresses.every((address) => includes(blocked, address)),
      )
    },
  }
}

/**
 * Returns a fetch for requests to other stores: over the sync network if one applies (networks/peer-routes.ts), and only to allowed addresses, which it
 * checks on each request. It connects to the address, and uses the name for the Host header and the certificate.
 */
export function createPeerFetch(network: PeerNetwork, send: Fetch = fetch): Fetch {
  const direct = createDirectFetch(network, send)
  return network.networks ? createRoutedFetch({ network, networks: network.networks, direct }) : direct
}

function createDirectFetch(network: PeerNetwork, send: Fetch): Fetch {
  return async (text, init) => {
    const url = new URL(text)
    const addresses = await network.resolve(url.hostname)
    init.signal?.throwIfAborted()
    const headers = new Headers(init.headers)
    headers.set('host', url.host)
    // RFC 9111 §5.2.1.7: the other store answers with what it has and asks no origin, so that stores that are origins of each other never ask in a circle.
    headers.set('cache-control', 'only-if-cached')
    const tls = url.protocol === 'https:' && isIP(hostOf(url.hostname)) === 0 ? { tls: { serverName: url.hostname } } : {}
    const pinned: BunFetchRequestInit = { ...init, headers, redirect: 'manual', ...tls }
    let failure: unknown
    for (const address of addresses) {
      const to = new URL(url)
      to.hostname = isIP(address) === 6 ? `[${address}]` : address
      try {
        return await send(to.href, pinned)
      } catch (error) {
        if (init.signal?.aborted) throw error
        failure ??= error
      }
    }
    throw failure
  }
}

/** Returns whether text is a valid entry of `sync.peers`. */
export function isPeer(text: string): boolean {
  return addNetwork(new BlockList(), text) || (isIP(text) === 0 && /^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*\.?$/i.test(text) && !/^[\d.]+$/.test(text))
}

function notAllowed(name: string, isBlocked: boolean): ProblemError {
  return isBlocked
    ? problem('peer-not-allowed', `This store does not connect to ${name}: it is a link-local, metadata, unspecified or multicast address.`, {
        action: 'Use the address at which the other store serves its clients. These networks cannot be allowed by configuration.',
      })
    : problem('peer-not-allowed', `This store does not connect to ${name}: sync.peers does not list it.`)
}
