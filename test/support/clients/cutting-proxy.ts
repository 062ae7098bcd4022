// A TCP proxy that simulates bad links: it delays, limits, flips bits, holds bytes back, cuts after a number of bytes or a time, and resets at
// random moments. Counts the bytes that it received and forwarded.

import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createRandom, runSeed } from '../properties.ts'

/** The faults of connections that are opened from now on; `direction` is relative to the client. */
export interface LinkFaults {
  /** Connections are cut after this many bytes; Infinity cuts none. `reset` sends RST instead of FIN. */
  readonly cutAfter?: number
  readonly direction?: 'up' | 'down' | 'both'
  readonly reset?: boolean
  /** All connections are cut each time this many milliseconds have passed. */
  readonly cutEveryMs?: number
  /** A connection is reset (RST) at a random moment within this many milliseconds after its opening. */
  readonly resetWithinMs?: number
  /** Every byte is forwarded this many milliseconds after it was received; more bytes are received meanwhile. */
  readonly delayMs?: number
  /** Rate of each direction: of each connection, or of all together if `isShared` is set. */
  readonly bytesPerSecond?: number
  readonly isShared?: boolean
  /** A random bit is inverted in each piece that completes this many bytes sent to clients, counted over all connections. */
  readonly flipEvery?: number
}

export interface CuttingProxy extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Bytes forwarded since the start, by direction. */
  readonly bytes: { up: number; down: number }
  /** Bytes received; those not forwarded are in flight, or were lost with their connection. */
  readonly taken: { up: number; down: number }
  readonly connections: number
  /** Connections that were cut by a fault, and those of them by a random reset. */
  readonly cuts: number
  readonly resets: number
  /** Bits that were inverted. */
  readonly flips: number
  /** Changes the faults of new connections. After `cutsMax` cuts no connection is cut. */
  setFaults(faults: LinkFaults, cutsMax?: number): void
  /** Holds bytes of one direction back, by default from the client, once this many were forwarded since the start, rounded up to a piece. */
  holdAt(bytes: number, direction?: Direction): void
  /** Cuts every open connection now. */
  cutAll(): void
  /** Directs new connections to another port, as after a restart of the server. */
  setTarget(port: number): void
}

/** Longest piece that is forwarded at once, so that a rate limit applies evenly. */
const PIECE_BYTES = 64 * 1024
/** Most bytes in flight in one direction of a connection. */
const LINE_BYTES_MAX = 4 * 1024 * 1024

type Direction = 'up' | 'down'

/** When a line is free to receive the next byte (performance.now), and the bytes that it has not forwarded yet. */
interface Line {
  freeMs: number
  held: number
}

const emptyLines = (): Record<Direction, Line> => ({ up: { freeMs: 0, held: 0 }, down: { freeMs: 0, held: 0 } })

/** The state that both directions of a connection share. */
interface Link {
  readonly faults: LinkFaults
  /** Aborts when the connection is cut. */
  readonly gone: AbortSignal
  readonly lines: Record<Direction, Line>
  /** Returns the piece as the fault changes it. */
  flipped(direction: Direction, piece: Buffer): Buffer
  took(direction: Direction, length: number): void
  /** Waits until bytes may be forwarded, and returns how many. The rest is lost with the connection. */
  admit(direction: Direction, length: number): Promise<number>
  /** Cuts the connection because of a fault. */
  cut(how: 'close' | 'reset'): void
  /** Closes the connection because one of its ends did. */
  drop(): void
}

/** Where a proxy listens on 127.0.0.1, any free port by default, and the address of this machine that it connects to. */
export interface ProxyPlace {
  readonly listenPort?: number
  readonly targetHost?: string
}

/**
 * Starts a proxy in front of a port of this machine.
 *
 * @example
 * await using proxy = await createCuttingProxy(server.port)
 * proxy.setFaults({ cutAfter: 1_000_000, direction: 'down' }, 5)
 */
