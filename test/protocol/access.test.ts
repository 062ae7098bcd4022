// Which role includes which, written by hand.

import { describe, expect, test } from 'bun:test'
import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'

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
