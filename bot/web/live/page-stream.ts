// One stream of server-sent events to one open page. It holds at most one piece that the browser has not read, and its end; whatever changes meanwhile is read from its room
// when the browser is ready, so a slow browser costs nothing that grows.

import type { Clock } from '../../system/clock.ts'

/** Time without a piece after which a comment is sent, in milliseconds: shorter than what proxies allow. */
export const HEARTBEAT_MS = 15_000
/** Time after which a stream ends when its browser reads nothing, in milliseconds. */
export const UNREAD_MS_MAX = 60_000

export interface PageStream {
  readonly body: ReadableStream<Uint8Array>
  /** Whether the browser has read everything that was sent. */
  readonly isReady: () => boolean
  readonly isOpen: () => boolean
  /** Sends an event; only when the stream is ready. */
  send(event: string, value: unknown): void
  /** Sends a comment when there was nothing else for long, and ends the stream when the browser reads nothing. */
  keepAlive(): void
  /** Says why, and ends the stream. */
  end(reason: LiveEnd): void
}

/** Why a stream ended, and what the person can do. */
export interface LiveEnd {
  readonly text: string
  /** Whether the browser should connect again. */
  readonly isFinal: boolean
}

/** Creates a stream; `onClose` is called once, when it has ended for whatever reason. */
export function createPageStream(clock: Pick<Clock, 'monotonicMs'>, onClose: () => void): PageStream {
  const encoder = new TextEncoder()
  let output: ReadableStreamDefaultController<Uint8Array> | undefined
  let isOpen = true
  let sentMs = clock.monotonicMs()
  let isRead = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    onClose()
  }
  const write = (text: string): void => {
    isRead = false
    sentMs = clock.monotonicMs()
    output?.enqueue(encoder.encode(text))
  }
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        output = controller
        // Tells the browser, and proxies on the way, that the stream stands.
        write(': live\n\n')
      },
      pull() {
        isRead = true
      },
      cancel: close,
    },
    { highWaterMark: 1 },
  )
  return {
    body,
    isReady: () => isOpen && isRead,
    isOpen: () => isOpen,
    send: (event, value) => write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`),
    keepAlive() {
      const silentMs = clock.monotonicMs() - sentMs
      if (isRead && silentMs >= HEARTBEAT_MS) write(': \n\n')
      if (isRead || silentMs < UNREAD_MS_MAX || !isOpen) return
      close()
      output?.error(new Error(`the browser read nothing for ${UNREAD_MS_MAX / 1000} s`))
    },
    end(reason) {
      if (!isOpen) return
      // At most one piece more than what the browser has not read.
      write(`event: end\ndata: ${JSON.stringify(reason)}\n\n`)
      close()
      output?.close()
    },
  }
}
