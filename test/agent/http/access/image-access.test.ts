// The rules of rights on images over HTTP, each with users who have the right and users who do not.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Task } from '../../../../protocol/task.ts'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { openAccessStage } from './access-stage.ts'
import type { AccessStage, User } from './access-stage.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let stage: AccessStage
let admin: User
let ann: User
let bob: User
let dev: User
let seed = 100

beforeAll(async () => {
  stage = await openAccessStage()
  admin = stage.admin
  ann = await stage.user({ name: 'token of ann', role: 'uploader', subject: 'ann' })
  bob = await stage.user({ name: 'token of bob', role: 'uploader', subject: 'bob' })
  dev = await stage.user({ name: 'token of the developers', role: 'viewer', groups: ['dev'] })
}, 60_000)

afterAll(() => stage[Symbol.asyncDispose]())

/** Uploads an image with content of its own. */
const add = (user: User, name: string): Promise<Image> => stage.upload(user, name, { seed: ++seed })
const grant = (image: Image, subject: string, set?: readonly string[], user = admin) =>
  user.ask('PUT', `/v1/images/${image.id}/grants/${subject}`, set && { set })
const revoke = (image: Image, subject: string) => admin.ask('DELETE', `/v1/images/${image.id}/grants/${subject}`)
const names = async (user: User, query = ''): Promise<string[]> => {
  const { json } = await user.ask('GET', `/v1/images${query}`)
  return (json as { items: Image[] }).items.map(({ name }) => name)
}

describe('an image without grants', () => {
  test('is read by every viewer, and changed by its owner and by operators only', async () => {
    const image = await add(ann, 'open')
    expect(image.owner).toBe('ann')
    for (const user of [ann, bob, dev, admin]) {
      expect((await user.ask('GET', `/v1/images/${image.id}`)).status).toBe(200)
      expect((await user.ask('GET', `/v1/images/${image.id}/content`)).status).toBe(200)
    }
    for (const [user, status] of [
      [bob, 403],
      [dev, 403],
      [ann, 200],
      [admin, 200],
    ] as const) {
      expect((await user.ask('PATCH', `/v1/images/${image.id}`, { description: 'x' })).status).toBe(status)
      expect((await user.ask('PUT', `/v1/images/${image.id}/bindings/vm-1`)).status).toBe(status)
      expect((await user.ask('DELETE', `/v1/images/${image.id}/bindings/vm-1`)).status).toBe(status)
      expect((await user.ask('POST', `/v1/images/${image.id}/restore`)).status).toBe(status === 200 ? 409 : 403)
    }
    const refused = await bob.ask('DELETE', `/v1/images/${image.id}`)
    expect(refused.json).toMatchObject({ requiredRight: 'manage', requiredRole: 'operator', detail: expect.stringContaining('open') })
    expect((await ann.ask('DELETE', `/v1/images/${image.id}`)).status).toBe(200)
    expect((await ann.ask('POST', `/v1/images/${image.id}/restore`)).status).toBe(200)
    expect((await ann.ask('DELETE', `/v1/images/${image.id}?permanent=true`)).status).toBe(204)
  })

  test('that a link of a token uploaded belongs to the user of the token', async () => {
    const made = await ann.ask('POST', '/v1/links', { kind: 'upload' })
    const { pathname, search } = new URL((made.json as { url: string }).url)
    const image = await stage.upload(stage.nobody, 'by link', { seed: ++seed, url: pathname + search })
    expect(image.owner).toBe('ann')
    // A declared owner stays.
    expect((await stage.upload(ann, 'for bob', { seed: ++seed, metadata: { owner: 'bob' } })).owner).toBe('bob')
    expect((await stage.upload(admin, 'of nobody', { seed: ++seed })).owner).toBeNull()
  })
})

