// Images and slices over HTTP: what each route accepts, returns and refuses.

import { describe, expect, test } from 'bun:test'
import { syncRoutes } from '../../../../agent/http/routes/sync.ts'
import { digestBytes, formatDigest, sha256 } from '../../../../protocol/slices/digest.ts'
import type { Digest } from '../../../../protocol/slices/digest.ts'
import { decodeFrames } from '../../../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../../../protocol/slices/frames.ts'
import { problem, problemCode, ProblemError } from '../../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'

async function codeOf(run: Promise<unknown>): Promise<string> {
  try {
    await run
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

describe('/v1/images', () => {
  test('lists with filters and pages, shows by id and by name', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const { images } = server.client
    for (let i = 0; i < 5; i++) await store.add(seededBytes(1000, i + 1), { name: `image ${i}`, owner: i % 2 === 0 ? 'ann' : 'bob' })
    const all = []
    for await (const image of images.all()) all.push(image.name)
    expect(all).toEqual(['image 4', 'image 3', 'image 2', 'image 1', 'image 0'])
    const first = await images.list({ limit: 2, owner: 'ann' })
    expect(first.items.map(({ name }) => name)).toEqual(['image 4', 'image 2'])
    expect((await images.list({ limit: 2, owner: 'ann', cursor: first.next ?? '' })).items.map(({ name }) => name)).toEqual(['image 0'])
    const shown = await images.get('image 3')
    expect(shown.uniqueSize).toBe(shown.storedSize)
    expect(await images.get(shown.id)).toEqual(shown)
    expect(await codeOf(images.get('img_none'))).toBe('not-found')
    expect(await codeOf(images.list({ limit: 0 }))).toBe('invalid-input')
    expect(await codeOf(images.list({ cursor: '%%' }))).toBe('invalid-input')
  })

  test('counts what deleting several images would free as a union', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const { images } = server.client
    const shared = seededBytes(300_000, 1)
    const one = await store.add(shared, { name: 'one' })
    const two = await store.add(Buffer.concat([shared, seededBytes(30_000, 2)]), { name: 'two' })
    await store.add(seededBytes(50_000, 3), { name: 'other' })
    const alone = [await images.uniqueSize([one.id]), await images.uniqueSize(['two'])]
    expect(alone).toEqual([(await images.get('one')).uniqueSize, (await images.get('two')).uniqueSize])
    const both = await images.uniqueSize([two.id, 'one', one.id])
    expect(both).toBeGreaterThanOrEqual(320_000)
    // The content behind the shared part moves the last cut, so the images differ in their last slice of at most 128 KiB.
    expect(both).toBeLessThan(330_000 + 128 * 1024)
    expect(alone.reduce<number>((sum, size) => sum + (size ?? 0), 0)).toBeLessThan(300_000)
    await store.catalogue.delete(one.id, 'test')
    await store.catalogue.delete(two.id, 'test')
    await store.catalogue.purge(one.id, 'test')
    await store.catalogue.purge(two.id, 'test')
    expect((await store.slices.gc({ dryRun: true })).deadBytes).toBeGreaterThanOrEqual(both ?? 0)
    expect(await codeOf(images.uniqueSize(['img_none']))).toBe('not-found')
    expect(await codeOf(images.uniqueSize([]))).toBe('invalid-input')
    expect(await codeOf(images.uniqueSize(Array.from({ length: 101 }, () => 'other')))).toBe('invalid-input')
  })

  test('changes, binds and grants', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const { images } = server.client
    const { id } = await store.add(seededBytes(1000, 1), { name: 'one' })
    expect(await images.patch('one', { name: 'two', os: 'debian', requirements: { cpus: 2, memory: null, disk: null } })).toMatchObject({
      name: 'two',
      os: 'debian',
    })
    expect(await codeOf(images.patch(id, {}))).toBe('invalid-input')
    expect(await codeOf(images.patch(id, { name: 'a\u0007b' }))).toBe('invalid-input')
    await images.bind(id, 'vm/1 ü')
    expect((await images.bind(id, 'vm/1 ü')).bindings).toEqual(['vm/1 ü'])
    await images.grant(id, 'user:ann')
    expect((await images.grant(id, 'group:ops/edge')).grants).toEqual([
      { subject: 'group:ops/edge', rights: ['read', 'use'] },
      { subject: 'user:ann', rights: ['read', 'use'] },
    ])
    // The rights replace those before; each other right includes read.
    expect((await images.grant(id, 'user:ann', { set: ['manage'] })).grants[1]).toEqual({ subject: 'user:ann', rights: ['read', 'manage'] })
    expect(await codeOf(images.grant(id, 'ann'))).toBe('invalid-input')
    expect(await codeOf(images.delete(id))).toBe('image-bound')
    expect((await images.unbind(id, 'vm/1 ü')).bindings).toEqual([])
    expect((await images.revoke(id, 'user:ann')).grants).toEqual([{ subject: 'group:ops/edge', rights: ['read', 'use'] }])
    expect(await images.delete(id)).toMatchObject({ status: 'deleted', grants: [{ subject: 'group:ops/edge', rights: ['read', 'use'] }] })
    expect((await images.list()).items).toEqual([])
    expect(await codeOf(images.content(id))).toBe('wrong-status')
    expect(await images.restore(id)).toMatchObject({ status: 'available' })
  })

  test('requires a role for changes', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const { id } = await store.add(seededBytes(1000, 1))
    const ask = async (method: string, path: string, token?: string) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      return (await fetch(`${server.url}/v1/images${path}`, { method, headers })).status
    }
    expect(await ask('GET', '')).toBe(401)
    expect(await ask('GET', `/${id}/content`)).toBe(401)
    expect(await ask('GET', '', 'viewer')).toBe(200)
    expect(await ask('DELETE', `/${id}`, 'uploader')).toBe(403)
    expect(await ask('DELETE', `/${id}`, 'operator')).toBe(200)
  })
})