export async function createCuttingProxy(
  targetPort: number,
  first: LinkFaults = {},
  { listenPort = 0, targetHost = '127.0.0.1' }: ProxyPlace = {},
): Promise<CuttingProxy> {
  let port = targetPort
  const random = createRandom(runSeed())
  const open = new Set<Link>()
  const bytes = { up: 0, down: 0 }
  const taken = { up: 0, down: 0 }
  let faults = first
  let cutsLeft = Number.POSITIVE_INFINITY
  let cuts = 0
  let resets = 0
  let connections = 0
  let flips = 0
  let sharedLines = emptyLines()
  let heldDirection: Direction = 'up'
  let holdAt = Number.POSITIVE_INFINITY
  let unheld = Promise.withResolvers<void>()
  let cutting: ReturnType<typeof setInterval> | undefined

  const connect = (client: Socket): Link => {
    const target = createConnection(port, targetHost)
    const own = faults
    const gone = new AbortController()
    let left = own.cutAfter ?? Number.POSITIVE_INFINITY
    const isCounted = (direction: Direction): boolean => cutsLeft > 0 && ((own.direction ?? 'both') === 'both' || own.direction === direction)
    const forget = (): void => {
      clearTimeout(resetting)
      open.delete(link)
      gone.abort()
    }
    const end = (how: 'close' | 'reset'): void => {
      forget()
      for (const socket of [client, target])
        if (how === 'reset') socket.resetAndDestroy()
        else socket.destroy()
    }
    const link: Link = {
      faults: own,
      gone: gone.signal,
      lines: own.isShared === true ? sharedLines : emptyLines(),
      flipped(direction, piece) {
        const due = Math.floor(bytes.down / (own.flipEvery ?? Number.POSITIVE_INFINITY))
        if (direction === 'up' || flips >= due) return piece
        flips++
        const at = random.below(piece.length)
        const copy = Buffer.from(piece)
        copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
        return copy
      },
      took: (direction, length) => void (taken[direction] += length),
      async admit(direction, length) {
        while (direction === heldDirection && bytes[direction] >= holdAt && !gone.signal.aborted) await Promise.race([unheld.promise, aborted(gone.signal)])
        if (gone.signal.aborted) return 0
        const passing = isCounted(direction) ? Math.min(length, left) : length
        if (isCounted(direction)) left -= passing
        bytes[direction] += passing
        return passing
      },
      cut(how) {
        if (gone.signal.aborted) return
        cuts++
        cutsLeft--
        end(how)
      },
      drop: () => end(own.reset === true ? 'reset' : 'close'),
    }
    const reset = (): void => {
      if (cutsLeft <= 0) return
      resets++
      link.cut('reset')
    }
    const resetting = own.resetWithinMs === undefined ? undefined : setTimeout(reset, random.below(own.resetWithinMs))
    pass(client, target, 'up', link)
    pass(target, client, 'down', link)
    let closed = 0
    for (const socket of [client, target]) socket.on('close', () => void (++closed === 2 && forget()))
    return link
  }

  const startCutting = (): void => {
    clearInterval(cutting)
    if (faults.cutEveryMs === undefined) return
    cutting = setInterval(() => {
      for (const link of open) if (cutsLeft > 0) link.cut(link.faults.reset === true ? 'reset' : 'close')
    }, faults.cutEveryMs)
  }

  const server = createServer((client) => {
    connections++
    open.add(connect(client))
  })
  await new Promise<void>((resolve) => server.listen(listenPort, '127.0.0.1', resolve))
  startCutting()
  const own = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${own}`,
    port: own,
    bytes,
    taken,
    get connections() {
      return connections
    },
    get cuts() {
      return cuts
    },
    get resets() {
      return resets
    },
    get flips() {
      return flips
    },
    setFaults(next, cutsMax = Number.POSITIVE_INFINITY) {
      faults = next
      cutsLeft = cutsMax
      sharedLines = emptyLines()
      startCutting()
    },
    holdAt(count, direction = 'up') {
      heldDirection = direction
      holdAt = count
      unheld.resolve()
      unheld = Promise.withResolvers()
    },
    cutAll() {
      for (const link of open) link.drop()
    },
    setTarget: (next) => void (port = next),
    async [Symbol.asyncDispose]() {
      clearInterval(cutting)
      for (const link of open) link.drop()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Forwards one direction: bytes are received at the rate and forwarded after the delay, with at most LINE_BYTES_MAX in flight. */
function pass(from: Socket, to: Socket, direction: Direction, link: Link): void {
  const { delayMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY } = link.faults
  const room = delayMs === 0 ? PIECE_BYTES : Math.min(LINE_BYTES_MAX, PIECE_BYTES + (delayMs / 1000) * bytesPerSecond)
  const line = link.lines[direction]
  const queue: { readonly piece: Buffer | 'end'; readonly dueMs: number }[] = []
  let own = 0
  let isCarrying = false

  const put = (piece: Buffer | 'end'): void => {
    const length = piece === 'end' ? 0 : piece.length
    line.freeMs = Math.max(performance.now(), line.freeMs) + (length / bytesPerSecond) * 1000
    queue.push({ piece, dueMs: line.freeMs + delayMs })
    line.held += length
    own += length
    // On a shared line each connection may hold one piece, so that none waits for the others forever.
    if (line.held >= room && own >= PIECE_BYTES) from.pause()
    if (!isCarrying) void carry()
  }
  const carry = async (): Promise<void> => {
    isCarrying = true
    for (let next = queue.shift(); next && !link.gone.aborted; next = queue.shift()) {
      const waitMs = next.dueMs - performance.now()
      if (waitMs > 0) await Bun.sleep(waitMs)
      if (next.piece === 'end') to.end()
      else await give(next.piece)
    }
    // Bytes of a connection that was cut are lost.
    if (link.gone.aborted) release(own)
    isCarrying = false
  }
  const release = (length: number): void => {
    line.held -= length
    own -= length
  }
  const give = async (piece: Buffer): Promise<void> => {
    const passing = await link.admit(direction, piece.length)
    if (passing > 0 && !to.destroyed && !to.write(link.flipped(direction, piece.subarray(0, passing)))) await drained(to)
    if (passing < piece.length) link.cut(link.faults.reset === true ? 'reset' : 'close')
    release(piece.length)
    if (line.held < room || own < PIECE_BYTES) from.resume()
  }

  from.on('data', (received: Buffer) => {
    link.took(direction, received.length)
    for (let at = 0; at < received.length; at += PIECE_BYTES) put(received.subarray(at, at + PIECE_BYTES))
  })
  from.on('end', () => put('end'))
  from.on('error', () => link.drop())
  from.on('close', () => put('end'))
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
