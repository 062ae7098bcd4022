// A TCP proxy that does to connections what bad links do: waits, limits, cuts after so many bytes. Counts what went through.

import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** What is done to connections that are opened from now on; `direction` is seen from the client. */
export interface LinkFaults {
  /** Connections are cut after this many bytes; Infinity cuts none. `reset` sends RST in place of FIN. */
  readonly cutAfter?: number
  readonly direction?: 'up' | 'down' | 'both'
  readonly reset?: boolean
  /** Each piece waits this long, in milliseconds. */
  readonly delayMs?: number
  readonly bytesPerSecond?: number
}

export interface CuttingProxy extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Bytes that went through since the start, by direction. */
  readonly bytes: { up: number; down: number }
  readonly connections: number
  readonly cuts: number
  /** Changes what happens to new connections; `cutsMax` of them are cut, the ones after are not. */
  setFaults(faults: LinkFaults, cutsMax?: number): void
  /** Cuts every open connection now. */
  cutAll(): void
  /** New connections go to another port, as after a restart of the server. */
  setTarget(port: number): void
}

/** Longest piece that is passed on at once, so that a limit is kept evenly. */
const PIECE_BYTES = 64 * 1024

/**
 * Starts a proxy in front of a port of this machine.
 *
 * @example
 * await using proxy = await createCuttingProxy(server.port)
 * proxy.setFaults({ cutAfter: 1_000_000, direction: 'down' }, 5)
 */
export async function createCuttingProxy(targetPort: number, first: LinkFaults = {}): Promise<CuttingProxy> {
  let port = targetPort
  const open = new Set<{ cut(): void }>()
  const bytes = { up: 0, down: 0 }
  let faults = first
  let cutsLeft = Number.POSITIVE_INFINITY
  let cuts = 0
  let connections = 0

  const server = createServer((client) => {
    connections++
    const target = createConnection(port, '127.0.0.1')
    const own = faults
    let left = own.cutAfter ?? Number.POSITIVE_INFINITY
    const link = {
      cut(): void {
        open.delete(link)
        for (const socket of [client, target])
          if (own.reset) socket.resetAndDestroy()
          else socket.destroy()
      },
    }
    open.add(link)
    /** How many of the bytes may pass; the rest is cut off with the connection. */
    const admit = (direction: 'up' | 'down', length: number): number => {
      if (cutsLeft <= 0 || ((own.direction ?? 'both') !== 'both' && own.direction !== direction)) return length
      const passing = Math.min(length, left)
      left -= passing
      return passing
    }
    const cut = (): void => {
      // Pieces that were waiting behind the one that was cut come here too.
      if (!open.has(link)) return
      cuts++
      cutsLeft--
      link.cut()
    }
    pass(client, target, 'up', own, bytes, admit, cut, link)
    pass(target, client, 'down', own, bytes, admit, cut, link)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${own}`,
    port: own,
    bytes,
    get connections() {
      return connections
    },
    get cuts() {
      return cuts
    },
    setFaults(next, cutsMax = Number.POSITIVE_INFINITY) {
      faults = next
      cutsLeft = cutsMax
    },
    cutAll() {
      for (const link of open) link.cut()
    },
    setTarget: (next) => void (port = next),
    async [Symbol.asyncDispose]() {
      for (const link of open) link.cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function pass(
  from: Socket,
  to: Socket,
  direction: 'up' | 'down',
  { delayMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY }: LinkFaults,
  bytes: { up: number; down: number },
  admit: (direction: 'up' | 'down', length: number) => number,
  cut: () => void,
  link: { cut(): void },
): void {
  let sending = Promise.resolve()
  const send = async (piece: Buffer): Promise<void> => {
    const waitMs = delayMs + (piece.length / bytesPerSecond) * 1000
    if (waitMs > 0) await Bun.sleep(waitMs)
    const passing = admit(direction, piece.length)
    bytes[direction] += passing
    if (passing > 0 && !to.destroyed && !to.write(piece.subarray(0, passing))) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          to.off('drain', done).off('close', done)
          resolve()
        }
        to.on('drain', done).on('close', done)
      })
    }
    if (passing < piece.length) cut()
  }
  from.on('data', (received: Buffer) => {
    from.pause()
    for (let at = 0; at < received.length; at += PIECE_BYTES) {
      const piece = received.subarray(at, at + PIECE_BYTES)
      sending = sending.then(() => send(piece))
    }
    sending = sending.then(() => void from.resume())
  })
  from.on('end', () => void (sending = sending.then(() => void to.end())))
  from.on('error', () => link.cut())
  from.on('close', () => void (sending = sending.then(() => void to.end())))
}
