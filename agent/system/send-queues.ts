// How much the kernel still holds for each peer. A socket becomes writable only when a third of its buffer is free, which is megabytes: over a
// slow link that takes minutes, in which the queue alone shows that the peer reads.

import { readFile } from 'node:fs/promises'

// Below /proc/self and not /proc/net, which ProcSubset=pid hides.
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** Bytes sent and not yet acknowledged. */
export interface SendQueues {
  /** Undefined for a peer that is not connected, and where the kernel does not tell. */
  of(address: string, port: number): number | undefined
}

/** The queues of the connections to a local port. */
export async function readSendQueues(localPort: number): Promise<SendQueues> {
  const queues = new Map<string, number>()
  for (const path of TABLES) {
    for (const line of (await readTable(path)).split('\n').slice(1)) {
      const [, local = '', remote = '', , sizes = ''] = line.trim().split(/\s+/)
      const [, port = ''] = local.split(':')
      if (Number.parseInt(port, 16) !== localPort) continue
      const [address = '', remotePort = ''] = remote.split(':')
      queues.set(`${addressOf(address)} ${Number.parseInt(remotePort, 16)}`, Number.parseInt(sizes.split(':')[0] ?? '', 16))
    }
  }
  return { of: (address, port) => queues.get(`${canonical(address)} ${port}`) }
}

async function readTable(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1')
  } catch {
    // Without the table, what the socket takes is the only sign of progress.
    return ''
  }
}

/** The kernel writes each 32 bits of an address as a number of the machine: little endian. */
function addressOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).toReversed())
  if (bytes.length === 4) return bytes.map((byte) => Number.parseInt(byte, 16)).join('.')
  return canonical((bytes.join('').match(/.{4}/g) ?? []).join(':'))
}

function canonical(address: string): string {
  if (!address.includes(':')) return address
  const url = `http://[${address.replace(/%.*$/, '')}]`
  return URL.canParse(url) ? new URL(url).hostname : address
}
