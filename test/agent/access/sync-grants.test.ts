// Grants between stores over kept values: what is stored, how they end, and their limits.

import { describe, expect, test } from 'bun:test'
import { openAccess } from '../../../agent/access/access.ts'
import { GRANTED_IMAGES_MAX, GRANTS_PER_CREATOR_MAX } from '../../../agent/access/kept-grants.ts'
import { imageRights } from '../../../agent/access/image-rights.ts'
import type { Actor } from '../../../agent/contract/access.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const IMAGE = 'img_0123456789abcdefghjkmnpqrs'
const OTHER = 'img_0123456789abcdefghjkmnpqrt'
const TARGET = '11111111-2222-4333-8444-555555555555'
const ADMIN = { name: 'admin', role: 'admin' } as const

async function open(kept = createMemoryKeptValues(), clock = createManualClock()) {
  const events: NewEvent[] = []
  const access = await openAccess({
    kept,
    clock,
    emit: (event) => void events.push(event),
    configuredSecret: 'the-configured-secret',
    writeFirstSecret: async () => {},
  })
  const maker = await access.authenticator.byToken('the-configured-secret')
  if (!maker) throw new Error('no maker')
  return { ...access, kept, clock, events, maker }
}

describe('a grant between stores', () => {
  test('authenticates as a viewer who may read its images only', async () => {
    const { grants, authenticator, maker } = await open()
    const made = await grants.create({ images: [IMAGE, IMAGE], target: TARGET, hours: 2 }, maker)
    expect(made.token).toMatch(/^slg_[\w-]{43}$/)
    const actor = await authenticator.byToken(made.token)
    expect(actor).toMatchObject({ name: `store ${TARGET}`, role: 'viewer', tokenId: made.id })
    const rightsOn = (id: string) => [...imageRights({ id, owner: null, hidden: false, grants: [] }, actor as Actor)]
    expect(rightsOn(IMAGE)).toEqual(['read'])
    expect(rightsOn(OTHER)).toEqual([])
  })

  test('is stored as a hash, survives a restart and is listed with the tokens', async () => {
    const first = await open()
    const made = await first.grants.create({ images: [IMAGE], target: TARGET, hours: 2 }, first.maker)
    expect(JSON.stringify(first.kept.read('sync-grants'))).not.toContain(made.token)
    const second = await open(first.kept, first.clock)
    expect(
      second.tokens
        .list()
        .map(({ id, role, grant }) => ({ id, role, grant }))
        .at(-1),
    ).toEqual({
      id: made.id,
      role: 'viewer',
      grant: { images: [IMAGE], target: TARGET, createdBy: 'admin' },
    })
    expect(second.tokens.list().at(-1)?.lastUsedAt).toBeNull()
    expect(await second.authenticator.byToken(made.token)).toMatchObject({ role: 'viewer' })
    expect(second.tokens.list().at(-1)?.lastUsedAt).not.toBeNull()
  })

  test('is revoked like a token', async () => {
    const { tokens, grants, authenticator, maker, kept, clock, events } = await open()
    const made = await grants.create({ images: [IMAGE, OTHER], hours: 2 }, maker)
    tokens.remove(made.id, ADMIN)
    expect(await authenticator.byToken(made.token)).toBeUndefined()
    expect(tokens.list()).toHaveLength(1)
    expect(await (await open(kept, clock)).authenticator.byToken(made.token)).toBeUndefined()
    expect(events.map(({ type, subject, actor, message }) => [type, subject, actor, message])).toEqual([
      ['grant.created', made.id, 'admin', 'admin allowed another store to copy 2 images until 2026-01-01T02:00:00.000Z.'],
      ['grant.revoked', made.id, 'admin', 'admin revoked the grant of another store to copy 2 images.'],
    ])
    expect(() => grants.remove(made.id, ADMIN)).toThrow('There is no grant')
  })

  test('ends when its hours are over', async () => {
    const { grants, authenticator, maker, clock } = await open()
    const made = await grants.create({ images: [IMAGE], hours: 2 }, maker)
    await clock.advance(2 * 3_600_000 - 1)
    expect(await authenticator.byToken(made.token)).toBeDefined()
    await clock.advance(1)
    expect(await authenticator.byToken(made.token)).toBeUndefined()
  })

  test('ends with the token of its creator, and with the right of its creator on the image', async () => {
    const { tokens, grants, authenticator } = await open()
    const owner = await tokens.create({ name: 'ann', role: 'uploader', subject: 'ann' }, ADMIN)
    const ann = await authenticator.byToken(owner.token)
    const made = await grants.create({ images: [IMAGE], hours: 2 }, ann as Actor)
    const actor = (await authenticator.byToken(made.token)) as Actor
    expect([...imageRights({ id: IMAGE, owner: 'ann', hidden: false, grants: [] }, actor)]).toEqual(['read'])
    expect([...imageRights({ id: IMAGE, owner: 'bob', hidden: false, grants: [] }, actor)]).toEqual([])
    tokens.remove(owner.id, ADMIN)
    expect(await authenticator.byToken(made.token)).toBeUndefined()
  })

  test('cannot be created without a token, or by a secret that only looks like one', async () => {
    const { grants, authenticator } = await open()
    await expect(grants.create({ images: [IMAGE], hours: 1 }, ADMIN)).rejects.toThrow('only be created with a token')
    expect(await authenticator.byToken(`slg_${'a'.repeat(43)}`)).toBeUndefined()
    expect(await authenticator.byToken('slg_')).toBeUndefined()
  })

  test('is limited for each creator; grants that have ended do not count', async () => {
    const { grants, maker, clock, tokens, authenticator } = await open()
    for (let i = 0; i < GRANTS_PER_CREATOR_MAX; i++) await grants.create({ images: [IMAGE], hours: 1 }, maker)
    await expect(grants.create({ images: [IMAGE], hours: 1 }, maker)).rejects.toThrow('admin already has 500 grants to other stores.')
    const second = await tokens.create({ name: 'second', role: 'operator' }, ADMIN)
    const other = (await authenticator.byToken(second.token)) as Actor
    for (let i = 0; i < 500; i++) await grants.create({ images: [IMAGE], hours: 1 }, other)
    const third = (await authenticator.byToken((await tokens.create({ name: 'third', role: 'operator' }, ADMIN)).token)) as Actor
    await expect(grants.create({ images: [IMAGE], hours: 1 }, third)).rejects.toThrow('The store already has 1000 grants to other stores.')
    await clock.advance(3_600_000)
    await grants.create({ images: [IMAGE], hours: 1 }, maker)
    expect(grants.list()).toHaveLength(1)
  }, 30_000)

  test('names a bounded number of images together with all others', async () => {
    const { grants, maker } = await open()
    const many = Array.from({ length: 1000 }, (_, i) => `img_${String(i).padStart(26, '0')}`)
    for (let i = 0; i < GRANTED_IMAGES_MAX / 1000; i++) await grants.create({ images: many, hours: 1 }, maker)
    await expect(grants.create({ images: [IMAGE], hours: 1 }, maker)).rejects.toThrow('would name more than 40000 images')
  })
})

