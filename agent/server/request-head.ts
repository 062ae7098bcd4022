// From the head of a request to the parts of a Web Request: the rules of RFC 9112 that the parser leaves to its caller.

import type { IncomingMessage } from 'node:http'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'

/** Methods that the application may see. RFC 9110 §9.1: a server answers 501 to a method that it does not implement. */
export const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
/** Standard methods that no path takes, RFC 9110 §9.3.8 and HTTP QUERY: the answer is 405 with the methods of the path, and not 501 (§15.6.2). */
export const METHODS_OF_NO_PATH: ReadonlySet<string> = new Set(['TRACE', 'QUERY'])
/** Value of `Allow` for the server as a whole (RFC 9110 §9.3.7). */
export const ALLOW = [...METHODS].join(', ')

// RFC 9112 §3.2 with RFC 3986 §3.2.2: a host is an IP literal in brackets, or a name without delimiters; the port is digits.
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?$/i

export interface RequestHead {
  /** Absolute URL. */
  readonly url: string
  readonly method: string
  readonly headers: Headers
  /** Whether the message has a body; also one of zero bytes when it comes in chunks. */
  readonly hasBody: boolean
}

export interface HeadRules {
  readonly scheme: 'http' | 'https'
  /** Address and port that the client connected to: the host of a request that names none. */
  readonly localHost: string
  readonly targetBytesMax: number
}

/** The head of a message, or the refusal of one that breaks a rule. */
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
  // RFC 9112 §6.3: without chunked at the end nobody knows where the body ends.
  if (coding !== undefined && !/(?:^|,)\s*chunked\s*$/i.test(coding)) return problem('malformed-request', 'Transfer-Encoding does not end with chunked.')
  // RFC 9112 §6.1: a coding that is not understood gets 501.
  if (coding !== undefined && !/^\s*chunked\s*$/i.test(coding)) return problem('not-implemented', `The transfer coding ${coding} is not implemented.`)
  const hasBody = coding !== undefined || Number(message.headers['content-length'] ?? 0) > 0
  return { url, method, headers: readHeaders(message), hasBody }
}

/** RFC 9112 §3.2: exactly one Host with a valid value in HTTP/1.1. HTTP/1.0 knows none; an empty one names nothing. */
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

/** RFC 9112 §3.2.1 and §3.2.2: the origin form, or the absolute form, whose host counts in place of the Host header. */
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
    // RFC 9110 §8.6: a length that is sent twice is one length; the parser refuses two that differ.
    if (name.toLowerCase() === 'content-length') headers.set(name, message.headers['content-length'] ?? '')
    else headers.append(name, rawHeaders[i + 1] ?? '')
  }
  return headers
}
