// Which role includes which, written by hand, and the bounds of tokens and grants.

import { describe, expect, test } from 'bun:test'
import { newTokenSchema, roleIncludes, tokenSchema } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import { grantOrderSchema, grantsSchema, makeGrant } from '../../protocol/images/grant.ts'

/** For each role, the needed roles that it includes. */
const INCLUDED: Record<Role, Record<Role, boolean>> = {
  viewer: { viewer: true, uploader: false, operator: false, admin: false },
  uploader: { viewer: true, uploader: true, operator: false, admin: false },
  operator: { viewer: true, uploader: true, operator: true, admin: false },
  admin: { viewer: true, uploader: true, operator: true, admin: true },
}

const PAIRS = Object.entries(INCLUDED).flatMap(([role, row]) =>
  Object.entries(row).map(([needed, isIncluded]) => [role as Role, isIncluded ? 'includes' : 'does not include', needed as Role] as const),
)

describe('roles', () => {
  test.each(PAIRS)('%s %s %s', (role, verb, needed) => {
    expect(roleIncludes(role, needed)).toBe(verb === 'includes')
  })
})

describe('a new token', () => {
  const isValid = (members: object): boolean => newTokenSchema.safeParse({ name: 'x', role: 'viewer', ...members }).success
  test.each([
    ['no groups', { groups: [] }, true],
    ['32 groups', { groups: Array.from({ length: 32 }, (_, i) => `group ${i}`) }, true],
    ['33 groups', { groups: Array.from({ length: 33 }, (_, i) => `group ${i}`) }, false],
    ['groups of 1024 characters', { groups: Array.from({ length: 4 }, () => 'g'.repeat(255)).concat('gggg') }, true],
    ['groups of 1025 characters', { groups: Array.from({ length: 4 }, () => 'g'.repeat(255)).concat('ggggg') }, false],
    ['a blank group', { groups: [' '] }, false],
    ['a subject', { subject: 'ann' }, true],
    ['a subject of 256 characters', { subject: 'a'.repeat(256) }, false],
    ['a subject with a line end', { subject: 'a\nb' }, false],
    ['an unknown member', { user: 'ann' }, false],
  ])('with %s', (_what, members, valid) => {
    expect(isValid(members)).toBe(valid)
  })
})

test('a token of an earlier version has neither a subject nor groups', () => {
  const token = { id: 'tok_1', name: 'x', role: 'viewer', createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null, lastUsedAt: null }
  expect(tokenSchema.parse(token)).toMatchObject({ subject: null, groups: [] })
})

describe('grants', () => {
  test('have each right once, in order, and always read', () => {
    expect(makeGrant('user:ann', ['manage', 'use', 'manage'])).toEqual({ subject: 'user:ann', rights: ['read', 'use', 'manage'] })
    expect(makeGrant('user:ann', [])).toEqual({ subject: 'user:ann', rights: ['read'] })
  })

  test('of an earlier version are subjects, with the rights read and use', () => {
    expect(grantsSchema.parse(['user:ann', { subject: 'group:ops', rights: ['read'] }])).toEqual([
      { subject: 'user:ann', rights: ['read', 'use'] },
      { subject: 'group:ops', rights: ['read'] },
    ])
    for (const wrong of [[1], 'user:ann', [{ subject: 'user:ann', rights: ['write'] }], [{ rights: [] }], null])
      expect(grantsSchema.safeParse(wrong).success).toBe(false)
  })

  test('are ordered with one to four rights; without any, they are read and use', () => {
    expect(grantOrderSchema.parse({})).toEqual({ set: ['read', 'use'] })
    expect(grantOrderSchema.parse({ set: ['manage'] })).toEqual({ set: ['manage'] })
    for (const wrong of [{ set: [] }, { set: ['read', 'use', 'export', 'manage', 'read'] }, { set: 'read' }, { set: ['write'] }, { rights: ['read'] }, []])
      expect(grantOrderSchema.safeParse(wrong).success).toBe(false)
  })
})
