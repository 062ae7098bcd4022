// The limits on images per owner, by number and by bytes: they hold for every way an owner gets an image, including concurrent requests.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createOwnerLimit } from '../../../agent/images/owner-limit.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

async function refusal(run: () => unknown): Promise<ProblemError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ProblemError && problemCode(error.problem) === 'limit-reached') return error
    throw error
  }
  throw new Error('nothing was refused')
}

const bytes = (seed: number): Uint8Array => seededBytes(5000, seed)

/** Starts an upload server with limits per owner; 0 is no limit. */
async function startLimited(imagesMax: number, bytesMax = 0): Promise<UploadServer> {
  const limit = createOwnerLimit({
    imagesMax,
    bytesMax,
    images: () => [...server.publisher.images.values()].map(({ image }) => image),
    expected: () => server.uploads.expectedImages(),
  })
  const server: UploadServer = await startUploadServer({ admit: (image) => limit.claim(image) })
  return server
}
const ownedBy = (owner: string): string => `owner ${btoa(owner)}`
const create = (server: UploadServer, headers: Record<string, string>): Promise<Response> =>
  server.ask('POST', server.endpoint, { 'Upload-Length': '4', ...headers })

describe('an image in the catalogue', () => {
  test('is refused at the limit when its owner is changed, with an action', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { imagesPerOwnerMax: 1 })
    const { id: first } = await store.add(bytes(1), { owner: 'ann' })
    const { id: second } = await store.add(bytes(2), { owner: 'bob' })
    const error = await refusal(() => store.catalogue.patch(second, { owner: 'ann' }, 'test'))
    expect(error.message).toBe('Maximum image limit reached: owner ann has 1 image, unfinished uploads included; the limit is 1.')
    expect(error.problem).toMatchObject({
      owner: 'ann',
      limit: 1,
      action: 'Delete an image of this owner, cancel an unfinished upload, or raise images.max-per-owner in the configuration of the store.',
    })
    expect(store.catalogue.need(second).owner).toBe('bob')
    // A patch that keeps the owner does not count.
    expect(await store.catalogue.patch(first, { owner: 'ann', description: 'mine' }, 'test')).toMatchObject({ owner: 'ann', description: 'mine' })
    await store.catalogue.patch(first, { owner: 'cid' }, 'test')
    expect(await store.catalogue.patch(second, { owner: 'ann' }, 'test')).toMatchObject({ owner: 'ann' })
  })

  test('is refused when two images get the same owner concurrently', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { imagesPerOwnerMax: 1 })
    const ids = [(await store.add(bytes(1), { owner: 'bob' })).id, (await store.add(bytes(2), { owner: 'cid' })).id]
    const outcomes = await Promise.allSettled(ids.map((id) => store.catalogue.patch(id, { owner: 'ann' }, 'test')))
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(store.catalogue.list({ owner: 'ann' }, { limit: 10 }).items).toHaveLength(1)
  })

  test('does not count in the recycle bin, and is refused when it is restored at the limit', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { imagesPerOwnerMax: 1 })
    const { id: first } = await store.add(bytes(1), { owner: 'ann' })
    const { id: second } = await store.add(bytes(2), { owner: 'bob' })
    await store.catalogue.delete(first, 'test')
    await store.catalogue.patch(second, { owner: 'ann' }, 'test')
    await refusal(() => store.catalogue.restore(first, 'test'))
    expect(store.catalogue.need(first).status).toBe('deleted')
    // The owner of an image in the recycle bin may be changed; the limit is checked when it is restored.
    await store.catalogue.patch(first, { owner: 'bob' }, 'test')
    expect(await store.catalogue.restore(first, 'test')).toMatchObject({ status: 'available', owner: 'bob' })
  })

  test('without an owner counts together with all images without an owner', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { imagesPerOwnerMax: 1 })
    await store.add(bytes(1))
    const { id } = await store.add(bytes(2), { owner: 'ann' })
    expect((await refusal(() => store.catalogue.patch(id, { owner: null }, 'test'))).message).toContain('the store has 1 image without an owner')
    await refusal(() => store.catalogue.patch(id, { owner: '' }, 'test'))
  })
})