describe('a grant', () => {
  const rights: [string, readonly string[] | undefined, readonly string[], { content: number; bind: number; edit: number; link: number }][] = [
    ['without rights', undefined, ['read', 'use'], { content: 200, bind: 200, edit: 403, link: 201 }],
    ['of read', ['read'], ['read'], { content: 200, bind: 403, edit: 403, link: 403 }],
    ['of use', ['use'], ['read', 'use'], { content: 200, bind: 200, edit: 403, link: 201 }],
    ['of export', ['export'], ['read', 'export'], { content: 200, bind: 403, edit: 403, link: 403 }],
    ['of manage', ['manage'], ['read', 'manage'], { content: 200, bind: 403, edit: 200, link: 403 }],
    ['of everything', ['manage', 'export', 'use', 'read'], ['read', 'use', 'export', 'manage'], { content: 200, bind: 200, edit: 200, link: 201 }],
  ]
  test.each(rights)('%s lets its user do that, and nobody else', async (_what, set, stored, expected) => {
    const image = await add(ann, 'granted')
    const granted = await grant(image, 'user:bob', set)
    expect((granted.json as Image).grants).toEqual([{ subject: 'user:bob', rights: stored as never }])
    const path = `/v1/images/${image.id}`
    const done = {
      content: (await bob.ask('GET', `${path}/content`)).status,
      bind: (await bob.ask('PUT', `${path}/bindings/vm-1`)).status,
      edit: (await bob.ask('PATCH', path, { description: 'x' })).status,
      link: (await bob.ask('POST', '/v1/links', { kind: 'download', image: image.id })).status,
    }
    expect(done).toEqual(expected)
    for (const [method, part, body] of [
      ['GET', '', undefined],
      ['GET', '/content', undefined],
      ['PUT', '/bindings/vm-2', undefined],
      ['PATCH', '', { description: 'y' }],
      ['DELETE', '', undefined],
      ['PUT', '/grants/group:dev', undefined],
    ] as const)
      expect([part, (await dev.ask(method, path + part, body)).code]).toEqual([part, 'not-found'])
    // The owner keeps every right.
    expect((await ann.ask('PATCH', path, { description: 'z' })).status).toBe(200)
  })

  test('of manage lets its user grant and revoke; its last grant that is revoked opens the image to every viewer', async () => {
    const image = await add(admin, 'managed')
    await grant(image, 'user:bob', ['manage'])
    expect((await dev.ask('GET', `/v1/images/${image.id}`)).code).toBe('not-found')
    expect((await grant(image, 'group:dev', ['read'], bob)).status).toBe(200)
    expect((await dev.ask('GET', `/v1/images/${image.id}`)).status).toBe(200)
    expect((await ann.ask('GET', `/v1/images/${image.id}`)).code).toBe('not-found')
    expect((await bob.ask('DELETE', `/v1/images/${image.id}/grants/group:dev`)).status).toBe(200)
    expect((await dev.ask('GET', `/v1/images/${image.id}`)).code).toBe('not-found')
    expect((await bob.ask('DELETE', `/v1/images/${image.id}/grants/user:bob`)).status).toBe(200)
    for (const user of [ann, bob, dev]) expect((await user.ask('GET', `/v1/images/${image.id}`)).status).toBe(200)
    expect((await grant(image, 'user:bob', undefined, bob)).code).toBe('forbidden')
  })

  test('that is not a list of known rights, or names neither a user nor a group, is refused', async () => {
    const image = await add(admin, 'strict')
    for (const set of [[], ['write'], ['read', 'read', 'read', 'read', 'read'], 'read'])
      expect((await admin.ask('PUT', `/v1/images/${image.id}/grants/user:bob`, { set })).code).toBe('invalid-input')
    expect((await admin.ask('PUT', `/v1/images/${image.id}/grants/user:bob`, { rights: ['read'] })).code).toBe('invalid-input')
    for (const subject of ['bob', 'user:', 'role:admin']) expect((await grant(image, subject)).code).toBe('invalid-input')
  })

  test('that is revoked hides the image at once: content, manifest, slices, the name and links that its user created', async () => {
    const image = await add(admin, 'revoked')
    const { visibility, catalogue } = stage.table.parts
    await grant(image, 'user:bob')
    await visibility.settled()
    const manifest = await manifestOf(catalogue, image.id)
    const digests = Array.from({ length: manifest.count }, (_, i) => formatDigest(manifest.digestAt(i)))
    const url = ((await bob.ask('POST', '/v1/links', { kind: 'download', image: image.id })).json as { url: string }).url
    const ofAdmin = ((await admin.ask('POST', '/v1/links', { kind: 'download', image: image.id })).json as { url: string }).url
    const seen = async (): Promise<unknown> => ({
      show: (await bob.ask('GET', '/v1/images/revoked')).code,
      content: (await bob.ask('GET', `/v1/images/${image.id}/content`)).code,
      manifest: (await bob.ask('GET', `/v1/images/${image.id}/manifest`)).code,
      fetch: (await bob.ask('POST', '/v1/slices/fetch', { digests, image: image.id })).code,
      link: (await stage.nobody.ask('GET', url)).code,
    })
    const all = { show: '', content: '', manifest: '', fetch: '', link: '' }
    expect(await seen()).toEqual(all)
    await revoke(image, 'user:bob')
    await grant(image, 'user:cid')
    const none = 'not-found'
    expect(await seen()).toEqual({ show: none, content: none, manifest: none, fetch: none, link: none })
    expect((await bob.ask('POST', '/v1/slices/missing', { digests })).json).toEqual({ missing: digests })
    expect((await stage.nobody.ask('GET', ofAdmin)).status).toBe(200)
    // The right to read alone does not bring the link back: it needs the right to use, as at its creation.
    await grant(image, 'user:bob', ['read'])
    expect(await seen()).toEqual({ ...all, link: none })
    await grant(image, 'user:bob', ['use'])
    expect(await seen()).toEqual(all)
  })
})

