// Grants in the database and in the environment, the last admin, and the one-time code for the first one.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { ATTEMPTS_MAX, CODE_LIFE_MS, createFirstAdminCodes } from '../../../bot/access/first-admin.ts'
import { createRoles, GRANTS_MAX, GROUPS_MAX } from '../../../bot/access/roles.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const ADMIN = { ...ANY, subject: 'user:UADA', role: 'admin' } as const

describe('grants', () => {
  test('are stored for each place, replaced at the same place, and revoked', () => {
    const roles = createRoles(openMemoryDatabase())
    expect(roles.grant(ADMIN, 'console', 5)).toBe('granted')
    expect(roles.grant({ ...ADMIN, role: 'operator', zone: 'z1' }, 'ada', 6)).toBe('granted')
    expect(roles.grant({ ...ADMIN, role: 'uploader', zone: 'z1' }, 'bob', 7)).toBe('granted')
    expect(roles.grant({ ...ADMIN, role: 'uploader', zone: 'z1' }, 'eve', 8)).toBe('unchanged')
    expect(roles.list()).toEqual([
      { ...ADMIN, source: 'command', grantedBy: 'console', grantedMs: 5 },
      { ...ADMIN, role: 'uploader', zone: 'z1', source: 'command', grantedBy: 'bob', grantedMs: 7 },
    ])
    expect(roles.revoke({ ...ADMIN, zone: 'z2' })).toBe('not-found')
    expect(roles.revoke({ ...ADMIN, zone: 'z1' })).toBe('revoked')
    expect(roles.list()).toHaveLength(1)
  })

  test('of the environment count, cannot be revoked, and are not lowered', () => {
    const roles = createRoles(openMemoryDatabase(), { admins: new Set(['UADA']), operators: new Set(['UADA', 'UBOB']) })
    expect(roles.list().map(({ subject, role, source }) => [subject, role, source])).toEqual([
      ['user:UADA', 'admin', 'environment'],
      ['user:UBOB', 'operator', 'environment'],
    ])
    expect(roles.hasAdmin()).toBe(true)
    expect(roles.revoke({ ...ANY, subject: 'user:UADA' })).toBe('environment')
    roles.grant({ ...ADMIN, role: 'viewer' }, 'eve', 1)
    expect(
      roles
        .list()
        .filter(({ subject }) => subject === 'user:UADA')
        .map(({ role }) => role),
    ).toEqual(['admin', 'viewer'])
  })

  test('never lose the last admin', () => {
    const roles = createRoles(openMemoryDatabase())
    roles.grant(ADMIN, 'console', 1)
    // None of these is an admin of the whole fleet whom the bot knows by name.
    roles.grant({ ...ADMIN, subject: 'user:UZONE', zone: 'z1' }, 'console', 1)
    roles.grant({ ...ADMIN, subject: 'user:USTORE', store: 'edge-a' }, 'console', 1)
    roles.grant({ ...ADMIN, subject: 'user:UCHAN', channel: 'C1' }, 'console', 1)
    roles.grant({ ...ADMIN, subject: 'group:SOPS' }, 'console', 1)
    expect(roles.revoke(ADMIN)).toBe('last-admin')
    expect(roles.grant({ ...ADMIN, role: 'operator' }, 'eve', 2)).toBe('last-admin')
    expect(roles.hasAdmin()).toBe(true)
    expect(roles.revoke({ ...ADMIN, subject: 'user:UZONE', zone: 'z1' })).toBe('revoked')
    roles.grant({ ...ADMIN, subject: 'user:UBOB' }, 'console', 3)
    expect(roles.grant({ ...ADMIN, role: 'operator' }, 'eve', 4)).toBe('granted')
    expect(roles.revoke({ ...ADMIN, subject: 'user:UBOB' })).toBe('last-admin')
    const withEnvironment = createRoles(openMemoryDatabase(), { admins: new Set(['UENV']), operators: new Set() })
    withEnvironment.grant(ADMIN, 'console', 1)
    expect(withEnvironment.revoke(ADMIN)).toBe('revoked')
  })

  test('are bounded, and so are the groups that they name', () => {
    const roles = createRoles(openMemoryDatabase())
    for (let i = 0; i < GROUPS_MAX; i++) expect(roles.grant({ ...ANY, subject: `group:S${i}`, role: 'operator' }, 'x', 1)).toBe('granted')
    expect(roles.grant({ ...ANY, subject: 'group:SMORE', role: 'operator' }, 'x', 1)).toBe('too-many-groups')
    expect(roles.grant({ ...ANY, subject: 'group:S0', role: 'operator', zone: 'z1' }, 'x', 1)).toBe('granted')
    for (let i = GROUPS_MAX + 1; i < GRANTS_MAX; i++) roles.grant({ ...ANY, subject: `user:U${i}`, role: 'operator' }, 'x', 1)
    expect(roles.grant({ ...ANY, subject: 'user:UMORE', role: 'operator' }, 'x', 1)).toBe('too-many')
    expect(roles.grant({ ...ANY, subject: 'group:S0', role: 'admin' }, 'x', 1)).toBe('granted')
    expect([GRANTS_MAX, GROUPS_MAX]).toEqual([1000, 20])
  })

  test('for a store follow its name, and go with it', () => {
    const database = openMemoryDatabase()
    const roles = createRoles(database)
    const add = (name: string): void =>
      void database.run(`INSERT INTO stores (name, url, token, zone, provider, added_ms) VALUES ('${name}', 'u', 't', 'z', 'p', 0)`)
    add('edge-a')
    add('edge-b')
    roles.grant({ ...ANY, subject: 'user:UADA', role: 'operator', store: 'edge-a' }, 'x', 1)
    roles.grant({ ...ANY, subject: 'user:UADA', role: 'operator' }, 'x', 1)
    database.run("UPDATE stores SET name = 'edge-c' WHERE name = 'edge-a'")
    expect(roles.list().map(({ store }) => store)).toEqual(['', 'edge-c'])
    database.run("DELETE FROM stores WHERE name = 'edge-b'")
    expect(roles.list()).toHaveLength(2)
    database.run("DELETE FROM stores WHERE name = 'edge-c'")
    expect(roles.list().map(({ store }) => store)).toEqual([''])
  })
})

