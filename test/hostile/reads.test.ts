// Downloads: ranges that cost more to plan than to send, and clients that do not read.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { expectHarmless } from './expect-harmless.ts'
import { openTargetWithImage } from './large-image.ts'
import { connectRaw, requestHead } from './requests.ts'
import { openTarget } from './attack.ts'
import type { AttackTarget } from './attack.ts'

const MIB = 1024 * 1024
const IMAGE_BYTES = 32 * MIB
/** Connections of one attacker that do not read. */
const STALLED = 12

// An agent of its own: memory that transfers of earlier attacks left to the allocator would count against the small budget of a fact.
describe('a request', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTargetWithImage(MIB)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('for facts without a pause', async () => {
    await expectHarmless(target, 'read', async ({ url, headers }) => {
      for (const path of ['/v1/store', '/v1/images/large', '/v1/schedules', '/v1/openapi.json', '/metrics']) {
        const response = await fetch(url + path, { headers: headers('viewer') })
        expect(response.status).toBe(200)
        await response.arrayBuffer()
      }
    })
  })
})

describe('the page', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTargetWithImage(MIB)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('by many at once', async () => {
    await expectHarmless(target, 'page', async ({ url, headers }) => {
      for (const path of ['/', '/page/images?search=a&sort=-storedSize', '/page/uploads', '/page/tasks', '/page/events?_find=a&_sort=message']) {
        const response = await fetch(url + path, { headers: headers('viewer', { accept: 'text/html' }) })
        expect(response.status).toBe(200)
        await response.arrayBuffer()
      }
    })
  })
})

describe('evidence', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTargetWithImage(MIB)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('by many at once', async () => {
    await expectHarmless(target, 'evidence', async ({ url, headers }) => {
      for (let i = 0; i < 5; i++) {
        const response = await fetch(`${url}/v1/evidence`, { headers: headers('operator') })
        expect([200, 429]).toContain(response.status)
        await response.arrayBuffer()
      }
    })
  })
})

describe('a download', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTargetWithImage(IMAGE_BYTES)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('of many ranges in one request', async () => {
    await expectHarmless(target, 'content', async ({ url, headers }) => {
      for (const range of [
        `bytes=${Array.from({ length: 1000 }, (_, i) => `${i * 2}-${i * 2}`).join(',')}`,
        `bytes=${Array.from({ length: 500 }, () => '0-').join(',')}`,
        'bytes=-99999999999999999999',
        'bytes=5-4',
        `bytes=0-${'9'.repeat(300)}`,
      ]) {
        const response = await fetch(`${url}/v1/images/large/content`, { headers: headers('viewer', { range }) })
        expect(response.status).toBeLessThan(500)
        await response.body?.cancel()
      }
    })
  })

  test('of single bytes all over the image', async () => {
    await expectHarmless(target, 'content', async ({ url, headers, index }) => {
      for (let i = 0; i < 50; i++) {
        const at = (index * 7919 + i * 611_953) % IMAGE_BYTES
        const response = await fetch(`${url}/v1/images/large/content`, { headers: headers('viewer', { range: `bytes=${at}-${at}` }) })
        expect(response.status).toBe(206)
        expect((await response.arrayBuffer()).byteLength).toBe(1)
      }
    })
  })

  test('that the client does not read', async () => {
    await expectHarmless(target, 'content', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < STALLED; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead('GET /v1/images/large/content', headers('viewer')))
      }
      while (!signal.aborted) await Bun.sleep(50)
    })
  })

  test('of the space that deleting each image would free', async () => {
    const { items } = await target.agent.client.images.list({ limit: 100 })
    const body = JSON.stringify({ images: items.map(({ id }) => id) })
    await expectHarmless(target, 'unique size', async ({ url, headers }) => {
      const response = await fetch(`${url}/v1/unique-size`, { method: 'POST', headers: headers('viewer', { 'content-type': 'application/json' }), body })
      expect([200, 429]).toContain(response.status)
      await response.arrayBuffer()
    })
  })

  test('of usage over two years, again and again, as CSV that the client does not read', async () => {
    await expectHarmless(target, 'usage', async ({ url, headers }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < STALLED; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead('GET /v1/usage?format=csv', headers('operator')))
      }
      for (let i = 0; i < 20; i++) {
        const response = await fetch(`${url}/v1/usage?from=2024-12-01&to=2026-11-30&limit=1000`, { headers: headers('operator') })
        expect([200, 429]).toContain(response.status)
        await response.arrayBuffer()
      }
    })
  })

  test('of the manifest that the client does not read', async () => {
    await expectHarmless(target, 'manifest', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < STALLED; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead('GET /v1/images/large/manifest', headers('viewer')))
      }
      while (!signal.aborted) await Bun.sleep(50)
    })
  })

  test('of files that the client does not read', async () => {
    const [pack = ''] = (await target.agent.client.files.list('packs')).items.map(({ name }) => name)
    const [file = ''] = (await target.agent.client.files.list(`packs/${pack}`)).items.map(({ name }) => name)
    await expectHarmless(target, 'file', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < STALLED; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead(`GET /v1/files/content?path=packs/${pack}/${file}`, headers('operator')))
      }
      while (!signal.aborted) await Bun.sleep(50)
    })
  })
})

describe('event streams', () => {
  test('of one viewer do not use up the streams of another client', async () => {
    await using target = await openTarget()
    await expectHarmless(target, 'event stream', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < 40; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead('GET /v1/events', headers('viewer', { Accept: 'text/event-stream' })))
      }
      const other = await fetch(`${url}/v1/events`, { headers: headers('uploader', { accept: 'text/event-stream' }), signal: AbortSignal.timeout(20_000) })
      expect(other.status).toBe(200)
      await other.body?.cancel()
      while (!signal.aborted) await Bun.sleep(50)
    })
  })
})
