// The usage of a store for those below operator, over HTTP with two users: each sees the images that it owns or owned, and nothing of the other.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Usage } from '../../../../protocol/images/usage.ts'
import { openAccessStage } from './access-stage.ts'
import type { AccessStage, Answer, User } from './access-stage.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let stage: AccessStage
let admin: User
/** An uploader and a viewer who both own images. */
let ann: User
let bob: User
let ofAnn: Image
let ofBob: Image
let handedOver: Image
let removed: Image
let ofNobody: Image

beforeAll(async () => {
  stage = await openAccessStage()
  admin = stage.admin
  ann = await stage.user({ name: 'token of ann', role: 'uploader', subject: 'ann' })
  bob = await stage.user({ name: 'token of bob', role: 'viewer', subject: 'bob', groups: ['dev'] })
  ofAnn = await stage.upload(ann, 'ann-1', { seed: 1 })
  ofBob = await stage.upload(admin, 'bob-1', { seed: 2, metadata: { owner: 'bob' } })
  handedOver = await stage.upload(ann, 'ann-2', { seed: 3 })
  removed = await stage.upload(ann, 'ann-3', { seed: 4 })
  ofNobody = await stage.upload(admin, 'nobody-1', { seed: 5 })
  await admin.ask('PATCH', `/v1/images/${handedOver.id}`, { owner: 'bob' })
  await admin.ask('PATCH', `/v1/images/${handedOver.id}`, { name: 'plans-of-bob', kind: 'backup' })
  await admin.ask('PUT', `/v1/images/${handedOver.id}/grants/group:dev`, { set: ['read'] })
  // A grant gives rights, not a bill.
  await admin.ask('PUT', `/v1/images/${ofAnn.id}/grants/group:dev`, { set: ['read'] })
  await admin.ask('PATCH', `/v1/images/${removed.id}`, { owner: 'bob', name: 'gone-of-bob' })
  await admin.ask('DELETE', `/v1/images/${removed.id}?permanent=true`)
}, 60_000)

afterAll(() => stage[Symbol.asyncDispose]())

const items = ({ json }: Answer) => (json as Usage).items
const byName = (answer: Answer): string[][] =>
  items(answer)
    .map(({ imageId, name, kind, owner }) => [name, imageId, kind, owner ?? ''])
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))

describe('usage', () => {
  test('of each user has what it owns and owned, under the name it had then', async () => {
    expect(byName(await ann.ask('GET', '/v1/usage'))).toEqual([
      ['ann-1', ofAnn.id, 'disk', 'ann'],
      ['ann-2', handedOver.id, 'disk', 'ann'],
      ['ann-3', removed.id, 'disk', 'ann'],
    ])
    expect(byName(await bob.ask('GET', '/v1/usage'))).toEqual([
      ['bob-1', ofBob.id, 'disk', 'bob'],
      ['gone-of-bob', removed.id, 'disk', 'bob'],
      ['plans-of-bob', handedOver.id, 'backup', 'bob'],
    ])
    expect((await ann.ask('GET', '/v1/usage')).json).toMatchObject({ owner: 'ann' })
    const whole = byName(await admin.ask('GET', '/v1/usage'))
    expect(whole.map(([name]) => name)).toEqual(['ann-1', 'ann-2', 'ann-3', 'bob-1', 'gone-of-bob', 'nobody-1', 'plans-of-bob'])
    expect(whole[5]).toEqual(['nobody-1', ofNobody.id, 'disk', ''])
    expect((await admin.ask('GET', '/v1/usage')).json).not.toHaveProperty('owner')
    expect((await admin.ask('GET', '/v1/usage?owner=')).json).toMatchObject({ owner: null })
  })

  test('has sums, pages and CSV of those images only', async () => {
    const { total, items: rows } = (await ann.ask('GET', '/v1/usage')).json as Usage
    const ended = rows.filter(({ name }) => name !== 'ann-1').reduce((sum, { from, to, length }) => sum + (Date.parse(to) - Date.parse(from)) * length, 0)
    const running = rows.find(({ name }) => name === 'ann-1')
    expect(total.byteMilliseconds).toBe(String(ended + (Date.parse(running?.to ?? '') - Date.parse(running?.from ?? '')) * 200_000))
    const names: string[] = []
    let cursor: string | null = ''
    for (let page = 0; cursor !== null && page < 5; page++) {
      const { items: some, next } = (await bob.ask('GET', `/v1/usage?limit=1&cursor=${encodeURIComponent(cursor)}`)).json as Usage
      names.push(...some.map(({ name }) => name))
      cursor = next
    }
    expect(names.toSorted()).toEqual(['bob-1', 'gone-of-bob', 'plans-of-bob'])
    const csv = (await ann.ask('GET', '/v1/usage?format=csv')).text
    expect(csv.trim().split('\r\n')).toHaveLength(4)
    expect(csv).not.toContain('bob')
  })

  test('of somebody else is refused, whether there is such an owner or not', async () => {
    expect((await ann.ask('GET', '/v1/usage?owner=ann')).status).toBe(200)
    for (const owner of ['bob', 'none', '']) {
      const refused = await ann.ask('GET', `/v1/usage?owner=${owner}`)
      expect([owner, refused.status, refused.code]).toEqual([owner, 403, 'forbidden'])
      expect(refused.json).toMatchObject({ detail: 'This token reports on the images of ann only.', action: 'Leave out owner.' })
    }
  })

  test('is refused to a token that acts for no user', async () => {
    const group = await stage.user({ name: 'a group', role: 'uploader', groups: ['dev'] })
    const refused = await group.ask('GET', '/v1/usage')
    expect([refused.status, refused.code]).toEqual([403, 'forbidden'])
    expect(refused.json).toMatchObject({ detail: 'This request needs the role operator; the token "a group" has the role uploader.', requiredRole: 'operator' })
    expect((await stage.nobody.ask('GET', '/v1/usage')).status).toBe(401)
  })
})