describe('the code for the first admin', () => {
  const open = () => {
    const database = openMemoryDatabase()
    const clock = createManualClock()
    const roles = createRoles(database)
    return { database, clock, roles, codes: createFirstAdminCodes(database, clock, roles) }
  }

  test('makes one person an admin, once, however it is typed', () => {
    const { codes, roles } = open()
    expect(codes.claim('AAAA-BBBB-CCCC', 'UADA', 'ada')).toBe('none')
    const { code } = codes.issue()
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
    expect(codes.claim(` ${code.toLowerCase().replaceAll('-', '').replaceAll('0', 'o').replaceAll('1', 'l')} `, 'UADA', 'ada (UADA)')).toBe('granted')
    expect(roles.list()).toMatchObject([{ subject: 'user:UADA', role: 'admin', zone: '', store: '', channel: '', grantedBy: 'ada (UADA), by a one-time code' }])
    expect(codes.claim(code, 'UEVE', 'eve')).toBe('none')
  })

  test('is stored as a hash', () => {
    const { codes, database } = open()
    const { code } = codes.issue()
    expect(JSON.stringify(database.query('SELECT * FROM first_admin_code').all())).not.toContain(code.slice(0, 4))
    expect(database.query<{ hash: string }, []>('SELECT hash FROM first_admin_code').get()?.hash).toHaveLength(64)
  })

  test('expires after an hour, and a later one replaces it', () => {
    const { codes, clock } = open()
    const { code, expiresMs } = codes.issue()
    expect([expiresMs - clock.nowMs(), CODE_LIFE_MS]).toEqual([3_600_000, 3_600_000])
    clock.advance(CODE_LIFE_MS)
    expect(codes.claim(code, 'UADA', 'ada')).toBe('none')
    const first = codes.issue()
    const second = codes.issue()
    expect(codes.claim(first.code, 'UADA', 'ada')).toBe('wrong')
    clock.advance(CODE_LIFE_MS - 1)
    expect(codes.claim(second.code, 'UADA', 'ada')).toBe('granted')
  })

  test('is void after five wrong codes, from whomever', () => {
    const { codes } = open()
    const { code } = codes.issue()
    expect(ATTEMPTS_MAX).toBe(5)
    for (let i = 0; i < 5; i++) expect(codes.claim(`WRONG-${i}`, `U${i}`, 'eve')).toBe('wrong')
    expect(codes.claim(code, 'UADA', 'ada')).toBe('none')
    expect(codes.claim(codes.issue().code, 'UADA', 'ada')).toBe('granted')
  })
})