describe('a name', () => {
  test('stands for the images that the caller sees', async () => {
    const one = await add(admin, 'twin')
    const two = await add(admin, 'twin')
    await grant(two, 'user:ann')
    expect(((await bob.ask('GET', '/v1/images/twin')).json as Image).id).toBe(one.id)
    expect((await ann.ask('GET', '/v1/images/twin')).json).toMatchObject({ detail: '2 images are named twin.', ids: expect.arrayContaining([one.id, two.id]) })
    await grant(one, 'user:ann')
    expect((await bob.ask('GET', '/v1/images/twin')).code).toBe('not-found')
    expect((await bob.ask('POST', '/v1/unique-size', { images: ['twin'] })).code).toBe('not-found')
  })

  test('that a hidden image has still stands for an image that is uploaded under it', async () => {
    const image = await add(admin, 'taken')
    await grant(image, 'user:ann')
    await bob.ask('POST', '/v1/uploads', undefined, { 'tus-resumable': '1.0.0', 'upload-length': '10', 'upload-metadata': `name ${btoa('taken')}` })
    expect((await bob.ask('GET', '/v1/images/taken')).json).toMatchObject({ status: 'uploading', owner: 'bob' })
    // An image that exists takes precedence for those who see it.
    expect((await ann.ask('GET', '/v1/images/taken')).json).toMatchObject({ id: image.id, status: 'available' })
  })
})

