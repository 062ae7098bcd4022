// The rights on images: every rule as a table of literals, and what holds for any image and actor.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { imageRights, namedRights } from '../../../agent/access/image-rights.ts'
import type { GuardedImage } from '../../../agent/access/image-rights.ts'
import { isReadable, isVisible } from '../../../agent/access/readable.ts'
import type { Actor, LinkRight, Principal } from '../../../agent/contract/access.ts'
import type { Grant, Right } from '../../../protocol/images/grant.ts'
import type { ImageStatus } from '../../../protocol/images/image.ts'
import { propertyOptions } from '../../support/properties.ts'

const ID = 'img_1'
const NO_GRANTS: GuardedImage = { id: ID, owner: null, hidden: false, grants: [] }
const OF_ANN: GuardedImage = { id: ID, owner: 'ann', hidden: false, grants: [] }
const RESTRICTED: GuardedImage = {
  id: ID,
  owner: 'ann',
  hidden: false,
  grants: [
    { subject: 'group:ops', rights: ['read', 'export'] },
    { subject: 'user:bob', rights: ['read', 'use'] },
    { subject: 'user:cid', rights: ['read', 'manage'] },
  ],
}

const IN_HIDDEN_GROUP: GuardedImage = { ...OF_ANN, hidden: true }
const RESTRICTED_IN_HIDDEN_GROUP: GuardedImage = { ...RESTRICTED, hidden: true }

function linkOf(maker: Principal, image: string | undefined = ID): { readonly role: 'viewer'; readonly link: LinkRight } {
  const common = { id: 'lnk_1', makerTokenId: 'tok_1', maker, endMs: 1e15 }
  return { role: 'viewer', link: { ...common, kind: 'download', ...(image === undefined ? {} : { image }) } }
}

