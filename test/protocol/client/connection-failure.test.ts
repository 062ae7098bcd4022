// Why a connection failed, in words: by the code of the error, and with real connections.

import { describe, expect, test } from 'bun:test'
import { connectionFailure } from '../../../protocol/client/connection-failure.ts'

const failed = (code: string, message = 'Unable to connect. Is the computer able to access the url?') => Object.assign(new Error(message), { code })

describe('the words for', () => {
  test.each([
    ['ECONNREFUSED', 'the connection was refused; nothing listens at this address'],
    ['ENOTFOUND', 'its host name is not known to DNS'],
    ['EAI_AGAIN', 'its host name could not be looked up; DNS does not answer'],
    ['ETIMEDOUT', 'it did not answer in time'],
    ['ECONNRESET', 'the connection was cut'],
    ['EPIPE', 'the connection was cut'],
    ['EHOSTUNREACH', 'there is no route to it'],
    ['ENETUNREACH', 'there is no route to it'],
    ['EPROTO', 'the TLS handshake failed; check that it speaks https at this port'],
    ['EMFILE', 'too many files and connections are open here'],
    ['EADDRNOTAVAIL', 'no local address or port is free for the connection'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is not accepted (DEPTH_ZERO_SELF_SIGNED_CERT)'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is not accepted (ERR_TLS_CERT_ALTNAME_INVALID)'],
    ['ENEW', 'the connection failed'],
  ])('%s', (code, words) => {
    expect(connectionFailure(failed(code))).toBe(words)
  })

  test('an error without a code that is known', () => {
    expect(connectionFailure(failed('ENEW', 'it failed'))).toBe('it failed')
    expect(connectionFailure(new Error('closed. For more information, pass `verbose: true` in the second argument to fetch()'))).toBe('the connection failed')
    expect(connectionFailure(new DOMException('The operation timed out.', 'TimeoutError'))).toBe('it did not answer in time')
    expect(connectionFailure('odd')).toBe('odd')
  })
})

describe('a real connection', () => {
  const failure = (url: string): Promise<string> =>
    fetch(url).then(
      () => 'none',
      (error: unknown) => connectionFailure(error),
    )

  test('that nobody accepts', async () => {
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    const { port } = server
    await server.stop(true)
    expect(await failure(`http://127.0.0.1:${port}/`)).toBe('the connection was refused; nothing listens at this address')
  })

  test('that speaks no TLS', async () => {
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    expect(await failure(`https://127.0.0.1:${server.port}/`)).toBe('the TLS handshake failed; check that it speaks https at this port')
  })

  test('that is cut', async () => {
    using server = Bun.listen({ port: 0, hostname: '127.0.0.1', socket: { data: (socket) => socket.terminate() } })
    expect(await failure(`http://127.0.0.1:${server.port}/`)).toBe('the connection was cut')
    server.stop(true)
  })
})
