// Content of images over real HTTP, held against the plain bytes.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const auth = { authorization: 'Bearer viewer' }

/** An image with random parts and holes, 3 MB. */
function mixedBytes(): Buffer {
  return Buffer.concat([seededBytes(900_000, 1), new Uint8Array(700_000), seededBytes(600_123, 2), new Uint8Array(800_000)])
}

describe('content', () => {
  test('returns the bytes of every range', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const bytes = mixedBytes()
    const { id } = await store.add(bytes, { name: 'mixed' })
    const url = `${server.url}/v1/images/${id}/content`
    const whole = await fetch(url, { headers: auth })
    expect(whole.status).toBe(200)
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)

    const position = fc.oneof(fc.nat(bytes.length + 10), fc.constantFrom(0, 899_999, 900_000, 1_600_000, bytes.length - 1, bytes.length))
    await fc.assert(
      fc.asyncProperty(position, fc.option(position), async (first, last) => {
        const response = await fetch(url, { headers: { ...auth, range: `bytes=${first}-${last ?? ''}` } })
        const got = Buffer.from(await response.arrayBuffer())
        if (last !== null && last < first) {
          expect(response.status).toBe(200)
          expect(got.equals(bytes)).toBe(true)
        } else if (first >= bytes.length) {
          expect(response.status).toBe(416)
          expect(response.headers.get('content-range')).toBe(`bytes */${bytes.length}`)
        } else {
          const end = Math.min((last ?? bytes.length) + 1, bytes.length)
          expect(response.status).toBe(206)
          expect(response.headers.get('content-range')).toBe(`bytes ${first}-${end - 1}/${bytes.length}`)
          expect(got.equals(bytes.subarray(first, end))).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('returns suffixes, and the complete content for ranges that it need not support', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const bytes = Buffer.from(seededBytes(50_000, 3))
    const { id } = await store.add(bytes)
    const ask = async (range: string) => {
      const response = await fetch(`${server.url}/v1/images/${id}/content`, { headers: { ...auth, range } })
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
    }
    expect(await ask('bytes=-100')).toEqual({ status: 206, bytes: bytes.subarray(-100) })
    expect(await ask('bytes=-999999')).toEqual({ status: 206, bytes })
    expect((await ask('bytes=-0')).status).toBe(416)
    expect(await ask('bytes=0-1,2-3')).toEqual({ status: 200, bytes })
    expect(await ask('bytes=10-19,60000-')).toEqual({ status: 206, bytes: bytes.subarray(10, 20) })
    expect(await ask('bytes=0-99999999999999999999')).toEqual({ status: 206, bytes })
    for (const range of ['lines=1-2', 'bytes=', 'bytes=a-b', 'bytes=-', 'bytes=5-4']) expect((await ask(range)).status).toBe(200)
  })

  test('evaluates conditions by its validators', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const bytes = Buffer.from(seededBytes(50_000, 4))
    const image = await store.add(bytes, { name: 'Ünï "1".img' })
    const ask = (headers: Record<string, string>, method = 'GET') =>
      fetch(`${server.url}/v1/images/${image.id}/content`, { method, headers: { ...auth, ...headers } })
    const etag = `"${image.manifestDigest}"`
    const head = await ask({ range: 'bytes=0-1' }, 'HEAD')
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe('50000')
    expect(head.headers.get('etag')).toBe(etag)
    expect(head.headers.get('accept-ranges')).toBe('bytes')
    expect(head.headers.get('content-type')).toBe('application/octet-stream')
    expect(head.headers.get('repr-digest')).toBe(`sha-256=:${new Bun.CryptoHasher('sha256').update(bytes).digest('base64')}:`)
    expect(head.headers.get('content-disposition')).toBe(`attachment; filename="_n_ _1_.img"; filename*=UTF-8''${encodeURIComponent('Ünï _1_.img')}`)
    const modified = head.headers.get('last-modified') ?? ''

    expect((await ask({ 'if-none-match': etag })).status).toBe(304)
    expect((await ask({ 'if-none-match': `"other", W/${etag}` })).status).toBe(304)
    expect((await ask({ 'if-none-match': '"other"' })).status).toBe(200)
    expect((await ask({ 'if-modified-since': modified })).status).toBe(304)
    expect((await ask({ 'if-match': etag })).status).toBe(200)
    expect((await ask({ 'if-match': `W/${etag}` })).status).toBe(412)
    expect((await ask({ 'if-match': '"other"' })).status).toBe(412)
    expect((await ask({ 'if-unmodified-since': 'Thu, 01 Jan 2015 00:00:00 GMT' })).status).toBe(412)
    expect((await ask({ range: 'bytes=0-9', 'if-range': etag })).status).toBe(206)
    expect((await ask({ range: 'bytes=0-9', 'if-range': modified })).status).toBe(206)
    expect((await ask({ range: 'bytes=0-9', 'if-range': `W/${etag}` })).status).toBe(200)
    expect((await ask({ range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200)
    expect((await ask({ range: 'bytes=99999-', 'if-range': '"other"' })).status).toBe(200)
  })

  test('is not sent for an image that is not available', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const wrong = await store.add(seededBytes(1000, 5), { format: 'vmdk' })
    const response = await fetch(`${server.url}/v1/images/${wrong.id}/content`, { headers: auth })
    expect(response.status).toBe(409)
    expect(await response.json()).toMatchObject({ type: 'urn:slipway:problem:wrong-status', detail: expect.stringContaining('Format mismatch') })
  })

  test('breaks the connection at a damaged slice, and the image becomes degraded', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const { id } = await store.add(seededBytes(12_000_000, 6))
    const packs = folder.file('mount', 'packs')
    const [name] = [...new Bun.Glob('**/*').scanSync(packs)]
    const file = Bun.file(`${packs}/${name}`)
    const pack = new Uint8Array(await file.arrayBuffer())
    // Far into the pack, so that the answer has begun when the damage is met.
    const at = pack.length - 100_000
    pack[at] = (pack[at] ?? 0) ^ 1
    await Bun.write(`${packs}/${name}`, pack)

    const response = await fetch(`${server.url}/v1/images/${id}/content`, { headers: auth })
    expect(response.status).toBe(200)
    let received = 0
    const reading = (async () => {
      if (response.body) for await (const piece of response.body) received += piece.byteLength
    })()
    expect(
      await reading.then(
        () => 'whole',
        () => 'broken',
      ),
    ).toBe('broken')
    expect(received).toBeLessThan(12_000_000)
    expect(store.catalogue.need(id)).toMatchObject({ status: 'degraded', statusReason: expect.stringContaining('damaged') })

    const small = await fetch(`${server.url}/v1/images/${id}/content`, { headers: { ...auth, range: 'bytes=-150000' } })
    expect(small.status).toBe(500)
    expect(await small.json()).toMatchObject({ type: 'urn:slipway:problem:data-corrupt' })
  })
})

describe('downloads', () => {
  test('complete even if their image is removed and gc runs in the meantime', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder, { retention: { deletion: 'immediate', retentionMs: 0 } })
    await using server = await serveImages(store)
    const bytes = Buffer.from(seededBytes(40_000_000, 8))
    const { id } = await store.add(bytes)
    const response = await fetch(`${server.url}/v1/images/${id}/content`, { headers: auth })
    await server.client.images.delete(id)
    expect((await store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true)
    await until('the content is let go', async () => (await store.slices.gc({ dryRun: true })).slicesDead > 0)
  }, 30_000)

  test('all make progress when one is allowed at a time, even if one client reads nothing', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store, { downloads: 1 })
    const bytes = Buffer.from(seededBytes(40_000_000, 7))
    const { id } = await store.add(bytes)
    const url = `${server.url}/v1/images/${id}/content`
    const silent = await fetch(url, { headers: auth })
    const silentBody = silent.body?.getReader()
    await silentBody?.read()
    const bodies = await Promise.all([1, 2, 3].map(async () => Buffer.from(await (await fetch(url, { headers: auth })).arrayBuffer())))
    for (const body of bodies) expect(body.equals(bytes)).toBe(true)
    await silentBody?.cancel()
  }, 30_000)
})
