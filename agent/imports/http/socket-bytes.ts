// The bytes of a socket, piece by piece, with back-pressure: the socket is paused while nobody asks for a piece.

import type { Socket } from 'node:net'

/** Pieces that may wait before the socket is paused, in bytes. */
const WAITING_BYTES_MAX = 256 * 1024

export interface SocketBytes {
  /** Whether the other side closed the connection, or it failed. */
  readonly isEnded: boolean
  /** Returns the next piece; undefined at the end of the connection. Throws the error of the socket. */
  read(): Promise<Uint8Array | undefined>
  /** Puts a piece back, to be read next. */
  unread(piece: Uint8Array): void
  destroy(): void
}

/** Takes over a connected socket. */
export function createSocketBytes(socket: Socket): SocketBytes {
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let isEnded = false
  let failure: Error | undefined
  let wake = (): void => {}

  const end = (error?: Error): void => {
    isEnded = true
    failure ??= error
    wake()
  }
  socket.on('data', (piece: Uint8Array) => {
    waiting.push(piece)
    waitingBytes += piece.byteLength
    if (waitingBytes >= WAITING_BYTES_MAX) socket.pause()
    wake()
  })
  socket.on('end', () => end())
  socket.on('close', () => end())
  socket.on('error', (error) => end(error))

  return {
    get isEnded() {
      return isEnded
    },
    async read() {
      while (waiting.length === 0 && !isEnded) await new Promise<void>((resolve) => (wake = resolve))
      const piece = waiting.shift()
      if (piece) {
        waitingBytes -= piece.byteLength
        if (waitingBytes < WAITING_BYTES_MAX && socket.isPaused()) socket.resume()
        return piece
      }
      if (failure) throw failure
      return undefined
    },
    unread(piece) {
      if (piece.byteLength === 0) return
      waiting.unshift(piece)
      waitingBytes += piece.byteLength
    },
    destroy() {
      socket.destroy()
      waiting.length = 0
      end()
    },
  }
}