describe('a grant for repairs', () => {
  const KEY = 'k'.repeat(43)
  const DAY_MS = 86_400_000
  const order = { images: [IMAGE], target: TARGET, targetKey: KEY, hours: 2, healing: true, isShareable: () => true } as const

  test('lasts for 30 days without a use, and is shown as one', async () => {
    const { grants, maker, events } = await open()
    const made = await grants.create(order, maker)
    expect(made.expiresAt).toBe('2026-01-31T00:00:00.000Z')
    expect(grants.list()[0]?.grant).toEqual({ images: [IMAGE], target: TARGET, createdBy: 'admin', key: KEY, healingUntil: '2027-01-02T00:00:00.000Z' })
    expect(events[0]?.message).toBe(
      `admin allowed store ${TARGET} to copy image ${IMAGE} until 2026-01-31T00:00:00.000Z, and while it repairs copies with it until 2027-01-02T00:00:00.000Z at the latest.`,
    )
  })

  test('is also for the images of the one before it that may still be shared; that one stays valid, an older one ends with its hours', async () => {
    const { grants, maker, clock } = await open()
    const third = 'img_0123456789abcdefghjkmnpqrv'
    const first = await grants.create({ ...order, images: [IMAGE, OTHER] }, maker)
    await clock.advance(DAY_MS)
    const second = await grants.create({ ...order, images: [third], isShareable: (id) => id !== OTHER }, maker)
    expect(grants.list().map(({ grant }) => grant?.images)).toEqual([
      [IMAGE, OTHER],
      [third, IMAGE],
    ])
    await clock.advance(DAY_MS)
    const last = await grants.create(order, maker)
    expect(grants.list().map(({ id }) => id)).toEqual([second.id, last.id])
    expect(first.id).not.toBe(second.id)
    expect(grants.list()[1]?.grant?.images).toEqual([IMAGE, third])
  })

  test('takes nothing from grants of another creator or for another key', async () => {
    const { grants, tokens, authenticator, maker } = await open()
    const made = await tokens.create({ name: 'second', role: 'operator' }, ADMIN)
    const other = (await authenticator.byToken(made.token)) as Actor
    await grants.create({ ...order, images: [OTHER] }, other)
    await grants.create({ ...order, images: [OTHER], targetKey: 'j'.repeat(43) }, maker)
    await grants.create(order, maker)
    expect(grants.list().at(-1)?.grant?.images).toEqual([IMAGE])
  })

  test('makes room for grants for copies, those that expire first before others', async () => {
    const { grants, maker, clock } = await open()
    const many = Array.from({ length: 1000 }, (_one, i) => `img_${String(i).padStart(26, '0')}`)
    for (let i = 0; i < GRANTED_IMAGES_MAX / 1000; i++) {
      await grants.create({ ...order, images: many, targetKey: String(i).padStart(43, 'k') }, maker)
      await clock.advance(1000)
    }
    // Within their hours, they are grants for copies.
    await expect(grants.create({ images: [IMAGE], hours: 1 }, maker)).rejects.toMatchObject({ code: 'limit-reached' })
    const before = grants.list().map(({ id }) => id)
    await clock.advance(2 * 3_600_000)
    const copy = await grants.create({ images: [IMAGE], hours: 1 }, maker)
    expect(grants.list().map(({ id }) => id)).toEqual([...before.slice(1), copy.id])
  })
})
