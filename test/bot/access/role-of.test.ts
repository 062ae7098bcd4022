// The role of a person at a place, as tables written by hand.

import { describe, expect, test } from 'bun:test'
import { roleOf } from '../../../bot/access/role-of.ts'
import type { Place, RoleGrant } from '../../../bot/access/role-of.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'

const ANY = { zone: '', store: '', channel: '' }
const ADA = { user: 'UADA', groups: new Set(['SOPS']) }

describe('a role includes', () => {
  test.each<[Role, boolean, boolean, boolean, boolean]>([
    // has        viewer uploader operator admin
    ['viewer', true, false, false, false],
    ['uploader', true, true, false, false],
    ['operator', true, true, true, false],
    ['admin', true, true, true, true],
  ])('%s: viewer %p, uploader %p, operator %p, admin %p', (has, viewer, uploader, operator, admin) => {
    expect([roleIncludes(has, 'viewer'), roleIncludes(has, 'uploader'), roleIncludes(has, 'operator'), roleIncludes(has, 'admin')]).toEqual([
      viewer,
      uploader,
      operator,
      admin,
    ])
  })
})

describe('two grants', () => {
  test.each<[Role, Role, Role]>([
    ['viewer', 'viewer', 'viewer'],
    ['viewer', 'uploader', 'uploader'],
    ['viewer', 'operator', 'operator'],
    ['viewer', 'admin', 'admin'],
    ['uploader', 'viewer', 'uploader'],
    ['uploader', 'uploader', 'uploader'],
    ['uploader', 'operator', 'operator'],
    ['uploader', 'admin', 'admin'],
    ['operator', 'viewer', 'operator'],
    ['operator', 'uploader', 'operator'],
    ['operator', 'operator', 'operator'],
    ['operator', 'admin', 'admin'],
    ['admin', 'viewer', 'admin'],
    ['admin', 'uploader', 'admin'],
    ['admin', 'operator', 'admin'],
    ['admin', 'admin', 'admin'],
  ])('of the user as %s and of a group as %s give %s', (user, group, role) => {
    const grants: RoleGrant[] = [
      { ...ANY, subject: 'user:UADA', role: user },
      { ...ANY, subject: 'group:SOPS', role: group },
    ]
    expect(roleOf(grants, ADA, {})).toBe(role)
    expect(roleOf(grants.toReversed(), ADA, { zone: 'z1', store: 'a', channel: 'C1' })).toBe(role)
  })
})

describe('a grant of operator', () => {
  const FLEET: Place = {}
  const IN_C1: Place = { channel: 'C1' }
  const A: Place = { zone: 'z1', store: 'edge-a', channel: 'C1' }
  const B: Place = { zone: 'z1', store: 'edge-b', channel: 'C2' }
  const C: Place = { zone: 'z2', store: 'edge-c', channel: 'C1' }

  test.each<[string, Partial<RoleGrant>, [Place, boolean][]]>([
    [
      'to the user',
      { subject: 'user:UADA' },
      [
        [FLEET, true],
        [IN_C1, true],
        [A, true],
        [B, true],
        [C, true],
      ],
    ],
    [
      'to a group of the user',
      { subject: 'group:SOPS' },
      [
        [FLEET, true],
        [A, true],
      ],
    ],
    [
      'to another user',
      { subject: 'user:UEVE' },
      [
        [FLEET, false],
        [A, false],
      ],
    ],
    [
      'to a user whose id begins like that of this one',
      { subject: 'user:UADAM' },
      [
        [FLEET, false],
        [A, false],
      ],
    ],
    [
      'to another group',
      { subject: 'group:SDEV' },
      [
        [FLEET, false],
        [A, false],
      ],
    ],
    [
      'to a group with the id of the user',
      { subject: 'group:UADA' },
      [
        [FLEET, false],
        [A, false],
      ],
    ],
    [
      'to a user with the id of a group',
      { subject: 'user:SOPS' },
      [
        [FLEET, false],
        [A, false],
      ],
    ],
    [
      'for a zone',
      { zone: 'z1' },
      [
        [FLEET, false],
        [IN_C1, false],
        [A, true],
        [B, true],
        [C, false],
      ],
    ],
    [
      'for a zone in other letters',
      { zone: 'Z1' },
      [
        [A, false],
        [B, false],
      ],
    ],
    [
      'for a store',
      { store: 'edge-a' },
      [
        [FLEET, false],
        [IN_C1, false],
        [A, true],
        [B, false],
        [C, false],
      ],
    ],
    [
      'for a store in other letters',
      { store: 'Edge-A' },
      [
        [FLEET, false],
        [A, true],
        [B, false],
      ],
    ],
    [
      'for a channel',
      { channel: 'C1' },
      [
        [FLEET, false],
        [IN_C1, true],
        [A, true],
        [B, false],
        [C, true],
      ],
    ],
    [
      'for a zone in a channel',
      { zone: 'z1', channel: 'C1' },
      [
        [FLEET, false],
        [IN_C1, false],
        [A, true],
        [B, false],
        [C, false],
      ],
    ],
    [
      'for a store in a channel',
      { store: 'edge-b', channel: 'C1' },
      [
        [IN_C1, false],
        [A, false],
        [B, false],
      ],
    ],
    [
      'for a store of another zone',
      { zone: 'z2', store: 'edge-a' },
      [
        [A, false],
        [C, false],
      ],
    ],
  ])('%s', (_what, grant, places) => {
    const grants: RoleGrant[] = [{ ...ANY, subject: 'user:UADA', role: 'operator', ...grant }]
    for (const [place, isOperator] of places) expect([place, roleOf(grants, ADA, place)]).toEqual([place, isOperator ? 'operator' : 'viewer'])
  })

  test('to nobody leaves everyone a viewer', () => {
    expect(roleOf([], ADA, A)).toBe('viewer')
  })
})