describe('the rights on an image', () => {
  const cases: [string, GuardedImage, Principal & Pick<Actor, 'link'>, string][] = [
    ['without grants, of a viewer', NO_GRANTS, { role: 'viewer' }, 'read export'],
    ['without grants, of an uploader', NO_GRANTS, { role: 'uploader' }, 'read use export'],
    ['in a hidden group without grants, of a viewer', IN_HIDDEN_GROUP, { role: 'viewer' }, ''],
    ['in a hidden group without grants, of an uploader for another user', IN_HIDDEN_GROUP, { role: 'uploader', subject: 'bob', groups: ['ann'] }, ''],
    ['in a hidden group without grants, of its owner', IN_HIDDEN_GROUP, { role: 'viewer', subject: 'ann' }, 'read use export manage'],
    ['in a hidden group without grants, of an operator', IN_HIDDEN_GROUP, { role: 'operator' }, 'read use export manage'],
    ['in a hidden group, of a user with a grant', RESTRICTED_IN_HIDDEN_GROUP, { role: 'viewer', subject: 'bob' }, 'read use'],
    ['in a hidden group, of a user without a grant', RESTRICTED_IN_HIDDEN_GROUP, { role: 'viewer', subject: 'eve' }, ''],
    ['in a hidden group, of a link by an uploader for no user', IN_HIDDEN_GROUP, linkOf({ role: 'uploader' }), ''],
    ['without grants, of an operator', NO_GRANTS, { role: 'operator' }, 'read use export manage'],
    ['without grants, of an administrator', NO_GRANTS, { role: 'admin' }, 'read use export manage'],
    ['without grants, of a viewer for a user', NO_GRANTS, { role: 'viewer', subject: 'bob' }, 'read export'],
    ['without grants or owner, of an empty subject', NO_GRANTS, { role: 'viewer', subject: '' }, 'read export'],
    ['without grants, of its owner', OF_ANN, { role: 'viewer', subject: 'ann' }, 'read use export manage'],
    ['without grants, of another user', OF_ANN, { role: 'viewer', subject: 'anna' }, 'read export'],
    ['with grants, of a viewer', RESTRICTED, { role: 'viewer' }, ''],
    ['with grants, of an uploader', RESTRICTED, { role: 'uploader' }, ''],
    ['with grants, of an operator', RESTRICTED, { role: 'operator' }, 'read use export manage'],
    ['with grants, of an administrator', RESTRICTED, { role: 'admin' }, 'read use export manage'],
    ['with grants, of its owner', RESTRICTED, { role: 'viewer', subject: 'ann' }, 'read use export manage'],
    ['with grants, of a user who is named', RESTRICTED, { role: 'viewer', subject: 'bob' }, 'read use'],
    ['with grants, of an uploader who is named', RESTRICTED, { role: 'uploader', subject: 'bob' }, 'read use'],
    ['with grants, of another user who is named', RESTRICTED, { role: 'viewer', subject: 'cid' }, 'read manage'],
    ['with grants, of a user who is not named', RESTRICTED, { role: 'uploader', subject: 'dan' }, ''],
    ['with grants, of a user named like a grantee with its prefix', RESTRICTED, { role: 'viewer', subject: 'user:bob' }, ''],
    ['with grants, of a user whose name ends like one that is named', RESTRICTED, { role: 'viewer', subject: 'ob' }, ''],
    ['with grants, of a user named like a group', RESTRICTED, { role: 'viewer', subject: 'ops' }, ''],
    ['with grants, of a group that is named', RESTRICTED, { role: 'viewer', groups: ['dev', 'ops'] }, 'read export'],
    ['with grants, of a group that is not named', RESTRICTED, { role: 'viewer', groups: ['dev'] }, ''],
    ['with grants, of a group named like a user', RESTRICTED, { role: 'viewer', groups: ['bob', 'ann'] }, ''],
    ['with grants, of a user and a group that are named', RESTRICTED, { role: 'viewer', subject: 'bob', groups: ['ops'] }, 'read use export'],
    ['without grants, of a link of an uploader', NO_GRANTS, linkOf({ role: 'uploader' }), 'read export'],
    ['without grants, of a link of a viewer', NO_GRANTS, linkOf({ role: 'viewer' }), ''],
    ['with grants, of a link of an operator', RESTRICTED, linkOf({ role: 'operator' }), 'read export'],
    ['with grants, of a link of an uploader', RESTRICTED, linkOf({ role: 'uploader' }), ''],
    ['with grants, of a link of a user with the right use', RESTRICTED, linkOf({ role: 'uploader', subject: 'bob' }), 'read'],
    ['with grants, of a link of a user without the right use', RESTRICTED, linkOf({ role: 'uploader', subject: 'cid' }), ''],
    ['with grants, of a link of the owner', RESTRICTED, linkOf({ role: 'uploader', subject: 'ann' }), 'read export'],
    ['of a link for another image', NO_GRANTS, linkOf({ role: 'admin' }, 'img_2'), ''],
    ['of an upload link', NO_GRANTS, { role: 'uploader', link: { ...linkOf({ role: 'admin' }).link, kind: 'upload', image: undefined as never } }, ''],
  ]
  test.each(cases)('%s', (_what, image, actor, rights) => {
    expect([...imageRights(image, actor)].toSorted()).toEqual(rights.split(' ').filter(Boolean).toSorted() as Right[])
  })
})

describe('the rights by name', () => {
  test.each([
    ['of a viewer of an image without grants', NO_GRANTS, { role: 'viewer', subject: 'bob' }, ''],
    ['of an operator who is not named', RESTRICTED, { role: 'operator' }, ''],
    ['of the owner', OF_ANN, { role: 'viewer', subject: 'ann' }, 'read use export manage'],
    ['of a user who is named', RESTRICTED, { role: 'viewer', subject: 'bob' }, 'read use'],
  ] as const)('%s', (_what, image, principal, rights) => {
    expect([...namedRights(image, principal)].join(' ')).toBe(rights)
  })
})

