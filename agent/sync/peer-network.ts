// Which machines this store talks to when it is told to copy from an address. The address comes from an operator's
// request, so it must not reach what only this node can reach: a name is resolved here, its addresses are judged, and the
// connection goes to an address that was judged (no second resolution, no redirect).

import { BlockList, isIP } from 'node:net'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Fetch } from '../../protocol/exchange.ts'

/** Resolves a name to its addresses; rejects when it has none. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 8

/**
 * Never talked to, whatever the configuration says: IPv4 networks in which no store can be, or in which clouds answer
 * with credentials of the machine. RFC 6890, RFC 1112, RFC 3927.
 */
const NEVER_IPV4: readonly string[] = [
  // "This network" and unspecified: Linux takes 0.0.0.0 for loopback.
  '0.0.0.0/8',
  // Link-local, with the metadata services of AWS, Google, Azure, OpenStack, DigitalOcean and others.
  '169.254.0.0/16',
  // Metadata services elsewhere: Alibaba, Azure's host agent, Oracle.
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  // Multicast; reserved, with the broadcast address.
  '224.0.0.0/4',
  '240.0.0.0/4',
]

/** The same for IPv6. RFC 4291, RFC 4380. */
const NEVER_IPV6: readonly string[] = [
  '::/128',
  // Link-local, and the deprecated site-local.
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  // Metadata services of AWS, Google and Scaleway.
  'fd00:ec2::/32',
  'fd20:ce::254/128',
  'fd00:42::42/128',
  // Tunnels and translations that carry an IPv4 address somewhere inside: Teredo, and NAT64 with a prefix of the site.
  '2001::/32',
  '64:ff9b:1::/48',
]

/** Prefixes that carry an IPv4 address right behind them: 6to4 (RFC 3056), NAT64 (RFC 6052), IPv4-compatible (RFC 4291). */
const EMBEDDING: readonly { readonly prefix: (high: string, low: string) => string; readonly bits: number }[] = [
  { prefix: (high, low) => `2002:${high}:${low}::`, bits: 16 },
  { prefix: (high, low) => `64:ff9b::${high}:${low}`, bits: 96 },
  { prefix: (high, low) => `::${high}:${low}`, bits: 96 },
]

export interface PeerNetwork {
  /**
   * The addresses of a host that may be talked to, in the order of the resolver. Throws ProblemError `peer-not-allowed` when
   * there are none among those it has, and what the resolver threw when it has none.
   */
  resolve(host: string): Promise<readonly string[]>
}

/** Creates the rules of `sync.peers`: CIDRs, addresses and host names; empty allows all but what is never talked to. */
export function createPeerNetwork(peers: readonly string[], lookup: Lookup): PeerNetwork {
  const never = neverList()
  const names = new Set<string>()
  const listed = new BlockList()
  for (const peer of peers) if (!addNetwork(listed, peer)) names.add(hostOf(peer))
  return {
    async resolve(host) {
      const name = hostOf(host)
      const isAddress = isIP(name) !== 0
      const addresses = isAddress ? [name] : await lookup(name)
      const isListed = peers.length === 0 || names.has(name)
      const allowed = addresses.filter((address) => !includes(never, address) && (isListed || includes(listed, address)))
      if (allowed.length > 0) return allowed.slice(0, ADDRESSES_MAX)
      throw refuse(
        name,
        addresses.every((address) => includes(never, address)),
      )
    },
  }
}

/**
 * Returns a fetch that connects only to addresses the rules allow, checked at each request. The name is still used for the header Host and for
 * the certificate; the connection goes to the address.
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

/** Whether text can stand in `sync.peers`. */
export function isPeer(text: string): boolean {
  return addNetwork(new BlockList(), text) || (isIP(text) === 0 && /^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*\.?$/i.test(text) && !/^[\d.]+$/.test(text))
}

function neverList(): BlockList {
  const never = new BlockList()
  for (const network of [...NEVER_IPV4, ...NEVER_IPV6]) addNetwork(never, network)
  for (const network of NEVER_IPV4) {
    const [address = '', bits = ''] = network.split('/')
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
    const pair = (high: number, low: number): string => (high * 256 + low).toString(16)
    for (const { prefix, bits: before } of EMBEDDING) {
      // ::1, which is loopback, lies where the compatible form of 0.0.0.0/8 would.
      if (a === 0 && prefix('0', '0') === '::0:0') continue
      never.addSubnet(prefix(pair(a, b), pair(c, d)), before + Number(bits), 'ipv6')
    }
  }
  return never
}

/** Adds a CIDR or an address; false when the text is neither. */
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

/** BlockList compares an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) with the IPv4 networks too. */
function includes(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** A host as it is compared: no brackets, no zone, no final dot, small letters. */
function hostOf(host: string): string {
  return host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()
}

function refuse(name: string, isNever: boolean): ProblemError {
  return isNever
    ? problem('peer-not-allowed', `This store does not talk to ${name}: it is a link-local, metadata, unspecified or multicast address.`, {
        action: 'Name the address at which the other store serves its clients. No configuration opens these networks.',
      })
    : problem('peer-not-allowed', `This store does not talk to ${name}: sync.peers does not list it.`)
}
