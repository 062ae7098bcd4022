// Restricts the addresses that a sync may connect to. The address comes from a request, so it must not give access to services that only this
// node can reach. A name is resolved once, its addresses are checked, and the connection uses a checked address, without resolving the name again
// or following redirects.

import { BlockList, isIP } from 'node:net'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Fetch } from '../../protocol/exchange.ts'

/** Resolves a name to its addresses. Rejects if it has none. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** Maximum number of addresses of a name that are tried. */
const ADDRESSES_MAX = 8

/**
 * IPv4 networks that no configuration can allow: they cannot contain a store, or contain cloud services that return credentials of this
 * machine. RFC 6890, RFC 1112, RFC 3927.
 */
const BLOCKED_IPV4: readonly string[] = [
  // "This network" and unspecified. Linux treats 0.0.0.0 as loopback.
  '0.0.0.0/8',
  // Link-local, including the metadata services of AWS, Google, Azure, OpenStack, DigitalOcean and others.
  '169.254.0.0/16',
  // Other metadata services: Alibaba, Azure's host agent, Oracle.
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  // Multicast, and reserved addresses including broadcast.
  '224.0.0.0/4',
  '240.0.0.0/4',
]

/** IPv6 networks that no configuration can allow. RFC 4291, RFC 4380. */
const BLOCKED_IPV6: readonly string[] = [
  '::/128',
  // Link-local, and deprecated site-local.
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  // Metadata services of AWS, Google and Scaleway.
  'fd00:ec2::/32',
  'fd20:ce::254/128',
  'fd00:42::42/128',
  // Tunnels and translations that embed an IPv4 address: Teredo, and NAT64 with a local prefix.
  '2001::/32',
  '64:ff9b:1::/48',
]

/** IPv6 prefixes that are followed by an IPv4 address: 6to4 (RFC 3056), NAT64 (RFC 6052), IPv4-compatible (RFC 4291). */
const EMBEDDING_PREFIXES: readonly { readonly prefix: (high: string, low: string) => string; readonly bits: number }[] = [
  { prefix: (high, low) => `2002:${high}:${low}::`, bits: 16 },
  { prefix: (high, low) => `64:ff9b::${high}:${low}`, bits: 96 },
  { prefix: (high, low) => `::${high}:${low}`, bits: 96 },
]

export interface PeerNetwork {
  /**
   * Returns the allowed addresses of a host, in the order of the resolver. Throws ProblemError `peer-not-allowed` if none of its addresses
   * is allowed, and the error of the resolver if it has no addresses.
   */
  resolve(host: string): Promise<readonly string[]>
}

/** Creates the rules of `sync.peers`: CIDRs, addresses and host names. An empty list allows all addresses that are not blocked. */
export function createPeerNetwork(peers: readonly string[], lookup: Lookup): PeerNetwork {
  const blocked = blockedList()
  const names = new Set<string>()
  const listed = new BlockList()
  for (const peer of peers) if (!addNetwork(listed, peer)) names.add(hostOf(peer))
  return {
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
 * Returns a fetch that connects only to allowed addresses, which it checks on each request. It connects to the address, and uses the name for the
 * Host header and the certificate.
 */
export function createPeerFetch(network: PeerNetwork, send: Fetch = fetch): Fetch {
  return async (text, init) => {
    const url = new URL(text)
    const addresses = await network.resolve(url.hostname)
    init.signal?.throwIfAborted()
    const headers = new Headers(init.headers)
    headers.set('host', url.host)
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

function blockedList(): BlockList {
  const blocked = new BlockList()
  for (const network of [...BLOCKED_IPV4, ...BLOCKED_IPV6]) addNetwork(blocked, network)
  for (const network of BLOCKED_IPV4) {
    const [address = '', bits = ''] = network.split('/')
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
    const pair = (high: number, low: number): string => (high * 256 + low).toString(16)
    for (const { prefix, bits: before } of EMBEDDING_PREFIXES) {
      // The compatible form of 0.0.0.0/8 would include ::1, which is loopback.
      if (a === 0 && prefix('0', '0') === '::0:0') continue
      blocked.addSubnet(prefix(pair(a, b), pair(c, d)), before + Number(bits), 'ipv6')
    }
  }
  return blocked
}

/** Adds a CIDR or an address. Returns false if the text is neither. */
function addNetwork(list: BlockList, text: string): boolean {
  const [address = '', bits, rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest !== undefined || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return false
  const all = version === 6 ? 128 : 32
  const length = bits === undefined ? all : Number(bits)
  if (length > all) return false
  list.addSubnet(address, length, version === 6 ? 'ipv6' : 'ipv4')
  return true
}

/** Returns whether a list contains an address. BlockList also matches IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) against IPv4 networks. */
function includes(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** Normalizes a host for comparison: lower case, without brackets and trailing dot. */
function hostOf(host: string): string {
  return host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()
}

function notAllowed(name: string, isBlocked: boolean): ProblemError {
  return isBlocked
    ? problem('peer-not-allowed', `This store does not connect to ${name}: it is a link-local, metadata, unspecified or multicast address.`, {
        action: 'Use the address at which the other store serves its clients. These networks cannot be allowed by configuration.',
      })
    : problem('peer-not-allowed', `This store does not connect to ${name}: sync.peers does not list it.`)
}
