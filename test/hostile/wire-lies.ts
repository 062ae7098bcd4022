// Answers that break HTTP or abuse it: they never end, they trickle, they expand. The content that they would carry does not matter.

import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'

const KIB = 1024
const MIB = 1024 * KIB
/** Pause between two pieces of an answer that trickles, in milliseconds. */
const TRICKLE_MS = 500

/** Pause between the pieces of an answer without end, in milliseconds: on loopback they would keep a core busy, which no line does. */
const PIECE_PAUSE_MS = process.env['SLIPWAY_HOSTILE_FULL'] === '1' ? 20 : 2

/** Sends a piece again and again, as fast as it is taken, or with pauses. */
export function sendForever(socket: Socket, piece: Uint8Array, pauseMs = 0): void {
  const more = (): void => {
    if (socket.destroyed) return
    if (!socket.write(piece)) socket.once('drain', more)
    else if (pauseMs > 0) setTimeout(more, pauseMs)
    else setImmediate(more)
  }
  more()
}

/** Sends the begin of an answer, then a piece without end. */
const endless =
  (begin: string, piece: string | Uint8Array, pauseMs = 0) =>
  (socket: Socket): void => {
    if (begin !== '') socket.write(begin)
    sendForever(socket, Buffer.from(piece), Math.max(pauseMs, PIECE_PAUSE_MS))
  }

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n'
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`
/** 64 MiB of zeros in 65 KB. */
const BOMB = gzipSync(new Uint8Array(64 * MIB))

/** Every such answer by its name. */
export const WIRE_LIES = {
  'head without end': endless(OK, `X: ${'y'.repeat(16 * KIB)}\r\n`),
  'field without end': endless(`${OK}X: `, 'y'.repeat(64 * KIB)),
  // RFC 9110 §15.2: any number of interim answers may come before the final one.
  'interim answers without end': endless('', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(1000)),
  'body without end': endless(`${OK}\r\n`, ' '.repeat(256 * KIB)),
  'body longer than any disk': endless(`${OK}Content-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`, new Uint8Array(256 * KIB).fill(7)),
  'chunk extension without end': endless(`${CHUNKED}1;`, 'x'.repeat(64 * KIB)),
  'chunks of one byte': endless(CHUNKED, '1\r\n \r\n'.repeat(4 * KIB)),
  'trailers without end': endless(`${CHUNKED}0\r\n`, `X: ${'y'.repeat(16 * KIB)}\r\n`),
  'body that trickles': endless(`${OK}Content-Length: 1000000\r\n\r\n`, 'x', TRICKLE_MS),
  'head that trickles': endless('', 'H', TRICKLE_MS),
  silence: () => {},
  // The request asks for no encoding (RFC 9110 §12.5.3).
  'encoding that expands': endless(`${OK}Content-Encoding: gzip\r\n\r\n`, BOMB),
  'redirect in a circle': (socket: Socket) => void socket.end('HTTP/1.1 307 Again\r\nLocation: /v1/store\r\nContent-Length: 0\r\n\r\n'),
} as const satisfies Record<string, (socket: Socket) => void>

export type WireLie = keyof typeof WIRE_LIES
export const WIRE_LIE_NAMES = Object.keys(WIRE_LIES) as WireLie[]
