// Addresses of this node that lie in a network, for the data and sync networks of a store.

import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Addresses of this node within a CIDR, in no order; throws RangeError for text that is no CIDR. */
export function addressesWithin(cidr: string, interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const [address = '', prefix = ''] = cidr.split('/')
  const family = address.includes(':') ? 'ipv6' : 'ipv4'
  const network = new BlockList()
  network.addSubnet(address, Number(prefix), family)
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? [])
  return all.filter((own) => own.family.toLowerCase() === family && network.check(own.address, family)).map((own) => own.address)
}
