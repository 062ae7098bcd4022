// The open connections and the requests in progress on each. The requests of one connection are answered in order, and no address holds more
// connections than the limits allow.

import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import type { Log } from '../contract/runtime.ts'
import type { Exchange } from './exchange.ts'
import type { ServerLimits } from './limits.ts'

/** Bytes that the kernel holds for each peer until the peer acknowledges them. */
export interface SendQueues {
  /** Returns the bytes held for a peer; undefined when the kernel does not list the peer. */
  of(address: string, port: number): number | undefined
}

interface Conversation {
  readonly address: string
  /** Requests without a complete answer. The first one is being answered. */
  readonly exchanges: Exchange[]
  /** Called when the last of these requests is answered. */
  whenAnswered: (() => void) | undefined
  /** Set when an answer has ended the connection: no request after it is processed (RFC 9112 §9.6). */
  isOver: boolean
}

export class Conversations {
  readonly #limits: ServerLimits
  readonly #log: Log
  readonly #open = new Map<Socket, Conversation>()
  /** Number of connections by remote address, without those from loopback. */
  readonly #byAddress = new Map<string, number>()

  constructor(limits: ServerLimits, log: Log) {
    this.#limits = limits
    this.#log = log
  }

  /** Number of requests whose answers are not sent yet. */
  get pending(): number {
    let count = 0
    for (const { exchanges } of this.#open.values()) count += exchanges.length
    return count
  }

  /** Registers a new connection, or closes it without an answer when a limit is reached. */
  open(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const isCounted = !isLoopback(address)
    const ofAddress = this.#byAddress.get(address) ?? 0
    const { connectionsMax, connectionsPerAddressMax } = this.#limits
    if (this.#open.size >= connectionsMax || (isCounted && ofAddress >= connectionsPerAddressMax)) {
      this.#log.debug('refused a connection', { remote: address, open: this.#open.size, ofAddress })
      socket.destroy()
      return
    }
    this.#open.set(socket, { address, exchanges: [], whenAnswered: undefined, isOver: false })
    if (isCounted) this.#byAddress.set(address, ofAddress + 1)
    socket.once('close', () => {
      this.#open.delete(socket)
      if (!isCounted) return
      const left = (this.#byAddress.get(address) ?? 1) - 1
      if (left === 0) this.#byAddress.delete(address)
      else this.#byAddress.set(address, left)
    })
  }

  /** Whether another request may be queued on this connection. Closes a connection that has too many queued requests. */
  admits(socket: Socket): boolean {
    const conversation = this.#open.get(socket)
    if (!socket.destroyed && conversation && conversation.exchanges.length < this.#limits.pipelinedMax) return true
    socket.destroy()
    return false
  }

  /** Answers a request once the earlier requests of its connection are answered (RFC 9112 §9.3.2). */
  add(socket: Socket, exchange: Exchange): void {
    const conversation = this.#open.get(socket)
    if (!conversation) return
    conversation.exchanges.push(exchange)
    if (conversation.exchanges.length === 1) void this.#answerAll(socket, conversation)
  }

  /** Fails the request whose body the parser cannot read. Returns false when there is no request that can still be answered. */
  failBody(socket: Socket): boolean {
    const { exchanges = [] } = this.#open.get(socket) ?? {}
    const last = exchanges.at(-1)
    return last !== undefined && !last.isReceived && last.failBody()
  }

  /** Calls `run` now, or after the answers in progress on the connection. Does not call it after an answer that ends the connection. */
  afterAnswers(socket: Socket, run: () => void): void {
    const conversation = this.#open.get(socket)
    if (conversation && conversation.exchanges.length > 0) conversation.whenAnswered = run
    else if (!conversation?.isOver) run()
  }

  /** Whether any answer waits for its client to read. */
  get hasBlockedAnswers(): boolean {
    for (const { exchanges } of this.#open.values()) if (exchanges[0]?.isAnswerBlocked) return true
    return false
  }

  /** Passes the kernel's send queues to the answers that wait for their clients. */
  observeQueues(queues: SendQueues): void {
    for (const [socket, { address, exchanges }] of this.#open) {
      const [exchange] = exchanges
      if (!exchange?.isAnswerBlocked) continue
      const bytes = queues.of(address, socket.remotePort ?? 0)
      if (bytes !== undefined) exchange.observeQueue(bytes)
    }
  }

  /** Checks the rate of every peer that the server waits for. */
  checkRates(nowMs: number): void {
    for (const { exchanges } of this.#open.values()) exchanges[0]?.checkRate(nowMs)
  }

  async #answerAll(socket: Socket, conversation: Conversation): Promise<void> {
    const { exchanges } = conversation
    for (let next = exchanges[0]; next; next = exchanges[0]) {
      if (!socket.destroyed) await next.run()
      exchanges.shift()
      if (!next.isLast) continue
      conversation.isOver = true
      exchanges.length = 0
      return
    }
    conversation.whenAnswered?.()
  }
}

/** Whether an address is a loopback address (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3). */
function isLoopback(address: string): boolean {
  const v4 = address.startsWith('::ffff:') ? address.slice(7) : address
  return address === '::1' || (isIP(v4) === 4 && v4.startsWith('127.'))
}