describe('an upload', () => {
  test('counts from its creation until it is cancelled, even after a restart', async () => {
    await using server = await startLimited(1)
    const first = await create(server, { 'Upload-Metadata': ownedBy('ann') })
    expect(first.status).toBe(201)
    const second = await create(server, { 'Upload-Metadata': ownedBy('ann') })
    expect(second.status).toBe(429)
    expect(await second.json()).toMatchObject({ type: 'urn:slipway:problem:limit-reached', owner: 'ann', limit: 1 })
    await server.restart()
    expect((await create(server, { 'Upload-Metadata': ownedBy('ann') })).status).toBe(429)
    expect((await create(server, { 'Upload-Metadata': ownedBy('bob') })).status).toBe(201)
    expect((await server.ask('DELETE', first.headers.get('Location') ?? '')).status).toBe(204)
    expect((await create(server, { 'Upload-Metadata': ownedBy('ann') })).status).toBe(201)
  })

  test('is refused when many are created concurrently, and every admitted one becomes an image', async () => {
    await using server = await startLimited(3)
    const answers = await Promise.all(
      Array.from({ length: 12 }, () =>
        server.ask(
          'POST',
          server.endpoint,
          { 'Upload-Length': '4', 'Upload-Metadata': ownedBy('ann'), 'Content-Type': 'application/offset+octet-stream' },
          'abcd',
        ),
      ),
    )
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(9)
    expect(server.publisher.images.size).toBe(3)
    expect([...server.uploads.expectedImages()]).toEqual([])
  })

  test('without an owner counts as well', async () => {
    await using server = await startLimited(1)
    expect((await create(server, {})).status).toBe(201)
    expect((await create(server, {})).status).toBe(429)
    expect((await create(server, { 'Upload-Metadata': ownedBy('ann') })).status).toBe(201)
  })

  test('that concatenates others counts as one image, and its parts do not count', async () => {
    await using server = await startLimited(1)
    const parts: string[] = []
    for (const body of ['abcd', 'efgh']) {
      const answer = await server.ask(
        'POST',
        server.endpoint,
        { 'Upload-Length': '4', 'Upload-Concat': 'partial', 'Upload-Metadata': ownedBy('ann'), 'Content-Type': 'application/offset+octet-stream' },
        body,
      )
      expect(answer.status).toBe(201)
      parts.push(answer.headers.get('Location') ?? '')
    }
    const concatenate = (): Promise<Response> =>
      server.ask('POST', server.endpoint, { 'Upload-Concat': `final;${parts.join(' ')}`, 'Upload-Metadata': ownedBy('ann') })
    expect((await concatenate()).status).toBe(201)
    expect((await concatenate()).status).toBe(429)
  })
})

