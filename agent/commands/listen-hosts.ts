// The addresses that an agent listens on, and those of them on which it speaks plain HTTP to other machines.

import { isIPv4 } from 'node:net'
import type { Config } from '../config.ts'
import { addressesWithin } from '../system/network.ts'
import { StartRefused } from './start-refused.ts'

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

/** Returns the addresses beyond loopback on which tokens and images are sent unencrypted; none when `network.plain-http` allows it. */
export function plainHosts(config: Config): string[] {
  if (config.tls || config.network.plainHttp) return []
  return listenHosts(config).filter((host) => !isLoopback(host))
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
