// Reads how many bytes the kernel still has to send to each peer. A socket becomes writable only when a third of its buffer is free, which is
// megabytes: over a slow link that takes minutes, during which only the queue shows that the peer is reading.

import { readFile } from 'node:fs/promises'

// Below /proc/self and not /proc/net, which ProcSubset=pid hides.
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** Bytes sent and not yet acknowledged. */
export interface SendQueues {
  /** Returns undefined for a peer that is not connected, and when the kernel does not show the queues. */
  of(address: string, port: number): number | undefined
}

/** Reads the queues of the connections to a local port. */
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
    // Without the table, writes that the socket accepts are the only sign of progress.
    return ''
  }
}

/** Returns the address that the kernel writes as 32-bit little-endian numbers. */
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
