// Why a connection failed, in words for an operator. The runtime's own messages speak to programmers.

import { errorCode } from '../errors.ts'

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^ECONNREFUSED$/, 'the connection was refused; nothing listens at this address'],
  [/^ENOTFOUND$|^EAI_NODATA$|^EAI_NONAME$|^DNS_ENOTFOUND$/, 'its host name is not known to DNS'],
  [/^EAI_|^DNS_/, 'its host name could not be looked up; DNS does not answer'],
  [/^ETIMEDOUT$|^ESOCKETTIMEDOUT$|^ERR_SOCKET_CONNECTION_TIMEOUT$/, 'it did not answer in time'],
  [/^ECONNRESET$|^ECONNABORTED$|^EPIPE$/, 'the connection was cut'],
  [/^EHOSTUNREACH$|^ENETUNREACH$|^EHOSTDOWN$|^ENETDOWN$/, 'there is no route to it'],
  [/^EPROTO$|^ERR_SSL/, 'the TLS handshake failed; check that it speaks https at this port'],
  [/^EMFILE$|^ENFILE$/, 'too many files and connections are open here'],
  [/^EADDRNOTAVAIL$/, 'no local address or port is free for the connection'],
]
/** Messages of the runtime that advise programmers. */
const FOR_PROGRAMMERS = /Unable to connect|verbose: true/

/** Returns why a connection failed or broke. The text comes from this machine and never from the peer. */
export function connectionFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = errorCode(error) ?? ''
  if (/CERT|ALTNAME|SELF_SIGNED|UNABLE_TO/.test(code)) return `its certificate is not accepted (${code})`
  const words = WORDS.find(([codes]) => codes.test(code))?.[1]
  if (words !== undefined) return words
  if (error.name === 'TimeoutError') return 'it did not answer in time'
  return FOR_PROGRAMMERS.test(error.message) ? 'the connection failed' : error.message
}
