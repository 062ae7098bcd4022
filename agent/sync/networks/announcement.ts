// What a store announces about its networks in GET /v1/store, and the address that another store uses. Pure functions.

import { BlockList, isIP } from 'node:net'
import { addNetwork, hostOf, includes } from '../../contract/blocked-addresses.ts'
import type { StoreNetworks } from '../../../protocol/store.ts'

/** Returns whether an address is in a network. */
export function isWithin(address: string, cidr: string): boolean {
  const network = new BlockList()
  return addNetwork(network, cidr) && includes(network, address)
}

/**
 * Returns the announced URLs whose host is an address in a network, those of the sync network first, then those of the data network. A source that was
 * named with https is never reached with http.
 */
export function announcedWithin(networks: StoreNetworks, cidr: string, scheme: string): URL[] {
  const urls = [...networks.sync.urls, ...networks.data.urls, ...networks.listen.urls].map((text) => URL.parse(text))
  const seen = new Set<string>()
  return urls.filter((url): url is URL => {
    if (!url || isIP(hostOf(url.hostname)) === 0 || !isWithin(hostOf(url.hostname), cidr)) return false
    if (scheme === 'https:' && url.protocol !== 'https:') return false
    const isNew = !seen.has(url.origin)
    seen.add(url.origin)
    return isNew
  })
}

/** Returns the address of this node that shares the most leading bits with another address, so that both are in the same subnet if possible. */
export function nearestAddress(own: readonly string[], to: string): string | undefined {
  let nearest: string | undefined
  let bitsMax = -1
  for (const address of own) {
    if (isIP(address) !== isIP(to)) continue
    const bits = sharedBits(address, to)
    if (bits > bitsMax) [nearest, bitsMax] = [address, bits]
  }
  return nearest
}

function sharedBits(a: string, b: string): number {
  const all = isIP(a) === 6 ? 128 : 32
  for (let bits = all; bits > 0; bits--) if (isWithin(a, `${b}/${bits}`)) return bits
  return 0
}
