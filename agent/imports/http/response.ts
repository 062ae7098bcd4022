// Reads an answer of a web server from its connection: the head, and the body by its framing (RFC 9112 §4 to §7).

import { SourceInterrupted } from '../source.ts'
import type { SocketBytes } from './socket-bytes.ts'

/** Longest head of an answer, longest line of a chunk, and longest trailer, in bytes. */
export const HEAD_BYTES_MAX = 32 * 1024
const LINE_BYTES_MAX = 1024
/** Most interim answers (1xx) before the answer. */
const INTERIM_MAX = 8

export interface HttpResponse {
  readonly status: number
  /** Values by lower-case name; those of a repeated header are joined with a comma. */
  readonly headers: ReadonlyMap<string, string>
  /** Length of the body in bytes; null when its end is told otherwise. */
  readonly length: number | null
  /** Whether the end of the body is told at all. Otherwise a lost connection looks like the end. */
  readonly isFramed: boolean
  /** Whether the server keeps the connection open after the body. */
  readonly keepsConnection: boolean
  /** Yields the body once. Throws SourceInterrupted when the connection ends before the body does. */
  readonly body: AsyncIterable<Uint8Array>
}

/** Reads one answer. Throws SourceInterrupted when the connection ends before its head does, or when it is not valid HTTP. */
export async function readResponse(bytes: SocketBytes): Promise<HttpResponse> {
  for (let count = 0; count <= INTERIM_MAX; count++) {
    const head = parseHead(await readUntil(bytes, '\r\n\r\n', HEAD_BYTES_MAX))
    // RFC 9110 §15.2: an interim answer is followed by another one. 101 is never asked for.
    if (head.status >= 200) return framed(bytes, head)
  }
  throw invalid()
}

interface Head {
  readonly version: string
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n')
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/.exec(first)
  if (!match) throw invalid()
  const headers = new Map<string, string>()
  for (const line of lines) {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
    if (!field) throw invalid()
    const [, name = '', value = ''] = field
    const before = headers.get(name.toLowerCase())
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`)
  }
  return { version: match[1] ?? '0', status: Number(match[2]), headers }
}

/** Decides how the body ends (RFC 9112 §6.3). */
function framed(bytes: SocketBytes, { version, status, headers }: Head): HttpResponse {
  const coding = headers.get('transfer-encoding')
  const connection = (headers.get('connection') ?? '').toLowerCase()
  const staysOpen = version === '1' ? !connection.includes('close') : connection.includes('keep-alive')
  const answer = { status, headers }
  if (status === 204 || status === 304) return { ...answer, length: 0, isFramed: true, keepsConnection: staysOpen, body: fixedBody(bytes, 0) }
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked' || headers.has('content-length')) throw invalid()
    return { ...answer, length: null, isFramed: true, keepsConnection: staysOpen, body: chunkedBody(bytes) }
  }
  const length = headers.get('content-length')
  if (length === undefined) return { ...answer, length: null, isFramed: false, keepsConnection: false, body: endlessBody(bytes) }
  if (!/^\d{1,15}$/.test(length)) throw invalid()
  return { ...answer, length: Number(length), isFramed: true, keepsConnection: staysOpen, body: fixedBody(bytes, Number(length)) }
}

async function* fixedBody(bytes: SocketBytes, length: number): AsyncGenerator<Uint8Array> {
  let left = length
  while (left > 0) {
    const piece = await readPiece(bytes)
    if (piece.byteLength > left) bytes.unread(piece.subarray(left))
    const own = piece.byteLength > left ? piece.subarray(0, left) : piece
    left -= own.byteLength
    yield own
  }
}

async function* chunkedBody(bytes: SocketBytes): AsyncGenerator<Uint8Array> {
  for (;;) {
    const line = await readUntil(bytes, '\r\n', LINE_BYTES_MAX)
    const size = /^([0-9a-f]{1,12})(?:[ \t]*;.*)?$/i.exec(line)?.[1]
    if (size === undefined) throw invalid()
    const length = Number.parseInt(size, 16)
    if (length === 0) break
    yield* fixedBody(bytes, length)
    if ((await readUntil(bytes, '\r\n', 2)) !== '') throw invalid()
  }
  // Trailers are not used, but belong to the body.
  for (let room = HEAD_BYTES_MAX; ;) {
    const line = await readUntil(bytes, '\r\n', room)
    if (line === '') return
    room -= line.length
  }
}

async function* endlessBody(bytes: SocketBytes): AsyncGenerator<Uint8Array> {
  for (;;) {
    const piece = await readNext(bytes)
    if (!piece) return
    yield piece
  }
}

/** Returns the text before a mark, and consumes the mark. Throws SourceInterrupted when it is longer than `lengthMax` bytes. */
async function readUntil(bytes: SocketBytes, mark: string, lengthMax: number): Promise<string> {
  let text = Buffer.alloc(0)
  for (;;) {
    // The mark may begin in the bytes before.
    const from = Math.max(0, text.byteLength - mark.length)
    text = Buffer.concat([text, await readPiece(bytes)])
    const at = text.indexOf(mark, from, 'latin1')
    if (at > lengthMax || (at < 0 && text.byteLength > lengthMax + mark.length)) throw invalid()
    if (at < 0) continue
    bytes.unread(text.subarray(at + mark.length))
    return text.toString('latin1', 0, at)
  }
}

async function readPiece(bytes: SocketBytes): Promise<Uint8Array> {
  const piece = await readNext(bytes)
  if (piece) return piece
  throw new SourceInterrupted('it closed the connection too early')
}

async function readNext(bytes: SocketBytes): Promise<Uint8Array | undefined> {
  try {
    return await bytes.read()
  } catch (error) {
    throw new SourceInterrupted('the connection was lost', { cause: error })
  }
}

function invalid(): SourceInterrupted {
  return new SourceInterrupted('its answer is not valid HTTP/1.1')
}
