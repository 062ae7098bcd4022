// Addresses that the agent never connects to for somebody else, whatever the configuration allows, and what else the rules about addresses of syncs
// and imports share.

import { BlockList, isIP } from 'node:net'

/** Resolves a name to its addresses. Rejects if it has none. */
export type Lookup = (name: string) => Promise<readonly string[]>

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

/** Returns the networks that no configuration can allow, also where an IPv6 address embeds an IPv4 address. */
export function listBlocked(): BlockList {
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
export function addNetwork(list: BlockList, text: string): boolean {
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
export function includes(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** Normalizes a host for comparison: lower case, without brackets and trailing dot. */
export function hostOf(host: string): string {
  return host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()
}