describe('the limit on bytes', () => {
  test('refuses an upload by its declared length, and counts unfinished uploads', async () => {
    await using server = await startLimited(0, 1000)
    const of = (length: number, owner = 'ann') => create(server, { 'Upload-Length': String(length), 'Upload-Metadata': ownedBy(owner) })
    expect((await of(1001)).status).toBe(429)
    const first = await of(600)
    expect(first.status).toBe(201)
    const refused = await of(401)
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({
      type: 'urn:slipway:problem:limit-reached',
      detail: 'Maximum image limit reached: the images of owner ann have 600 B, unfinished uploads included, and this image has 401 B; the limit is 1.0 kB.',
      action: 'Delete an image of this owner, cancel an unfinished upload, or raise images.max-bytes-per-owner in the configuration of the store.',
      limitBytes: 1000,
      usedBytes: 600,
      lengthBytes: 401,
      owner: 'ann',
    })
    expect((await of(401, 'bob')).status).toBe(201)
    expect((await of(400)).status).toBe(201)
    expect((await of(1)).status).toBe(429)
    expect((await server.ask('DELETE', first.headers.get('Location') ?? '')).status).toBe(204)
    expect((await of(600)).status).toBe(201)
  })

  test('refuses a deferred length when it is declared, and counts the bytes that arrived before', async () => {
    await using server = await startLimited(0, 1000)
    const deferred = { 'Upload-Length': null, 'Upload-Defer-Length': '1', 'Upload-Metadata': ownedBy('ann') }
    const made = await server.ask('POST', server.endpoint, deferred)
    expect(made.status).toBe(201)
    const path = made.headers.get('Location') ?? ''
    const append = (offset: number, body: string, headers: Record<string, string> = {}) =>
      server.ask('PATCH', path, { 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream', ...headers }, body)
    expect((await append(0, 'x'.repeat(300))).status).toBe(204)
    expect((await create(server, { 'Upload-Length': '701', 'Upload-Metadata': ownedBy('ann') })).status).toBe(429)
    expect((await create(server, { 'Upload-Length': '500', 'Upload-Metadata': ownedBy('ann') })).status).toBe(201)
    // A body that would exceed it is refused before it is read, also while the length is deferred.
    const grown = await append(300, 'y'.repeat(201))
    expect([grown.status, grown.headers.get('Upload-Offset')]).toEqual([429, '300'])
    const refused = await append(300, 'y'.repeat(10), { 'Upload-Length': '501' })
    expect(refused.status).toBe(429)
    expect(refused.headers.get('Upload-Offset')).toBe('300')
    expect((await append(300, 'y'.repeat(200), { 'Upload-Length': '500' })).status).toBe(204)
    expect(server.publisher.images.size).toBe(1)
  })

  test('refuses a concatenation by the length of all its parts, and nothing of it stays', async () => {
    await using server = await startLimited(0, 7)
    const body = { 'Upload-Length': '4', 'Upload-Concat': 'partial', 'Content-Type': 'application/offset+octet-stream' }
    const parts = [await server.ask('POST', server.endpoint, body, 'abcd'), await server.ask('POST', server.endpoint, body, 'efgh')]
    const list = parts.map((part) => part.headers.get('Location') ?? '')
    const concatenate = (of: readonly string[]) =>
      server.ask('POST', server.endpoint, { 'Upload-Concat': `final;${of.join(' ')}`, 'Upload-Metadata': ownedBy('ann') })
    expect((await concatenate(list)).status).toBe(429)
    expect([...server.uploads.expectedImages()]).toEqual([])
    expect((await concatenate(list.slice(0, 1))).status).toBe(201)
  })

  test('holds when many uploads are created at once', async () => {
    await using server = await startLimited(0, 1000)
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(server, { 'Upload-Length': '300', 'Upload-Metadata': ownedBy('ann') })))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3)
    expect([...server.uploads.expectedImages()].map(({ length }) => length)).toEqual([300, 300, 300])
  })

  test('refuses a change of owner and a restore that exceed it', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { bytesPerOwnerMax: 9999 })
    const { id: first } = await store.add(bytes(1), { owner: 'ann' })
    const { id: second } = await store.add(bytes(2), { owner: 'bob' })
    expect((await refusal(() => store.catalogue.patch(second, { owner: 'ann' }, 'test'))).problem).toMatchObject({
      usedBytes: 5000,
      lengthBytes: 5000,
      limitBytes: 9999,
    })
    expect(store.catalogue.need(second).owner).toBe('bob')
    await store.catalogue.patch(first, { owner: 'ann', description: 'kept' }, 'test')
    await store.catalogue.delete(first, 'test')
    await store.catalogue.patch(second, { owner: 'ann' }, 'test')
    await refusal(() => store.catalogue.restore(first, 'test'))
    await store.catalogue.delete(second, 'test')
    expect(await store.catalogue.restore(first, 'test')).toMatchObject({ status: 'available', owner: 'ann' })
  })

  test('is reached exactly at the limit', () => {
    const limit = createOwnerLimit({ imagesMax: 0, bytesMax: 100, images: () => [], expected: () => [{ id: 'img_a', owner: null, length: 60 }] })
    using held = limit.claim({ id: 'img_b', owner: '', length: 40 })
    expect(held).toBeDefined()
    expect(() => limit.claim({ id: 'img_c', owner: null, length: 1 })).toThrow('the images without an owner have 100 B')
    expect(() => limit.claim({ id: 'img_c', owner: null, length: 0 })).not.toThrow()
    expect(() => limit.claim({ id: 'img_a', owner: null, length: 60 })).not.toThrow()
    expect(() => limit.claim({ id: 'img_a', owner: null, length: 61 })).toThrow('the images without an owner have 40 B')
  })
})

describe('no limit', () => {
  test('admits any number', () => {
    const images = Array.from({ length: 1000 }, (_, i) => ({ id: `img_${i}`, owner: 'ann', length: 1e12 }))
    const limit = createOwnerLimit({ imagesMax: 0, bytesMax: 0, images: () => [], expected: () => images })
    expect(() => limit.claim({ id: 'img_x', owner: 'ann', length: 1e12 })).not.toThrow()
  })
})
