// What a grant between stores reads over HTTP: its images and the identity of the store, while its creator may share them; nothing else.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Store } from '../../../../protocol/store.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { openAccessStage } from './access-stage.ts'
import type { AccessStage, User } from './access-stage.ts'
import { ACCESS_TABLE, METHODS } from './access-table.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** What another store sees of this one besides its identity: nothing of its paths, space, settings and use. */
const NOT_TOLD: Omit<Store, 'id' | 'version' | 'protocol' | 'networks'> = {
  name: 'test',
  zone: 'zone-1',
  description: '',
  mount: '',
  scope: '',
  enabled: true,
  disabledReason: null,
  capacity: { total: 0, used: 0, free: 0, reserved: 0, available: 0 },
  slices: { count: 0, storedBytes: 0, imageBytes: 0, savingRatio: null },
  images: { available: 0, deleted: 0, other: 0 },
  uploads: { active: 0 },
  transfer: { uploadConcurrency: 0, downloadConcurrency: 0 },
  retention: { deletion: 'delayed', seconds: 0 },
}

let stage: AccessStage
let ann: User
let bob: User
let granted: Image
let other: Image
let own: string[] = []
let foreign: string[] = []

beforeAll(async () => {
  stage = await openAccessStage()
  ann = await stage.user({ name: 'ann', role: 'uploader', subject: 'ann' })
  bob = await stage.user({ name: 'bob', role: 'uploader', subject: 'bob' })
  granted = await stage.upload(ann, 'granted', { seed: 1 })
  other = await stage.upload(ann, 'other', { seed: 2 })
  ;[own, foreign] = await Promise.all([granted, other].map(digestsOf)).then(([first = [], second = []]) => [first, second])
  await stage.table.parts.visibility.settled()
})

afterAll(() => stage[Symbol.asyncDispose]())

async function digestsOf({ id }: Image): Promise<string[]> {
  const manifest = await manifestOf(stage.table.parts.catalogue, id)
  return Array.from({ length: manifest.count }, (_, i) => formatDigest(manifest.digestAt(i)))
}

/** Has a user grant an image to another store. */
async function grantBy(user: User, image: Image): Promise<User> {
  const { status, json } = await user.ask('POST', '/v1/sync/grants', { images: [image.id], hours: 1 })
  expect(status).toBe(201)
  return stage.userOf((json as { token: string }).token)
}

test('reads metadata, manifest and slices of its images, and who the store is', async () => {
  const grant = await grantBy(ann, granted)
  expect((await grant.ask('GET', `/v1/images/${granted.id}`)).json).toMatchObject({ id: granted.id, name: 'granted' })
  expect((await grant.ask('GET', '/v1/images/granted')).status).toBe(200)
  expect((await grant.ask('GET', `/v1/images/${granted.id}/manifest`)).status).toBe(200)
  expect((await grant.ask('POST', '/v1/slices/fetch', { digests: own, image: granted.id })).status).toBe(200)
  const store = (await grant.ask('GET', '/v1/store')).json as Store
  expect(store).toMatchObject({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'test', mount: '', description: '', protocol: { sync: [1, 2] } })
  const { id: _id, version: _version, protocol: _protocol, networks: _networks, ...others } = store
  expect(others).toEqual(NOT_TOLD)
})

test('reads no other image and none of its slices', async () => {
  const grant = await grantBy(ann, granted)
  for (const name of [other.id, 'other']) {
    expect((await grant.ask('GET', `/v1/images/${name}`)).code).toBe('not-found')
    expect((await grant.ask('GET', `/v1/images/${name}/manifest`)).code).toBe('not-found')
  }
  for (const image of [other.id, granted.id])
    expect((await grant.ask('POST', '/v1/slices/fetch', { digests: [...own, ...foreign.slice(0, 1)], image })).code).toBe('not-found')
})

test('gets 403 or 404 from every other route and method', async () => {
  const grant = await grantBy(ann, granted)
  const readable = new Set(['/v1/store', '/v1/images/:id', '/v1/images/:id/manifest'])
  for (const [pattern, routes] of Object.entries(ACCESS_TABLE))
    for (const method of METHODS) {
      if (!(method in routes) || method === 'OPTIONS' || (readable.has(pattern) && (method === 'GET' || method === 'HEAD'))) continue
      const path = pattern.replace(':instance', 'vm').replace(':subject', 'user:ann').replaceAll(/:\w+/g, granted.id)
      const body = pattern === '/v1/slices/fetch' ? { digests: foreign } : method === 'GET' || method === 'HEAD' ? undefined : {}
      const { status } = await grant.ask(method, path, body)
      expect([method, pattern, status === 403 || status === 404]).toEqual([method, pattern, true])
    }
})

test('is created by operators and by the owner of the images, and for existing images only', async () => {
  for (const [user, status, code] of [
    [bob, 403, 'forbidden'],
    [stage.nobody, 401, 'unauthenticated'],
    [ann, 201, ''],
    [stage.admin, 201, ''],
  ] as const) {
    const answer = await user.ask('POST', '/v1/sync/grants', { images: [granted.id], hours: 1 })
    expect([answer.status, answer.code]).toEqual([status, code])
  }
  const none = 'img_0123456789abcdefghjkmnpqrs'
  expect((await stage.admin.ask('POST', '/v1/sync/grants', { images: [granted.id, none], hours: 1 })).code).toBe('not-found')
  for (const body of [
    { images: [], hours: 1 },
    { images: [granted.id], hours: 0 },
    { images: [granted.id], hours: 169 },
    { images: [granted.id], hours: 1, target: 'edge-b' },
    { images: Array.from({ length: 1001 }, () => granted.id), hours: 1 },
    { images: ['granted'], hours: 1 },
    { images: [granted.id] },
  ])
    expect((await stage.admin.ask('POST', '/v1/sync/grants', body)).code).toBe('invalid-input')
  const grant = await grantBy(ann, granted)
  expect((await grant.ask('POST', '/v1/sync/grants', { images: [granted.id], hours: 1 })).code).toBe('forbidden')
})

test('ends for an image that its creator no longer owns, and for all of them when it is revoked', async () => {
  const mine = await stage.upload(ann, 'given away', { seed: 3 })
  const grant = await grantBy(ann, mine)
  expect((await grant.ask('GET', `/v1/images/${mine.id}`)).status).toBe(200)
  await stage.admin.ask('PATCH', `/v1/images/${mine.id}`, { owner: 'bob' })
  expect((await grant.ask('GET', `/v1/images/${mine.id}`)).code).toBe('not-found')
  const tokens = (await stage.admin.ask('GET', '/v1/tokens?limit=1000')).json as { items: { id: string; grant: { images: string[] } | null }[] }
  const listed = tokens.items.find(({ grant: allowed }) => allowed?.images.includes(mine.id))
  expect((await stage.admin.ask('DELETE', `/v1/tokens/${listed?.id}`)).status).toBe(204)
  expect((await grant.ask('GET', `/v1/images/${mine.id}`)).code).toBe('unauthenticated')
})
