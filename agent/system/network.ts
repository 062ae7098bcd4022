// Looks up addresses: those of this node that are in a network, and those of a host name.

import { lookup } from 'node:dns/promises'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { errorCode, errorText } from '../../protocol/errors.ts'

/** How long a name may take to be resolved, in milliseconds. */
const RESOLVE_MS_MAX = 5000

/** Returns the addresses of this node within a network, in no order. Throws RangeError for text that is not in CIDR notation. */
export function addressesWithin(cidr: string, interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const [address = '', prefix = ''] = cidr.split('/')
  const family = address.includes(':') ? 'ipv6' : 'ipv4'
  const network = new BlockList()
  network.addSubnet(address, Number(prefix), family)
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? [])
  return all.filter((own) => own.family.toLowerCase() === family && network.check(own.address, family)).map((own) => own.address)
}

/** Resolves a host name as the system does (getaddrinfo), in its order. Rejects when the name has no address, or after `RESOLVE_MS_MAX`. */
export async function resolveName(name: string): Promise<readonly string[]> {
  const late = AbortSignal.timeout(RESOLVE_MS_MAX)
  const tooLate = new Promise<never>((_resolve, reject) => {
    late.addEventListener('abort', () => reject(new Error(`the name ${name} was not resolved within ${RESOLVE_MS_MAX / 1000} s`)), { once: true })
  })
  const found = lookup(name, { all: true }).catch((error: unknown) => {
    throw new Error(`the name ${name} cannot be resolved (${errorCode(error) ?? errorText(error)})`, { cause: error })
  })
  return (await Promise.race([found, tooLate])).map(({ address }) => address)
}
