// Converts the head of a message to the parts of a Web Request, and applies the rules of RFC 9112 that the parser leaves to its caller.

import type { IncomingMessage } from 'node:http'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'

/** Methods that reach the application. RFC 9110 §9.1: a server answers 501 to a method that it does not implement. */
export const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
/** Standard methods that no path supports, RFC 9110 §9.3.8 and HTTP QUERY: the answer is 405 with the methods of the path, not 501 (§15.6.2). */
export const METHODS_OF_NO_PATH: ReadonlySet<string> = new Set(['TRACE', 'QUERY'])
/** Value of `Allow` for requests to the server itself (RFC 9110 §9.3.7). */
export const ALLOW = [...METHODS].join(', ')

// RFC 9112 §3.2 with RFC 3986 §3.2.2: a host is an IP literal in brackets, or a name without delimiters; the port is digits.
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?$/i

export interface RequestHead {
  /** Absolute URL. */
  readonly url: string
  readonly method: string
  readonly headers: Headers
  /** Whether the message has a body. A chunked body counts even if it is empty. */
  readonly hasBody: boolean
}

export interface HeadRules {
  readonly scheme: 'http' | 'https'
  /** Address and port that the client connected to: the host of a request without a Host header. */
  readonly localHost: string
  readonly targetBytesMax: number
}

/** Returns the head of a message, or the problem when it violates a rule. */
export function readHead(message: IncomingMessage, rules: HeadRules): RequestHead | ProblemError {
  const { method = '', url: target = '' } = message
  if (!METHODS.has(method) && !METHODS_OF_NO_PATH.has(method))
    return problem('not-implemented', `The method ${method} is not implemented.`, {}, { headers: { Allow: ALLOW } })
  if (target.length > rules.targetBytesMax) return problem('target-too-long', `The request target is longer than ${rules.targetBytesMax} bytes.`)
  const host = readHost(message)
  if (typeof host !== 'string') return host
  const url = readTarget(target, host === '' ? rules.localHost : host, rules.scheme)
  if (typeof url !== 'string') return url
  const coding = message.headers['transfer-encoding']
  // RFC 9112 §6.3: unless chunked is the last coding, the end of the body cannot be determined.
  if (coding !== undefined && !/(?:^|,)\s*chunked\s*$/i.test(coding)) return problem('malformed-request', 'Transfer-Encoding does not end with chunked.')
  // RFC 9112 §6.1: a coding that is not understood gets 501.
  if (coding !== undefined && !/^\s*chunked\s*$/i.test(coding)) return problem('not-implemented', `The transfer coding ${coding} is not implemented.`)
  const hasBody = coding !== undefined || Number(message.headers['content-length'] ?? 0) > 0
  return { url, method, headers: readHeaders(message), hasBody }
}

/** Returns the host; empty when the header is empty or, in HTTP/1.0, missing. RFC 9112 §3.2: HTTP/1.1 requires exactly one valid Host header. */
function readHost(message: IncomingMessage): string | ProblemError {
  const hosts: string[] = []
  const { rawHeaders } = message
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === 'host') hosts.push(rawHeaders[i + 1] ?? '')
  if (hosts.length > 1) return problem('malformed-request', `The request has ${hosts.length} Host headers.`)
  const host = hosts[0]?.trim()
  if (host === undefined && message.httpVersion !== '1.0') return problem('malformed-request', 'The request has no Host header.')
  if (host === undefined || host === '') return ''
  return HOST.test(host) ? host : problem('malformed-request', 'The Host header is not a host with an optional port.')
}

/** Returns the absolute URL of a target in origin form or absolute form, whose host replaces that of the Host header (RFC 9112 §3.2.1, §3.2.2). */
function readTarget(target: string, host: string, scheme: string): string | ProblemError {
  const isOrigin = target.startsWith('/')
  const text = isOrigin ? `${scheme}://${host}${target}` : target
  // RFC 9112 §3.2: a target has no fragment.
  if (target.includes('#') || !(isOrigin || /^https?:\/\//i.test(target)) || !URL.canParse(text)) {
    return problem('malformed-request', 'The request target is neither a path nor an absolute http or https URL.')
  }
  return text
}

function readHeaders(message: IncomingMessage): Headers {
  const headers = new Headers()
  const { rawHeaders } = message
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    // RFC 9110 §8.6: a repeated length counts once; the parser refuses lengths that differ.
    if (name.toLowerCase() === 'content-length') headers.set(name, message.headers['content-length'] ?? '')
    else headers.append(name, rawHeaders[i + 1] ?? '')
  }
  return headers
}
