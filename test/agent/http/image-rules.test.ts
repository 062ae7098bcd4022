// The rules of an image's life and of limits over HTTP, each with two users: Ann, who owns the images, and Bob, who does not.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../protocol/images/image.ts'
import { problemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openAccessStage } from './access/access-stage.ts'
import type { AccessStage, Answer, User } from './access/access-stage.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

interface Users extends AsyncDisposable {
  readonly stage: AccessStage
  readonly admin: User
  readonly ann: User
  readonly bob: User
}

async function openUsers(config = ''): Promise<Users> {
  const stage = await openAccessStage(config)
  const ann = await stage.user({ name: 'token of ann', role: 'uploader', subject: 'ann' })
  const bob = await stage.user({ name: 'token of bob', role: 'uploader', subject: 'bob' })
  return { stage, admin: stage.admin, ann, bob, [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() }
}

let seed = 500
const shown = ({ status, code }: Answer): string => (code === '' ? String(status) : `${status} ${code}`)

describe('the life of an image', () => {
  let users: Users
  let admin: User
  let ann: User
  let bob: User
  beforeAll(async () => {
    users = await openUsers()
    ;({ admin, ann, bob } = users)
  })
  afterAll(() => users[Symbol.asyncDispose]())
  const add = (name: string, metadata: Record<string, string> = {}): Promise<Image> => users.stage.upload(ann, name, { seed: ++seed, metadata })
  const grant = (image: Image, set: readonly string[]) => admin.ask('PUT', `/v1/images/${image.id}/grants/user:bob`, { set })
  const statusOf = async ({ id }: Image): Promise<unknown> => ((await admin.ask('GET', `/v1/images/${id}`)).json as Image | undefined)?.status

  test('protected, it is deleted by nobody until somebody who may change it ends the protection', async () => {
    const image = await add('protected')
    const path = `/v1/images/${image.id}`
    await grant(image, ['manage'])
    expect(shown(await ann.ask('PATCH', path, { protected: true }))).toBe('200')
    for (const user of [ann, bob, admin]) {
      expect(shown(await user.ask('DELETE', path))).toBe('409 image-protected')
      expect(shown(await user.ask('DELETE', `${path}?permanent=true`))).toBe('409 image-protected')
    }
    await grant(image, ['use'])
    expect(shown(await bob.ask('PATCH', path, { protected: false }))).toBe('403 forbidden')
    expect(shown(await ann.ask('PATCH', path, { protected: false }))).toBe('200')
    expect(shown(await bob.ask('DELETE', path))).toBe('403 forbidden')
    expect(shown(await ann.ask('DELETE', path))).toBe('200')
  })

  test('bound to instances, it is deleted by nobody until the last binding is removed', async () => {
    const image = await add('bound')
    const path = `/v1/images/${image.id}`
    expect(shown(await bob.ask('PUT', `${path}/bindings/vm-1`))).toBe('403 forbidden')
    await grant(image, ['use'])
    for (const [user, instance] of [
      [ann, 'vm-1'],
      [bob, 'vm-2'],
    ] as const)
      expect(shown(await user.ask('PUT', `${path}/bindings/${instance}`))).toBe('200')
    for (const user of [ann, admin]) expect((await user.ask('DELETE', path)).json).toMatchObject({ bindings: ['vm-1', 'vm-2'] })
    expect(shown(await ann.ask('DELETE', `${path}?permanent=true`))).toBe('409 image-bound')
    expect(shown(await bob.ask('DELETE', `${path}/bindings/vm-1`))).toBe('200')
    expect(shown(await ann.ask('DELETE', path))).toBe('409 image-bound')
    expect(shown(await ann.ask('DELETE', `${path}/bindings/vm-2`))).toBe('200')
    expect(shown(await ann.ask('DELETE', path))).toBe('200')
  })

  test('in the recycle bin, it is seen, restored and purged by those who may change it', async () => {
    const image = await add('binned')
    const path = `/v1/images/${image.id}`
    await grant(image, ['read'])
    await ann.ask('DELETE', path)
    const binned = async (user: User) =>
      ((await user.ask('GET', '/v1/images?status=deleted')).json as { items: Image[] }).items.map(({ id }) => id).includes(image.id)
    const cid = await users.stage.user({ name: 'token of cid', role: 'viewer', subject: 'cid' })
    expect([await binned(ann), await binned(bob), await binned(cid)]).toEqual([true, true, false])
    expect((await ann.ask('GET', path)).json).toMatchObject({ status: 'deleted', statusReason: expect.stringContaining('It is deleted for good after') })
    for (const [method, end] of [
      ['POST', '/restore'],
      ['DELETE', '?permanent=true'],
    ] as const) {
      expect(shown(await bob.ask(method, path + end))).toBe('403 forbidden')
      expect(shown(await cid.ask(method, path + end))).toBe(end === '/restore' ? '404 not-found' : '404 not-found')
    }
    expect(shown(await bob.ask('GET', `${path}/content`))).toBe('409 wrong-status')
    expect(shown(await ann.ask('POST', `${path}/restore`))).toBe('200')
    expect(shown(await ann.ask('DELETE', `${path}?permanent=true`))).toBe('204')
    expect(shown(await ann.ask('GET', path))).toBe('404 not-found')
  })

  test('as a virtual disk, it is not edited or deleted as an image, and is deleted with its last instance by those who may change it', async () => {
    const image = await add('disk of vm-7', { kind: 'virtualDisk', sourceInstance: 'vm-7' })
    const path = `/v1/images/${image.id}`
    expect(image).toMatchObject({ kind: 'virtualDisk', bindings: ['vm-7'] })
    for (const user of [ann, admin]) {
      expect(shown(await user.ask('PATCH', path, { name: 'other' }))).toBe('409 virtual-disk')
      expect(shown(await user.ask('DELETE', path))).toBe('409 image-bound')
    }
    expect(shown(await bob.ask('PATCH', path, { name: 'other' }))).toBe('403 forbidden')
    await grant(image, ['use'])
    // Who may only use it may add and remove other instances, and not the last one.
    expect(shown(await bob.ask('PUT', `${path}/bindings/vm-8`))).toBe('200')
    expect(shown(await bob.ask('DELETE', `${path}/bindings/vm-8`))).toBe('403 forbidden')
    expect(shown(await ann.ask('DELETE', `${path}/bindings/vm-8`))).toBe('200')
    expect(await statusOf(image)).toBe('available')
    expect(shown(await bob.ask('DELETE', `${path}/bindings/vm-7`))).toBe('403 forbidden')
    expect(shown(await ann.ask('DELETE', `${path}/bindings/vm-7`))).toBe('200')
    expect(await statusOf(image)).toBe('deleted')
  })

  test('still uploaded, it is cancelled by its token and by administrators, and by no other user or operator', async () => {
    const operator = await users.stage.user({ name: 'an operator', role: 'operator' })
    const start = async (name: string): Promise<string> => {
      const headers = { 'tus-resumable': '1.0.0', 'upload-length': '1000', 'upload-metadata': `name ${btoa(name)}` }
      await ann.ask('POST', '/v1/uploads', undefined, headers)
      return ((await ann.ask('GET', `/v1/images/${name}`)).json as Image).id
    }
    for (const [name, canceller] of [
      ['arriving-1', ann],
      ['arriving-2', admin],
    ] as const) {
      const path = `/v1/images/${await start(name)}`
      for (const other of [bob, operator]) expect(shown(await other.ask('DELETE', path))).toBe('403 forbidden')
      expect(shown(await canceller.ask('DELETE', path))).toBe('204')
      expect(shown(await ann.ask('GET', path))).toBe('404 not-found')
    }
  })
})

test('the limit on images of one owner holds for every way in and for a change of owner, and leaves other owners alone', async () => {
  await using users = await openUsers('[images]\nmax-per-owner = 2\n[imports]\nallow = ["127.0.0.1"]\n')
  const { stage, admin, ann, bob } = users
  using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(new Uint8Array(4096)) })
  const refused = '429 limit-reached'
  const tus = { 'tus-resumable': '1.0.0', 'upload-length': '1000' }
  const first = await stage.upload(ann, 'ann-1', { seed: 1 })
  await stage.upload(ann, 'ann-2', { seed: 2 })
  const answer = await ann.ask('POST', '/v1/uploads', undefined, tus)
  expect(shown(answer)).toBe(refused)
  expect((answer.json as { detail: string }).detail).toStartWith('Maximum image limit reached: ')
  // By a link of hers, in her name by somebody else, and by import.
  const { url } = (await ann.ask('POST', '/v1/links', { kind: 'upload' })).json as { url: string }
  expect(shown(await stage.nobody.ask('POST', new URL(url).pathname + new URL(url).search, undefined, tus))).toBe(refused)
  expect(shown(await bob.ask('POST', '/v1/uploads', undefined, { ...tus, 'upload-metadata': `owner ${btoa('ann')}` }))).toBe(refused)
  const imported = await ann.ask('POST', '/v1/images', { name: 'ann-3', source: { url: server.url.href } })
  if (imported.status === 202) {
    const { error } = await stage.table.parts.tasks.ended((imported.json as Task).id)
    expect(error?.type).toBe('urn:slipway:problem:limit-reached')
  } else expect(shown(imported)).toBe(refused)
  // Bob is not affected, until an image of his becomes hers.
  const ofBob = await stage.upload(bob, 'bob-1', { seed: 3 })
  expect(shown(await bob.ask('PATCH', `/v1/images/${ofBob.id}`, { owner: 'ann' }))).toBe(refused)
  expect(shown(await admin.ask('PATCH', `/v1/images/${ofBob.id}`, { owner: 'ann' }))).toBe(refused)
  // An unfinished upload counts, and an image in the recycle bin does not, until it is restored.
  await ann.ask('DELETE', `/v1/images/${first.id}`)
  expect((await ann.ask('POST', '/v1/uploads', undefined, tus)).status).toBe(201)
  expect(shown(await ann.ask('POST', `/v1/images/${first.id}/restore`))).toBe(refused)
  expect(shown(await ann.ask('POST', '/v1/uploads', undefined, tus))).toBe(refused)
  expect(((await ann.ask('GET', '/v1/images?owner=ann')).json as { items: Image[] }).items).toHaveLength(2)
})

