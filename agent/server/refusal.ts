// Refusals that the server sends instead of calling the application: as a Response when the request could be parsed, otherwise as raw bytes.

import { STATUS_CODES } from 'node:http'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { ServerLimits } from './limits.ts'
import { ALLOW, METHODS } from './request-head.ts'

/** Returns a problem as a Response that closes its connection. The tus header is on every answer, as tus 1.0.0 requires. */
export function refusalResponse({ problem: document, headers }: ProblemError): Response {
  return Response.json(document, {
    status: document.status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'tus-resumable': '1.0.0', connection: 'close', ...headers },
  })
}

type RefusalLimits = Pick<ServerLimits, 'headBytesMax' | 'headMsMax' | 'targetBytesMax'>

/** What the parser reports about a request that it refused. */
export interface ParseFailure {
  readonly code: string
  /** Bytes of the packet in which the parser stopped, from its first byte on. */
  readonly packet: Uint8Array | undefined
}

/** Whether the client disconnected in the middle of a request. */
export function isLoss({ code }: Pick<ParseFailure, 'code'>): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'HPE_INVALID_EOF_STATE'
}

/** Returns the bytes to send before the connection is closed. */
export function rawRefusal({ code, packet }: ParseFailure, limits: RefusalLimits): string {
  const line = requestLine(packet)
  // RFC 9110 §9.3.7: the server as a whole, which the parser does not take for a target.
  if (/^OPTIONS \* HTTP\/1\.[01]\r$/m.test(line)) return `HTTP/1.1 204 No Content\r\nallow: ${ALLOW}\r\nconnection: close\r\n\r\n`
  return rawAnswer(refusalOf(code, line, limits))
}

function refusalOf(code: string, line: string, limits: RefusalLimits): ProblemError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem('request-timeout', `The head of the request was not complete within ${limits.headMsMax / 1000} s.`, {
        action: 'Send the whole head of the request at once.',
      })
    case 'HPE_HEADER_OVERFLOW':
      return line.length <= limits.targetBytesMax
        ? problem('headers-too-large', `The headers of the request are longer than ${limits.headBytesMax} bytes.`)
        : problem('target-too-long', `The request target is longer than ${limits.targetBytesMax} bytes.`)
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return problem('payload-too-large', 'The extensions of a chunk are too long.', { action: 'Send chunks without extensions.' })
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      return / HTTP\/[2-9](?:\.\d)?\r$/.test(line) ? problem('http-version-not-supported', 'The request is not HTTP/1.0 or HTTP/1.1.') : malformed()
    case 'HPE_INVALID_METHOD': {
      const method = /^([!#$%&'*+.^_`|~\w-]+) \S+ HTTP\/1\.[01]\r$/.exec(line)?.[1]
      if (method !== undefined && !METHODS.has(method)) {
        return problem('not-implemented', `The method ${method.slice(0, 32)} is not implemented.`, {}, { headers: { Allow: ALLOW } })
      }
      return malformed()
    }
    default:
      return malformed()
  }
}

function malformed(): ProblemError {
  return problem('malformed-request', 'The request is not valid HTTP/1.1: its request line, a header or the framing of its body violates RFC 9112.')
}

/**
 * Returns the request line in which the parser probably stopped, as Latin-1 with its final CR: that of the last message in the packet, since the
 * earlier ones were parsed. Used only to choose the problem.
 */
function requestLine(packet: Uint8Array | undefined): string {
  if (!packet) return ''
  const messages = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength).toString('latin1').split('\r\n\r\n')
  const text = messages.findLast((message) => message.trim() !== '')?.replace(/^(?:\r\n)+/, '') ?? ''
  const end = text.indexOf('\n')
  return end === -1 ? `${text}\r` : text.slice(0, end)
}

function rawAnswer({ problem: document, headers }: ProblemError): string {
  const body = JSON.stringify(document)
  const lines = Object.entries({
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    'tus-resumable': '1.0.0',
    connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${document.status} ${STATUS_CODES[document.status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
