// The header with which a bot names the person who asked: from whom it is accepted, what it may contain, and that it changes no access.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../agent/contract/access.ts'
import { authenticate } from '../../../agent/http/middleware/authenticate.ts'
import { formatOnBehalf, ON_BEHALF_HEADER, onBehalfName, parseOnBehalf, tokenOfName } from '../../../protocol/on-behalf.ts'
import { ProblemError } from '../../../protocol/problems.ts'

const BOT: Actor = { name: 'slipway-bot', role: 'operator', tokenId: 'tok_1' }

/** The actor of a request, or the code of the refusal. */
async function actorOf(
  value: string,
  { actor = BOT, method = 'POST', access = 'viewer' as const, link = false, namesAsker = false } = {},
): Promise<Actor | string> {
  const headers = new Headers({ [ON_BEHALF_HEADER]: value, ...(link ? {} : { authorization: 'Bearer good' }) })
  const request = new Request(`http://agent/v1/thing${link ? '?link=x' : ''}`, { method, headers })
  const authenticator = {
    byToken: async () => actor,
    byLink: async () => ({
      kind: 'allowed' as const,
      actor: { ...actor, link: { id: 'l', makerTokenId: 't', maker: actor, kind: 'upload' as const, endMs: 0 } },
    }),
  }
  try {
    return await authenticate(authenticator, request, method, { access: link ? { role: 'uploader', link: 'upload' } : access, granted: false, namesAsker })
  } catch (error) {
    return error instanceof ProblemError ? error.code : String(error)
  }
}

describe('the header', () => {
  test('names the person and the token, and leaves role and token id', async () => {
    expect(await actorOf('ada%20(U024BE7LH)')).toEqual({ name: 'ada (U024BE7LH) via slipway-bot', role: 'operator', tokenId: 'tok_1' })
  })

  test.each<[Actor['role'], string]>([
    ['viewer', 'slipway-bot'],
    ['uploader', 'slipway-bot'],
    ['operator', 'ada via slipway-bot'],
    ['admin', 'ada via slipway-bot'],
  ])('of a token of a %s gives the name %s', async (role, name) => {
    expect(await actorOf('ada', { actor: { ...BOT, role } })).toEqual({ ...BOT, role, name })
  })

  test('names the person also on a read that records who asked', async () => {
    expect(await actorOf('ada', { method: 'GET', namesAsker: true })).toEqual({ ...BOT, name: 'ada via slipway-bot' })
    expect(await actorOf('%00', { method: 'GET', namesAsker: true })).toBe('invalid-input')
    expect(await actorOf('ada', { method: 'GET', namesAsker: true, actor: { ...BOT, role: 'viewer' } })).toMatchObject({ name: 'slipway-bot' })
  })

  test('is ignored on reads, for grants between stores and for links', async () => {
    expect(await actorOf('ada', { method: 'GET' })).toEqual(BOT)
    expect(await actorOf('%00', { method: 'HEAD' })).toEqual(BOT)
    expect(await actorOf('ada', { link: true })).toMatchObject({ name: 'slipway-bot' })
    expect(await actorOf('%00', { actor: { ...BOT, role: 'viewer' } })).toMatchObject({ name: 'slipway-bot' })
  })

  test.each([
    ['a control character', '%00'],
    ['a line end', 'ada%0d%0aX: y'],
    ['a terminal escape', '%1b%5b2Jada'],
    ['a right-to-left override', '%e2%80%aeada'],
    ['a zero-width space', 'a%e2%80%8bda'],
    ['a line separator', '%e2%80%a8'],
    ['bytes that are not UTF-8', '%ff'],
    ['half an encoding', 'ada%2'],
    ['nothing but spaces', '%20%20'],
    ['121 characters', 'a'.repeat(121)],
    ['a value of 2,000 characters', '%20'.repeat(666)],
  ])('with %s is refused', async (_what, value) => {
    expect(await actorOf(value)).toBe('invalid-input')
  })

  test.each([
    ['120 characters', 'a'.repeat(120), `${'a'.repeat(120)} via slipway-bot`],
    ['markup, which its readers escape', '%3Cscript%3E%26%3C!channel%3E', '<script>&<!channel> via slipway-bot'],
    ['letters of any script', encodeURIComponent('Ада 名'), 'Ада 名 via slipway-bot'],
    ['the word between person and token', 'eve%20via%20admin', 'eve via admin via slipway-bot'],
  ])('with %s is accepted', async (_what, value, name) => {
    expect(await actorOf(value)).toMatchObject({ name })
  })

  test('does not let a lower role pass', async () => {
    expect(await actorOf('ada', { access: 'admin' as 'viewer' })).toBe('forbidden')
  })
})

describe('a name', () => {
  test.each<[string, string | undefined]>([
    ['ada (U1)', 'ada%20(U1)'],
    ['名\u0000\u202e', '%E5%90%8D'],
    ['\u001b\n', undefined],
    ['a'.repeat(300), 'a'.repeat(120)],
    ['😀'.repeat(300), '%F0%9F%98%80'.repeat(60)],
    ['\ud800x', '%EF%BF%BDx'],
  ])('%j is sent as %j', (name, value) => {
    expect(formatOnBehalf(name)).toBe(value)
    if (value !== undefined) expect(parseOnBehalf(value)).toBeDefined()
  })

  test('counts as its token, whatever the person is called', () => {
    expect([tokenOfName('bot'), tokenOfName(onBehalfName('eve via admin', 'bot'))]).toEqual(['bot', 'bot'])
  })
})
