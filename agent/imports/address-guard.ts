// Decides which addresses an import may connect to. The address comes from a request, so it must not give access to services that only this node or its
// network can reach. A name is resolved once, every answer must be allowed, and the connection goes to an answer, without resolving the name again.

import { BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { addNetwork, hostOf, includes, listBlocked } from '../contract/blocked-addresses.ts'
import type { Lookup } from '../contract/blocked-addresses.ts'
import { SourceInterrupted } from './source.ts'

/** Most addresses of a name that are tried. */
const ADDRESSES_MAX = 8
/** All globally routed IPv6 addresses are in it (RFC 4291 §2.4, IANA). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')

/** A server that an import wants to connect to. */
export interface SourceServer {
  /** Host of a URL: a name, an IPv4 address, or an IPv6 address in brackets. */
  readonly host: string
  readonly port: number
  /** Ports that need no entry in the list of allowed servers. */
  readonly standardPorts: readonly number[]
}

export interface AddressGuard {
  /**
   * Returns the addresses of a server, in the order of the resolver. Throws ProblemError `source-not-allowed` unless all of them are allowed, and
   * SourceInterrupted when the name cannot be resolved.
   */
  resolve(server: SourceServer): Promise<readonly string[]>
}

export interface AddressGuardOptions {
  /** `imports.allow`: networks, addresses and host names, each with a port or for all ports. */
  readonly allow: readonly string[]
  readonly lookup: Lookup
  /** Returns the addresses of this node, which are refused unless they are listed. */
  readonly ownAddresses: () => readonly string[]
}

interface Allowance {
  /** Host name; undefined for a network. */
  readonly name: string | undefined
  readonly network: BlockList
  /** Undefined for all ports. */
  readonly port: number | undefined
}

/** Creates the guard of a store. */
export function createAddressGuard({ allow, lookup, ownAddresses }: AddressGuardOptions): AddressGuard {
  const blocked = listBlocked()
  const allowances = allow.map(parseAllowance).filter((allowance) => allowance !== undefined)

  const why = (name: string, address: string, { port, standardPorts }: SourceServer): Denial | undefined => {
    if (includes(blocked, address)) return 'blocked'
    const isListed = allowances.some((one) => (one.port ?? port) === port && (one.name === undefined ? includes(one.network, address) : one.name === name))
    if (isListed) return undefined
    if (!isGlobal(address) || ownAddresses().includes(address)) return 'private'
    return standardPorts.includes(port) ? undefined : 'port'
  }
  return {
    async resolve(server) {
      const name = hostOf(server.host)
      const addresses = isIP(name) === 0 ? await lookUp(lookup, name) : [name]
      for (const address of addresses) {
        const denial = why(name, address, server)
        if (denial !== undefined) throw notAllowed(name, server.port, denial)
      }
      return addresses.slice(0, ADDRESSES_MAX)
    },
  }
}

/** Returns whether text is a valid entry of `imports.allow`. */
export function isAllowance(text: string): boolean {
  return parseAllowance(text) !== undefined
}

/** Parses `10.0.0.0/8`, `192.0.2.1:8080`, `[2001:db8::1]:8080`, `fd00::/8`, `mirror.example` or `mirror.example:8080`. */
function parseAllowance(text: string): Allowance | undefined {
  const network = new BlockList()
  if (addNetwork(network, text)) return { name: undefined, network, port: undefined }
  const match = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text)
  const host = hostOf(match?.[1] ?? '')
  const port = match?.[2] === undefined ? undefined : Number(match[2])
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined
  if (addNetwork(network, host)) return { name: undefined, network, port }
  const isName = /^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*$/.test(host) && !/^[\d.]+$/.test(host)
  return isName ? { name: host, network, port } : undefined
}

async function lookUp(lookup: Lookup, name: string): Promise<readonly string[]> {
  try {
    const addresses = await lookup(name)
    if (addresses.length > 0) return addresses
  } catch (error) {
    throw new SourceInterrupted('its name cannot be resolved', { cause: error })
  }
  throw new SourceInterrupted('its name has no address')
}

/** Whether an address is one of the public internet: not private, local, shared, reserved, for documentation, or an IPv4 address in another form. */
function isGlobal(text: string): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.parse(text)
  if (address.range() !== 'unicast') return false
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_IPV6)
}

type Denial = 'blocked' | 'private' | 'port'

/** Returns the refusal. It does not name the address, which would make an import a way to look names up. */
function notAllowed(name: string, port: number, denial: Denial): ProblemError {
  switch (denial) {
    case 'blocked':
      return problem('source-not-allowed', `This store does not import from ${name}: it has a link-local, metadata, unspecified or multicast address.`, {
        action: 'Use another address. These networks cannot be allowed by configuration.',
      })
    case 'private':
      return problem(
        'source-not-allowed',
        `This store does not import from ${name}: it is not an address of the public internet, and imports.allow does not list it.`,
      )
    case 'port':
      return problem('source-not-allowed', `This store does not import from port ${port} of ${name}: imports.allow does not list it.`)
    default:
      return denial satisfies never
  }
}
