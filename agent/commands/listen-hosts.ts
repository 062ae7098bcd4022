// The addresses that an agent listens on, and those of them on which it speaks plain HTTP to other machines.

import { isIPv4, isIPv6 } from 'node:net'
import type { StoreNetworks } from '../../protocol/store.ts'
import type { Config } from '../config.ts'
import { addressesWithin } from '../system/network.ts'
import { StartRefused } from './start-refused.ts'

/** Most addresses of one network that are announced. */
const ADDRESSES_MAX = 32

/** Returns the host of `network.listen`, then the other addresses of this node in the data and sync networks. Throws StartRefused when a network has no address of this node. */
export function listenHosts(config: Config): string[] {
  const { listen, data, sync } = config.network
  const hosts = new Set([listen.host])
  if (isWildcard(listen.host)) return [...hosts]
  for (const [key, cidr] of [
    ['network.data', data],
    ['network.sync', sync],
  ] as const) {
    if (cidr === '') continue
    const addresses = addressesWithin(cidr)
    if (addresses.length === 0) throw new StartRefused(`${key} is ${cidr}, but this node has no address in that network. Correct it, or leave it empty.`)
    for (const address of addresses) hosts.add(address)
  }
  return [...hosts]
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Returns the addresses at which an agent answers, by network. `url` is that of `network.listen` with its real port. */
export function listenNetworks(config: Config, url: string): StoreNetworks {
  const { listen, data, sync } = config.network
  const { protocol, port } = new URL(url)
  const urlOf = (host: string): string => `${protocol}//${isIPv6(host) ? `[${host}]` : host}:${port}`
  // An agent that listens on every address answers at those that the node got later too.
  const within = (cidr: string) => ({ cidr: cidr === '' ? null : cidr, urls: cidr === '' ? [] : addressesWithin(cidr).slice(0, ADDRESSES_MAX).map(urlOf) })
  return { listen: { urls: isWildcard(listen.host) ? [] : [urlOf(listen.host)] }, data: within(data), sync: within(sync) }
}

/** Returns the addresses beyond loopback on which tokens and images are sent unencrypted; none when `network.plain-http` allows it. */
export function plainHosts(config: Config): string[] {
  if (config.tls || config.network.plainHttp) return []
  return listenHosts(config).filter((host) => !isLoopback(host))
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