describe('an image', () => {
  const vic: Actor = { name: 'vic', role: 'viewer' }
  test.each([
    ['available', true],
    ['degraded', true],
    ['creating', false],
    ['uploading', false],
    ['pending', false],
    ['fileUnavailable', false],
    ['error', false],
    ['deleted', false],
    ['deleting', false],
  ] as [ImageStatus, boolean][])('that is %s and visible is readable: %p', (status, isRead) => {
    expect(isReadable({ ...NO_GRANTS, status }, vic)).toBe(isRead)
    expect(isVisible(NO_GRANTS, vic)).toBe(true)
  })

  test('that is available but hidden is not readable', () => {
    expect(isReadable({ ...RESTRICTED, status: 'available' }, vic)).toBe(false)
  })
})

describe('for any image and actor', () => {
  const names = fc.constantFrom('ann', 'bob', 'user:ann', 'group:ops', 'ops', '')
  const rights = fc.uniqueArray(fc.constantFrom<Right>('read', 'use', 'export', 'manage')).map((some): Right[] => [...new Set<Right>(['read', ...some])])
  const grants = fc.array(
    fc.record({ subject: fc.tuple(fc.constantFrom('user:', 'group:'), names).map((parts) => parts.join('')), rights }) as fc.Arbitrary<Grant>,
    { maxLength: 4 },
  )
  const images = fc.record({ id: fc.constantFrom('img_1', 'img_2'), owner: fc.option(names), hidden: fc.boolean(), grants })
  const principals: fc.Arbitrary<Principal> = fc.record(
    { role: fc.constantFrom('viewer', 'uploader', 'operator', 'admin'), subject: names, groups: fc.array(names, { maxLength: 3 }) },
    { requiredKeys: ['role'] },
  )
  const isOperator = ({ role }: Principal): boolean => role === 'operator' || role === 'admin'

  test('the decision is that of a simple model', () => {
    fc.assert(
      fc.property(images, principals, (image, principal) => {
        const callers = new Set([
          ...(principal.subject === undefined ? [] : [`user:${principal.subject}`]),
          ...(principal.groups ?? []).map((group) => `group:${group}`),
        ])
        const expected = new Set<string>()
        const isOwner = image.owner !== null && callers.has(`user:${image.owner}`)
        if (isOperator(principal) || isOwner) for (const right of ['read', 'use', 'export', 'manage']) expected.add(right)
        else if (image.grants.length > 0) {
          for (const { subject, rights: granted } of image.grants) if (callers.has(subject)) for (const right of granted) expected.add(right)
        } else if (!image.hidden) for (const right of principal.role === 'uploader' ? ['read', 'use', 'export'] : ['read', 'export']) expected.add(right)
        expect([...imageRights(image, principal)].toSorted()).toEqual([...expected].toSorted() as Right[])
      }),
      propertyOptions(500),
    )
  })

  test('each right comes with read, and a link has no right that its creator does not have', () => {
    fc.assert(
      fc.property(images, principals, (image, principal) => {
        const own = imageRights(image, principal)
        const linked = imageRights(image, linkOf(principal))
        for (const found of [own, linked]) if (found.size > 0) expect(found.has('read')).toBe(true)
        for (const right of linked) expect(own.has(right)).toBe(true)
        if (image.id !== ID) expect(linked.size).toBe(0)
      }),
      propertyOptions(500),
    )
  })

  test('a further grant takes rights from nobody who is named, and the first one hides the image from those who are not', () => {
    fc.assert(
      fc.property(images, principals, rights, (image, principal, granted) => {
        const more: GuardedImage = { ...image, grants: [...image.grants, { subject: 'user:new', rights: granted }] }
        const after = imageRights(more, principal)
        for (const right of namedRights(image, principal)) expect(after.has(right)).toBe(true)
        if (!isOperator(principal) && namedRights(more, principal).size === 0) expect(after.size).toBe(0)
      }),
      propertyOptions(500),
    )
  })
})
