// Tokens and links over kept values: how they behave after a restart, a changed configuration and a crash.

import { describe, expect, test } from 'bun:test'
import { stat } from 'node:fs/promises'
import { openAccess } from '../../../agent/access/access.ts'
import { isEqualConstantTime } from '../../../agent/access/credentials.ts'
import { writeSecretFile } from '../../../agent/access/secret-file.ts'
import type { LinkRight } from '../../../agent/contract/access.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const ADMIN = { name: 'admin', role: 'admin' } as const

async function open(options: { kept?: ReturnType<typeof createMemoryKeptValues>; configured?: string } = {}) {
  const kept = options.kept ?? createMemoryKeptValues()
  const clock = createManualClock()
  const written: string[] = []
  const events: NewEvent[] = []
  const access = await openAccess({
    kept,
    clock,
    emit: (event) => void events.push(event),
    configuredSecret: options.configured,
    writeFirstSecret: async (secret) => void written.push(secret),
  })
  return { ...access, kept, clock, written, events }
}

describe('the first admin token', () => {
  test('is created and written once when the configuration has none', async () => {
    const first = await open()
    expect(first.written).toHaveLength(1)
    expect(await first.authenticator.byToken(first.written[0] ?? '')).toMatchObject({ name: 'admin', role: 'admin' })
    const second = await open({ kept: first.kept })
    expect(second.written).toEqual([])
    expect(await second.authenticator.byToken(first.written[0] ?? '')).toMatchObject({ role: 'admin' })
  })

  test('comes from the configuration and changes with it', async () => {
    const first = await open({ configured: 'old-secret' })
    expect(first.written).toEqual([])
    const other = await first.tokens.create({ name: 'other', role: 'admin' }, ADMIN)
    const second = await open({ kept: first.kept, configured: 'new-secret' })
    expect(await second.authenticator.byToken('new-secret')).toMatchObject({ role: 'admin' })
    expect(await second.authenticator.byToken('old-secret')).toBeUndefined()
    expect(await second.authenticator.byToken(other.token)).toMatchObject({ name: 'other' })
    expect(second.tokens.list()).toHaveLength(2)
  })

  test('is stored as a hash only', async () => {
    const { kept, written } = await open()
    const text = JSON.stringify(kept.read('tokens'))
    expect(text).not.toContain(written[0] ?? 'none')
    expect(text).toContain('"hash":"')
  })

  test('is created again after its file could not be written', async () => {
    const kept = createMemoryKeptValues()
    const deps = { kept, clock: createManualClock(), emit: () => {}, configuredSecret: undefined }
    await expect(openAccess({ ...deps, writeFirstSecret: () => Promise.reject(new Error('disk full')) })).rejects.toThrow('disk full')
    expect((await open({ kept })).written).toHaveLength(1)
  })
})

describe('writeSecretFile', () => {
  test('is written as one line that only the owner can read, and replaces the old file', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('admin-token')
    await Bun.write(path, 'older and much longer than the secret')
    await writeSecretFile(path, 'slp_x')
    expect(await Bun.file(path).text()).toBe('slp_x\n')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })
})

describe('tokens', () => {
  test('show when they were last used', async () => {
    const { tokens, authenticator, clock, kept } = await open()
    const made = await tokens.create({ name: 'pipeline', role: 'viewer' }, ADMIN)
    expect(tokens.find(made.id)?.lastUsedAt).toBeNull()
    clock.advance(120_000)
    await authenticator.byToken(made.token)
    expect(tokens.find(made.id)?.lastUsedAt).toBe('2026-01-01T00:02:00.000Z')
    expect(JSON.stringify(kept.read('tokens'))).toContain(`"lastUsedMs":${clock.nowMs()}`)
  })

  test('emit events that name actor and subject and contain no secret', async () => {
    const { tokens, events } = await open()
    const made = await tokens.create({ name: 'pipeline', role: 'viewer' }, ADMIN)
    tokens.remove(made.id, ADMIN)
    expect(events.map(({ type, subject, actor }) => [type, subject, actor])).toEqual([
      ['token.created', made.id, 'admin'],
      ['token.deleted', made.id, 'admin'],
    ])
    expect(JSON.stringify(events)).not.toContain(made.token)
  })
})

