// Addresses that clients pass on: behind a proxy, in the data network, and with fields that nobody may trust.

import { describe, expect, test } from 'bun:test'
import { contentOrigin, publicOrigin } from '../../../agent/http/public-origin.ts'
import { readSessionCookie, sessionCookieName, writeSessionCookie } from '../../../agent/http/page/session-cookie.ts'

const at = (headers: Record<string, string>): Request => new Request('http://node:8420/v1/images?a=b', { headers })

describe('the origin that a client used', () => {
  test.each<[headers: Record<string, string>, origin: string]>([
    [{}, 'http://node:8420'],
    [{ 'x-forwarded-proto': 'https' }, 'https://node:8420'],
    [{ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'store.example' }, 'https://store.example'],
    [{ 'x-forwarded-host': 'store.example' }, 'http://store.example'],
    [{ 'x-forwarded-host': 'store.example:8443' }, 'http://store.example:8443'],
    [{ 'x-forwarded-host': 'outer.example, inner.example' }, 'http://outer.example'],
    [{ 'x-forwarded-proto': ' https , http', 'x-forwarded-host': '[2001:db8::1]:8443' }, 'https://[2001:db8::1]:8443'],
    [{ 'x-forwarded-host': '[2001:db8::1]' }, 'http://[2001:db8::1]'],
    // What is no scheme or no host is ignored.
    [{ 'x-forwarded-proto': 'javascript' }, 'http://node:8420'],
    [{ 'x-forwarded-host': 'store.example/path' }, 'http://node:8420'],
    [{ 'x-forwarded-host': 'user@store.example' }, 'http://node:8420'],
    [{ 'x-forwarded-host': 'store.example:123456' }, 'http://node:8420'],
    [{ 'x-forwarded-host': '' }, 'http://node:8420'],
  ])('with %j is %s', (headers, origin) => {
    expect(publicOrigin(at(headers))).toBe(origin)
  })
})

describe('the origin of content', () => {
  test.each<[headers: Record<string, string>, dataUrls: string[], origin: string]>([
    [{}, [], 'http://node:8420'],
    [{}, ['http://data:8420', 'http://data2:8420'], 'http://data:8420'],
    // Who already uses the data network stays at its address.
    [{}, ['http://data:8420', 'http://node:8420'], 'http://node:8420'],
    [{ 'x-forwarded-host': 'store.example' }, ['http://data:8420'], 'http://store.example'],
    [{ 'x-forwarded-proto': 'https' }, ['http://data:8420'], 'https://node:8420'],
  ])('with %j and the data network %j is %s', (headers, dataUrls, origin) => {
    expect(contentOrigin(at(headers), dataUrls)).toBe(origin)
  })
})

describe('the cookie of a session', () => {
  const NAME = 'slipway-agent-01234567'

  test('is named for the store', () => {
    expect(sessionCookieName('01234567-89ab-4def-8123-456789abcdef')).toBe(NAME)
  })

  test.each<[headers: Record<string, string>, secret: string | undefined]>([
    [{ cookie: `a=b; ${NAME}=secret` }, 'secret'],
    [{ cookie: `${NAME}=` }, undefined],
    [{ cookie: 'slipway-agent-76543210=secret' }, undefined],
    [{}, undefined],
    // With TLS, only the name that other hosts cannot set counts.
    [{ cookie: `${NAME}=secret`, 'x-forwarded-proto': 'https' }, undefined],
    [{ cookie: `__Host-${NAME}=secret`, 'x-forwarded-proto': 'https' }, 'secret'],
  ])('with %j is %j', (headers, secret) => {
    expect(readSessionCookie(at(headers), NAME)).toBe(secret)
  })

  test('is for the whole agent, not for scripts, and ends at once without a secret', () => {
    expect(writeSessionCookie(at({}), NAME, 's', 60)).toBe(`${NAME}=s; Max-Age=60; Path=/; HttpOnly; SameSite=Lax`)
    expect(writeSessionCookie(at({}), NAME, '', 60)).toBe(`${NAME}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`)
    expect(writeSessionCookie(at({ 'x-forwarded-proto': 'https' }), NAME, 's', 60)).toBe(`__Host-${NAME}=s; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Lax`)
  })
})
