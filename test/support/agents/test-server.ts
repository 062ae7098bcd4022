// The HTTP server of an agent with an application of the test, and raw connections to it.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Application } from '../../../agent/server/exchange.ts'
import type { ServerLimits } from '../../../agent/server/limits.ts'
import { openServer } from '../../../agent/server/server.ts'
import type { HttpServer } from '../../../agent/server/server.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { readSendQueues } from '../../../agent/system/send-queues.ts'
import { createMemoryLog } from '../memory/memory-log.ts'

/** Opens a server on a port of its own. */
export function openTestServer(application: Application, limits: Partial<ServerLimits> = {}, host = '127.0.0.1'): Promise<HttpServer> {
  return openServer({ host, port: 0, application, limits, clock: systemClock, log: createMemoryLog(), sendQueues: readSendQueues })
}

/** One connection that sends and receives raw bytes. */
export class RawConnection {
  readonly socket: Socket
  /** Everything received, as Latin-1. */
  text = ''
  /** How the server ended the connection; undefined while it is open. */
  ending: 'FIN' | 'RST' | undefined
  #wake: () => void = () => {}

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ host, port, allowHalfOpen: true })
    this.socket.on('data', (piece: Buffer) => {
      this.text += piece.toString('latin1')
      this.#wake()
    })
    const end = (how: 'FIN' | 'RST'): void => {
      this.ending ??= how
      this.#wake()
    }
    this.socket.on('end', () => end('FIN'))
    this.socket.on('error', () => end('RST'))
    this.socket.on('close', () => end('FIN'))
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Waits for bytes; also resolves at the end of the connection. */
  async until(isReached: () => boolean): Promise<void> {
    while (!isReached() && this.ending === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  /** Waits until the server ends the connection, and returns how. */
  async untilEnded(): Promise<'FIN' | 'RST' | undefined> {
    await this.until(() => false)
    return this.ending
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}
