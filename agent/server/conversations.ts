// The open connections and what is being asked and answered on each: requests of one connection are answered one after the other, and
// nobody holds more connections than the limits allow.

import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import type { Log } from '../contract/runtime.ts'
import type { Exchange } from './exchange.ts'
import type { ServerLimits } from './limits.ts'

/** Bytes that the kernel holds for peers which did not acknowledge them. */
export interface SendQueues {
  /** Undefined for a peer that is not known. */
  of(address: string, port: number): number | undefined
}

interface Conversation {
  readonly address: string
  /** Requests that are not answered yet, the one being answered first. */
  readonly exchanges: Exchange[]
  /** Called when the last of them was answered. */
  whenAnswered: (() => void) | undefined
  /** The last answer ends the connection: nothing after it is processed (RFC 9112 §9.6). */
  isOver: boolean
}

export class Conversations {
  readonly #limits: ServerLimits
  readonly #log: Log
  readonly #open = new Map<Socket, Conversation>()
  /** Connections by remote address; those of loopback are not counted. */
  readonly #byAddress = new Map<string, number>()

  constructor(limits: ServerLimits, log: Log) {
    this.#limits = limits
    this.#log = log
  }

  /** Requests whose answers are not sent yet. */
  get pending(): number {
    let count = 0
    for (const { exchanges } of this.#open.values()) count += exchanges.length
    return count
  }

  /** Takes a new connection, or closes it when there are too many: a client that has none yet learns nothing from an answer. */
  open(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const isCounted = !isLoopback(address)
    const ofAddress = this.#byAddress.get(address) ?? 0
    const { connectionsMax, connectionsPerAddressMax } = this.#limits
    if (this.#open.size >= connectionsMax || (isCounted && ofAddress >= connectionsPerAddressMax)) {
      this.#log.debug('a connection was refused', { remote: address, open: this.#open.size, ofAddress })
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

  /** Whether a request that arrived on this connection may wait for its answer. A connection with too many of them is closed. */
  admits(socket: Socket): boolean {
    const conversation = this.#open.get(socket)
    if (!socket.destroyed && conversation && conversation.exchanges.length < this.#limits.pipelinedMax) return true
    socket.destroy()
    return false
  }

  /** Answers a request once those before it on its connection are answered (RFC 9112 §9.3.2). */
  add(socket: Socket, exchange: Exchange): void {
    const conversation = this.#open.get(socket)
    if (!conversation) return
    conversation.exchanges.push(exchange)
    if (conversation.exchanges.length === 1) void this.#answerAll(socket, conversation)
  }

  /** Tells the request whose body the parser cannot read. Gives false when there is none that will answer. */
  failBody(socket: Socket): boolean {
    const { exchanges = [] } = this.#open.get(socket) ?? {}
    const last = exchanges.at(-1)
    return last !== undefined && !last.isReceived && last.failBody()
  }

  /** Runs when nothing on the connection is being answered: now, or after the answer that is. Not after one that ends the connection. */
  afterAnswers(socket: Socket, run: () => void): void {
    const conversation = this.#open.get(socket)
    if (conversation && conversation.exchanges.length > 0) conversation.whenAnswered = run
    else if (!conversation?.isOver) run()
  }

  /** Whether any client is waited for to read. */
  get hasBlockedAnswers(): boolean {
    for (const { exchanges } of this.#open.values()) if (exchanges[0]?.isAnswerBlocked) return true
    return false
  }

  /** Takes note of what the kernel holds for the clients that are waited for; see SendQueues. */
  observeQueues(queues: SendQueues): void {
    for (const [socket, { address, exchanges }] of this.#open) {
      const [exchange] = exchanges
      if (!exchange?.isAnswerBlocked) continue
      const bytes = queues.of(address, socket.remotePort ?? 0)
      if (bytes !== undefined) exchange.observeQueue(bytes)
    }
  }

  /** Judges everyone who is waited for. */
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

/** RFC 1122 §3.2.1.3 and RFC 4291 §2.5.3. */
function isLoopback(address: string): boolean {
  const v4 = address.startsWith('::ffff:') ? address.slice(7) : address
  return address === '::1' || (isIP(v4) === 4 && v4.startsWith('127.'))
}