describe('lists', () => {
  test('leave hidden images out: pages are full, the last one says so, and the recycle bin has the same rules', async () => {
    const images: Image[] = []
    for (let i = 0; i < 6; i++) images.push(await add(admin, `page ${i}`))
    for (const image of images.filter((_image, i) => i % 2 === 1)) await grant(image, 'user:ann')
    const walk = async (user: User): Promise<string[]> => {
      const seen: string[] = []
      for (let cursor: string | null = ''; cursor !== null;) {
        const { json } = await user.ask('GET', `/v1/images?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
        const { items, next } = json as { items: Image[]; next: string | null }
        // Only the last page may be shorter, and no page that follows is empty.
        expect(items.length === 2 || (items.length === 1 && next === null)).toBe(true)
        seen.push(...items.map(({ name }) => name).filter((name) => name.startsWith('page ')))
        cursor = next
      }
      return seen
    }
    // Walks all images of the store, whose number is even or odd.
    expect(await walk(bob)).toEqual(['page 4', 'page 2', 'page 0'])
    expect(await walk(ann)).toEqual(['page 5', 'page 4', 'page 3', 'page 2', 'page 1', 'page 0'])
    for (const image of images) await admin.ask('DELETE', `/v1/images/${image.id}`)
    expect((await names(bob, '?status=deleted')).filter((name) => name.startsWith('page '))).toEqual(['page 4', 'page 2', 'page 0'])
    expect((await bob.ask('POST', `/v1/images/${images[1]?.id}/restore`)).code).toBe('not-found')
    expect((await bob.ask('GET', `/v1/images/${images[1]?.id}`)).code).toBe('not-found')
  })

  test('of the folder images have the images that the caller sees', async () => {
    const image = await add(admin, 'folder')
    const list = async (user: User): Promise<boolean> => (await user.ask('GET', '/v1/files?path=images&limit=1000')).text.includes(image.id)
    expect([await list(bob), await list(admin)]).toEqual([true, true])
    await grant(image, 'user:ann')
    expect([await list(bob), await list(ann), await list(admin)]).toEqual([false, true, true])
    expect((await bob.ask('GET', `/v1/files?path=images/${image.id}`)).code).toBe('not-found')
    expect((await ann.ask('GET', `/v1/files?path=images/${image.id}`)).status).toBe(200)
    for (const path of ['exports', 'inbox', 'quarantine', 'uploads', 'sync']) expect((await ann.ask('GET', `/v1/files?path=${path}`)).code).not.toBe('')
  })
})

describe('the unique size of an image', () => {
  test('does not show that a hidden image shares its slices', async () => {
    const content = ++seed
    const image = await stage.upload(admin, 'shared one', { seed: content })
    const alone = (await bob.ask('GET', `/v1/images/${image.id}`)).json as Image
    expect(alone.uniqueSize).toBe(alone.storedSize as number)
    const other = await stage.upload(admin, 'shared two', { seed: content })
    await grant(other, 'user:ann')
    for (const user of [bob, dev]) {
      expect((await user.ask('GET', `/v1/images/${image.id}`)).json).toEqual(alone)
      expect((await user.ask('POST', '/v1/unique-size', { images: [image.id] })).json).toEqual({ uniqueSize: alone.uniqueSize })
    }
    for (const user of [ann, admin]) expect(((await user.ask('GET', `/v1/images/${image.id}`)).json as Image).uniqueSize).toBe(0)
    expect(((await bob.ask('GET', '/v1/images?name=shared+one')).json as { items: Image[] }).items).toEqual([alone])
    await revoke(other, 'user:ann')
    expect(((await bob.ask('GET', `/v1/images/${image.id}`)).json as Image).uniqueSize).toBe(0)
  })
})

describe('events and tasks', () => {
  test('about an image are shown to those who may see it, also in a stream that is open when that changes', async () => {
    const image = await add(admin, 'eventful')
    const about = async (user: User): Promise<number> => {
      const { json } = await user.ask('GET', '/v1/events?limit=1000')
      return (json as { items: unknown[] }).items.filter((event) => JSON.stringify(event).includes(image.id)).length
    }
    const { events } = stage.table.parts
    const stream = await openStream(bob, events.latestId())
    await admin.ask('PATCH', `/v1/images/${image.id}`, { description: 'first' })
    expect(await stream.until('image.changed')).toContain(image.id)
    expect(await about(bob)).toBe(await about(admin))
    await grant(image, 'user:ann')
    expect([await about(bob), await about(ann)]).toEqual([0, await about(admin)])
    for (let i = 0; i < 150; i++) events.emit({ type: 'image.changed', severity: 'info', subject: image.id, message: 'hidden' })
    await admin.ask('PATCH', '/v1/store', { description: 'seen' })
    expect(await stream.until('store.changed')).not.toContain(image.id)
    await stream.cancel()
    // Nobody but operators sees what is left of an image that is gone.
    await admin.ask('DELETE', `/v1/images/${image.id}?permanent=true`)
    expect([await about(bob), await about(ann)]).toEqual([0, 0])
    expect(await about(admin)).toBeGreaterThan(150)
  })

  test('pages of tasks are full, and tasks about images that are known by a name only are shown to operators', async () => {
    const { tasks } = stage.table.parts
    const image = await add(admin, 'tasked')
    const start = (kind: 'gc' | 'sync', subject: string) => tasks.start({ kind, subject, createdBy: 'test', params: {}, key: `${kind} ${subject} ${++seed}` })
    const started: string[] = []
    for (const subject of [image.id, 'a name elsewhere', 'the store', image.id, 'the store']) {
      const { id } = await start(subject === 'the store' ? 'gc' : 'sync', subject)
      started.push(id)
      await tasks.ended(id)
    }
    const walk = async (user: User): Promise<string[]> => {
      const seen: string[] = []
      for (let cursor: string | null = ''; cursor !== null;) {
        const { json } = await user.ask('GET', `/v1/tasks?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
        const { items, next } = json as { items: { id: string }[]; next: string | null }
        if (next !== null) expect(items).toHaveLength(1)
        seen.push(...items.map(({ id }) => id))
        cursor = next
      }
      return seen.filter((id) => started.includes(id)).toReversed()
    }
    const without = (...hidden: number[]): string[] => started.filter((_id, i) => !hidden.includes(i))
    expect([await walk(admin), await walk(bob)]).toEqual([started, without(1)])
    await grant(image, 'user:ann')
    expect([await walk(admin), await walk(ann), await walk(bob)]).toEqual([started, without(1), without(0, 1, 3)])
    expect((await bob.ask('GET', `/v1/tasks/${started[0]}`)).code).toBe('not-found')
    expect((await ann.ask('GET', `/v1/tasks/${started[0]}`)).status).toBe(200)
    expect((await ann.ask('GET', `/v1/tasks/${started[1]}`)).code).toBe('not-found')
  })
})

describe('a task', () => {
  test('whose image does not exist is shown to who ordered it, until there is an image that it may not see', async () => {
    const { tasks } = stage.table.parts
    const image = await add(admin, 'ordered')
    const order = { kind: 'sync', createdBy: 'the same name', params: {}, creatorTokenId: bob.tokenId } as const
    const [unknown, named, known] = await Promise.all(
      ['img_0123456789abcdefghjkmnpqrs', 'a name elsewhere', image.id].map((subject) => tasks.start({ ...order, subject, key: subject })),
    )
    const seen = async (user: User): Promise<number[]> =>
      Promise.all([unknown, named, known].map(async (task) => (await user.ask('GET', `/v1/tasks/${task?.id}`)).status))
    expect([await seen(admin), await seen(bob), await seen(ann)]).toEqual([
      [200, 200, 200],
      [200, 200, 200],
      [404, 404, 200],
    ])
    await grant(image, 'user:ann')
    expect([await seen(bob), await seen(ann)]).toEqual([
      [200, 200, 404],
      [404, 404, 200],
    ])
    const listed = (await bob.ask('GET', '/v1/tasks?limit=1000')).text
    expect([unknown, named, known].map((task) => listed.includes(`"${task?.id}"`))).toEqual([true, true, false])
  })
})

describe('a sync', () => {
  test('copies what its token sees at the source, with the grants, which hold at the target too', async () => {
    const image = await add(admin, 'synced')
    await grant(image, 'user:ann', ['read'])
    const app = stage.table.app
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => app.fetch(request) })
    await using target = await openAccessStage()
    const sync = async (name: string): Promise<Task> => {
      const { token } = await stage.table.parts.access.tokens.create({ name, role: 'viewer', subject: name }, { name: 'test', role: 'admin' })
      const { json } = await target.admin.ask('POST', '/v1/sync', { source: { url: `http://127.0.0.1:${server.port}`, token }, images: ['synced'] })
      return target.table.parts.tasks.ended((json as { id: string }).id)
    }
    expect(await sync('bob')).toMatchObject({ state: 'failed', error: { detail: expect.stringContaining('refused image synced (404, not-found') } })
    expect(await sync('ann')).toMatchObject({ state: 'succeeded' })
    const [annThere, bobThere] = await Promise.all(['ann', 'bob'].map((subject) => target.user({ name: subject, role: 'viewer', subject })))
    expect((await annThere?.ask('GET', '/v1/images/synced'))?.json).toMatchObject({ id: image.id, grants: [{ subject: 'user:ann', rights: ['read'] }] })
    expect((await bobThere?.ask('GET', '/v1/images/synced'))?.code).toBe('not-found')
  })
})