test('the limit on images of one owner holds for syncs, and leaves other owners alone', async () => {
  await using users = await openUsers('[images]\nmax-per-owner = 1\n')
  const { stage, ann, bob } = users
  const operators = {
    ann: await stage.user({ name: 'operator ann', role: 'operator', subject: 'ann' }),
    bob: await stage.user({ name: 'operator bob', role: 'operator', subject: 'bob' }),
  }
  await using folder = await createTemporaryFolder()
  await using elsewhere = await openImageStore(folder)
  await using server = await serveImages(elsewhere)
  const copied = async (user: User, ...images: readonly Image[]): Promise<string> => {
    const source = { url: server.url, token: 'viewer' }
    const answer = await user.ask('POST', '/v1/sync', { source, images: images.map(({ id }) => id) })
    if (answer.status !== 202) return shown(answer)
    const { error, state } = await stage.table.parts.tasks.ended((answer.json as Task).id)
    return error ? `${problemCode(error)}: ${error.detail}` : state
  }
  const namesOf = async (user: User, owner: string) =>
    ((await user.ask('GET', `/v1/images?owner=${owner}`)).json as { items: Image[] }).items.map(({ name }) => name)
  const [ofAnn, ofBob, second] = [
    await elsewhere.add(seededBytes(100_000, 31), { name: 'of-ann', owner: 'ann' }),
    await elsewhere.add(seededBytes(100_000, 32), { name: 'of-bob', owner: 'bob' }),
    await elsewhere.add(seededBytes(100_000, 33), { name: 'of-bob-2', owner: 'bob' }),
  ]
  await stage.upload(ann, 'ann-1', { seed: 30 })
  const before = stage.table.parts.slices.stats().slices
  // Who starts the sync does not count: the owner of the image does.
  const refused = 'limit-reached: Maximum image limit reached: '
  for (const user of Object.values(operators)) expect(await copied(user, ofAnn)).toStartWith(refused)
  expect(stage.table.parts.slices.stats().slices).toBe(before)
  expect(shown(await ann.ask('POST', '/v1/sync', { source: { url: server.url, token: 'viewer' }, images: [ofAnn.id] }))).toBe('403 forbidden')
  expect(await copied(operators.ann, ofBob)).toBe('succeeded')
  expect(await copied(operators.bob, second)).toStartWith(refused)
  // A copy that is here is not counted twice, and counts for uploads.
  expect(await copied(operators.bob, ofBob)).toBe('succeeded')
  expect(shown(await bob.ask('POST', '/v1/uploads', undefined, { 'tus-resumable': '1.0.0', 'upload-length': '1000' }))).toBe('429 limit-reached')
  expect([await namesOf(ann, 'ann'), await namesOf(bob, 'bob')]).toEqual([['ann-1'], ['of-bob']])
  await bob.ask('DELETE', `/v1/images/${ofBob.id}?permanent=true`)
  expect(await copied(operators.ann, second)).toBe('succeeded')
  expect(await namesOf(bob, 'bob')).toEqual(['of-bob-2'])
})