const UPLOAD = { id: 'upl_1', imageId: 'img_1' } as const

describe('upload links', () => {
  async function openLink() {
    const opened = await open()
    const maker = await opened.tokens.create({ name: 'maker', role: 'uploader' }, ADMIN)
    const { path } = await opened.links.create({ kind: 'upload', ttlSeconds: 3600, maxLength: 5 }, { name: 'maker', role: 'uploader', tokenId: maker.id })
    const link = new URL(path, 'http://localhost').searchParams.get('link') ?? ''
    const check = async (access: typeof opened, method: string, target: string): Promise<LinkRight | string> => {
      const outcome = await access.links.check(link, { method, path: target })
      return outcome.kind === 'allowed' ? (outcome.actor.link ?? 'no link') : outcome.detail
    }
    return { opened, check, link }
  }

  test('create one upload, which they may then continue, also after a restart', async () => {
    const { opened, check } = await openLink()
    const right = await check(opened, 'POST', '/v1/uploads')
    if (typeof right === 'string') throw new Error(right)
    expect(right).toMatchObject({ kind: 'upload', maxLength: 5 })
    expect(await opened.links.claim(right, UPLOAD)).toBe(true)
    expect(await opened.links.claim(right, UPLOAD)).toBe(true)
    expect(await opened.links.claim(right, { id: 'upl_2', imageId: 'img_2' })).toBe(false)
    const again = await open({ kept: opened.kept })
    for (const access of [opened, again]) {
      expect(await check(access, 'POST', '/v1/uploads')).toContain('already used')
      for (const method of ['PATCH', 'HEAD', 'DELETE', 'POST']) expect(await check(access, method, '/v1/uploads/upl_1')).toMatchObject({ id: right.id })
      expect(await check(access, 'PATCH', '/v1/uploads/upl_2')).toContain('another upload')
    }
  })

  test('can be used again if the upload could not be created', async () => {
    const { opened, check } = await openLink()
    const right = await check(opened, 'POST', '/v1/uploads')
    if (typeof right === 'string') throw new Error(right)
    await opened.links.claim(right, UPLOAD)
    opened.links.release(right.id, 'upl_2')
    expect(await check(opened, 'POST', '/v1/uploads')).toContain('already used')
    opened.links.release(right.id, 'upl_1')
    expect(await check(opened, 'POST', '/v1/uploads')).toMatchObject({ id: right.id })
  })

  test('let an upload continue that began before they expired', async () => {
    const { opened, check } = await openLink()
    const right = await check(opened, 'POST', '/v1/uploads')
    if (typeof right === 'string') throw new Error(right)
    opened.clock.advance(3_599_999)
    await opened.links.claim(right, UPLOAD)
    opened.clock.advance(86_400_000)
    expect(await check(opened, 'PATCH', '/v1/uploads/upl_1')).toMatchObject({ id: right.id })
    expect(await check(opened, 'POST', '/v1/uploads')).toContain('already used')
  })

  test('of another store are not valid', async () => {
    const { link } = await openLink()
    const other = await open()
    expect(await other.links.check(link, { method: 'POST', path: '/v1/uploads' })).toEqual({
      kind: 'refused',
      detail: 'The link is not valid.',
      action: 'Check that the whole link was copied, or ask for a new link.',
    })
  })

  test('cannot be created with a link', async () => {
    const { opened } = await openLink()
    await expect(opened.links.create({ kind: 'upload', ttlSeconds: 60 }, { name: 'x', role: 'uploader' })).rejects.toThrow('with a token')
  })
})

describe('isEqualConstantTime', () => {
  test('compares texts', () => {
    expect(isEqualConstantTime('abc', 'abc')).toBe(true)
    expect(isEqualConstantTime('abc', 'abd')).toBe(false)
    expect(isEqualConstantTime('abc', 'abcd')).toBe(false)
    expect(isEqualConstantTime('', '')).toBe(true)
  })
})