describe('counts', () => {
  test('of the store and its metrics are those of the images that the caller sees', async () => {
    const counts = async (user: User): Promise<[number, number, string]> => {
      const store = (await user.ask('GET', '/v1/store')).json as { images: { available: number }; slices: { imageBytes: number } }
      const metrics = (await user.ask('GET', '/metrics')).text
      return [store.images.available, store.slices.imageBytes, /slipway_images\{status="available"\} (\d+)/.exec(metrics)?.[1] ?? '']
    }
    const [images, bytes] = await counts(bob)
    const image = await add(admin, 'counted')
    expect(await counts(bob)).toEqual([images + 1, bytes + 200_000, String(images + 1)])
    await grant(image, 'user:ann')
    expect(await counts(bob)).toEqual([images, bytes, String(images)])
    const [ofAdmin] = await counts(admin)
    expect(ofAdmin).toBeGreaterThan(images)
  })
})

interface OpenStream {
  /** Returns the text since the last call up to an event of this type. */
  until(type: string): Promise<string>
  cancel(): Promise<void>
}

async function openStream(user: User, since: string): Promise<OpenStream> {
  const reader = (await user.stream(`/v1/events?since=${since}`)).pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    async until(type) {
      while (!new RegExp(`"type":"${type}"[^\\n]*\\n\\n`).test(text)) text += (await reader.read()).value ?? ''
      const found = text
      text = ''
      return found
    },
    cancel: () => reader.cancel(),
  }
}