describe('manifest', () => {
  test('is sent as it is on disk, with its digest as ETag', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const image = await store.add(seededBytes(500_000, 1))
    const headers = { authorization: 'Bearer viewer' }
    const response = await fetch(`${server.url}/v1/images/${image.id}/manifest`, { headers })
    expect(response.headers.get('content-type')).toBe('application/vnd.slipway.manifest')
    expect(response.headers.get('etag')).toBe(`"${image.manifestDigest}"`)
    const onDisk = await Bun.file(folder.file('mount', 'images', image.id, 'manifest')).bytes()
    expect(await response.bytes()).toEqual(onDisk)
    const again = await fetch(`${server.url}/v1/images/${image.id}/manifest`, { headers: { ...headers, 'if-none-match': `"${image.manifestDigest}"` } })
    expect(again.status).toBe(304)
  })
})

describe('slices', () => {
  test('that are missing are listed, and stored ones are sent in order', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const image = await store.add(seededBytes(3_000_000, 1))
    const manifest = await manifestOf(store.catalogue, image.id)
    const digests = Array.from({ length: manifest.count }, (_value, i) => formatDigest(manifest.digestAt(i))).toReversed()
    const unknown = await sha256(new Uint8Array(1))
    expect(await server.client.slices.missing([...digests, unknown])).toEqual([unknown])
    const frames: SliceFrame[] = []
    for await (const frame of server.client.slices.fetch(digests)) frames.push(frame)
    expect(frames.map((frame) => formatDigest(frame.digest))).toEqual(digests)
    expect(frames.reduce((sum, frame) => sum + frame.length, 0)).toBe(3_000_000)
    const fetchUnknown = async () => {
      for await (const _frame of server.client.slices.fetch([...digests, unknown])) throw new Error('nothing may be sent')
    }
    expect(await codeOf(fetchUnknown())).toBe('not-found')
    expect(await codeOf(server.client.slices.missing(['sha256:xyz']))).toBe('invalid-input')
  })

  test('of images in the recycle bin, in error, purged or being removed look as if they were not stored', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const shared = seededBytes(1_000_000, 1)
    const kept = await store.add(shared)
    const image = await store.add(Buffer.concat([shared, seededBytes(1_000_000, 2)]))
    const damaged = await store.add(seededBytes(1_000_000, 3), { digest: `sha256:${'0'.repeat(64)}` })
    expect(store.catalogue.need(damaged.id).status).toBe('error')
    const digestsOf = async (id: string): Promise<Digest[]> => {
      const manifest = await manifestOf(store.catalogue, id)
      return Array.from({ length: manifest.count }, (_value, i) => formatDigest(manifest.digestAt(i)))
    }
    const [keptDigests, allDigests, errorDigests] = [await digestsOf(kept.id), await digestsOf(image.id), await digestsOf(damaged.id)]
    const own = allDigests.filter((digest) => !keptDigests.includes(digest))
    const unknown = await sha256(new Uint8Array(1))
    const fetchOf = async (digests: readonly Digest[], imageId?: string): Promise<[number, unknown]> => {
      const body = JSON.stringify({ digests, ...(imageId === undefined ? {} : { image: imageId }) })
      const headers = { authorization: 'Bearer viewer', 'content-type': 'application/json' }
      const answer = await fetch(`${server.url}/v1/slices/fetch`, { method: 'POST', headers, body })
      if (answer.ok) return [answer.status, (await answer.bytes()).length > 0]
      return [answer.status, { ...((await answer.json()) as object), missing: digests.length, requestId: '' }]
    }
    const refused = await fetchOf([unknown])
    expect(refused[0]).toBe(404)
    const expectHidden = async (digests: readonly Digest[], imageId: string): Promise<void> => {
      for (const digest of digests.slice(0, 3)) for (const hint of [undefined, imageId]) expect(await fetchOf([digest], hint)).toEqual(refused)
      expect(await server.client.slices.missing(digests)).toEqual([...digests])
    }
    await expectHidden(errorDigests, damaged.id)
    expect(await fetchOf(own)).toEqual([200, true])
    await server.client.images.delete(image.id)
    await expectHidden(own, image.id)
    expect(await fetchOf(keptDigests)).toEqual([200, true])
    for (const path of ['content', 'manifest']) {
      const answer = await fetch(`${server.url}/v1/images/${image.id}/${path}`, { headers: { authorization: 'Bearer admin' } })
      expect([path, answer.status, ((await answer.json()) as { type: string }).type]).toEqual([path, 409, 'urn:slipway:problem:wrong-status'])
    }
    await server.client.images.restore(image.id)
    expect(await fetchOf(own)).toEqual([200, true])
    await server.client.images.delete(image.id, { permanent: true })
    expect(store.slices.missing(own.map(digestBytes))).toEqual([])
    await expectHidden(own, image.id)
    // Slices that are stored and hidden are stored again without a second copy.
    const { storedBytes } = store.slices.stats()
    const again = await store.add(Buffer.concat([shared, seededBytes(1_000_000, 2)]))
    expect(store.slices.stats().storedBytes).toBe(storedBytes)
    expect(again.manifestDigest).toBe(image.manifestDigest)
    expect(await fetchOf(own)).toEqual([200, true])
  })

  test('of no digests are an end frame', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const response = await fetch(`${server.url}/v1/slices/fetch`, {
      method: 'POST',
      headers: { authorization: 'Bearer viewer', 'content-type': 'application/json' },
      body: JSON.stringify({ digests: [] }),
    })
    expect(response.headers.get('content-type')).toBe('application/vnd.slipway.slices')
    const body = await response.bytes()
    const source = async function* () {
      yield body
    }
    for await (const _frame of decodeFrames(source())) throw new Error('there is none')
    expect(body).toHaveLength(48)
  })
})

describe('/v1/sync', () => {
  test('accepts a request, unless the store is disabled', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    let isEnabled = true
    const gate = {
      isEnabled: () => isEnabled,
      requireEnabled: () => {
        if (!isEnabled) throw problem('store-disabled', 'The store is disabled.')
      },
    }
    const task = {
      id: 'tsk_1',
      kind: 'sync',
      state: 'queued',
      progress: { done: 0, total: null, unit: 'bytes', rate: 0, etaSeconds: null },
      subject: 'x',
      createdBy: 'admin',
      createdAt: '2026-01-01T00:00:00.000Z',
      endedAt: null,
    } as const
    await using server = await serveImages(store, { routes: syncRoutes({ gate, sync: { start: async () => task } }) })
    const order = { source: { url: 'http://127.0.0.1:1', token: 't' }, images: ['x'] }
    expect(await server.client.sync(order)).toEqual(task)
    expect(await codeOf(server.client.sync({ ...order, images: [] }))).toBe('invalid-input')
    expect(await codeOf(server.client.sync({ ...order, source: { url: 'ftp://x', token: 't' } }))).toBe('invalid-input')
    isEnabled = false
    expect(await codeOf(server.client.sync(order))).toBe('store-disabled')
  })
})
