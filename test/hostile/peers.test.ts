// Sync from a hostile source: endless responses, responses that expand, and slow responses.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { zstdCompressSync } from 'node:zlib'
import { encodeEndFrame, encodeFrameHeader, CODEC_ZSTD, SLICES_MEDIA_TYPE } from '../../protocol/slices/frames.ts'
import type { Image } from '../../protocol/images/image.ts'
import { encodeManifest, MANIFEST_MEDIA_TYPE } from '../../protocol/slices/manifest.ts'
import { newId } from '../../protocol/ids.ts'
import { until } from '../support/until.ts'
import { expectHarmless } from './expect-harmless.ts'
import { createUpload, patchUpload } from './requests.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Responses of a source by kind of request; other requests are answered as by an agent. */
type Lies = Readonly<Partial<Record<'image' | 'manifest' | 'fetch', (image: Image) => Response>>>

interface Liar extends AsyncDisposable {
  readonly url: string
  /** How often each kind was requested. */
  readonly asked: Readonly<Record<string, number>>
}

/** Starts a source whose images are all copies of the template, each with an id of its own. */
function startLiar(template: Image, store: unknown, manifest: { readonly bytes: Uint8Array<ArrayBuffer>; readonly digest: string }, lies: Lies): Liar {
  const asked: Record<string, number> = { image: 0, manifest: 0, fetch: 0 }
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      const [, , noun = '', id = '', part = ''] = pathname.split('/')
      const image: Image = { ...template, id, manifestDigest: manifest.digest }
      const tell = (kind: keyof Lies, otherwise: () => Response): Response => {
        asked[kind] = (asked[kind] ?? 0) + 1
        return lies[kind]?.(image) ?? otherwise()
      }
      if (noun === 'store') return Response.json(store)
      if (noun === 'images' && part === 'manifest') {
        return tell('manifest', () => new Response(manifest.bytes, { headers: { 'content-type': MANIFEST_MEDIA_TYPE, etag: `"${manifest.digest}"` } }))
      }
      if (noun === 'images') return tell('image', () => Response.json(image))
      if (noun === 'slices') return tell('fetch', () => new Response(encodeEndFrame(), { headers: { 'content-type': SLICES_MEDIA_TYPE } }))
      return Response.json({}, { status: 404 })
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, asked, [Symbol.asyncDispose]: () => server.stop(true) }
}

/** Returns an endless body in pieces of this length, with a pause between them. */
function endless(pieceBytes: number, pauseMs: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(pieceBytes).fill(0x20)
  return new ReadableStream({
    async pull(controller) {
      if (pauseMs > 0) await Bun.sleep(pauseMs)
      controller.enqueue(piece)
    },
  })
}

describe('a source', () => {
  let target: AttackTarget
  let template: Image
  let store: unknown
  const block = new Uint8Array(128 * KIB).fill(3)
  const digest = new Uint8Array(new Bun.SHA256().update(block).digest().buffer)
  let manifest: { bytes: Uint8Array<ArrayBuffer>; digest: string }

  beforeAll(async () => {
    target = await openTarget()
    const admin: Attacker = { url: target.agent.url, index: 0, headers: (_, more) => target.agent.headers(more), signal: new AbortController().signal }
    const { address } = await createUpload(admin, { 'upload-length': String(8 * block.byteLength), 'upload-metadata': `name ${btoa('template')}` })
    expect(await patchUpload(admin, address, 0, new Uint8Array(8 * block.byteLength).fill(4))).toBe(204)
    await until('the image is available', async () => (await target.agent.client.images.get('template')).status === 'available')
    template = await target.agent.client.images.get('template')
    store = { ...(await target.agent.client.store.get()), id: crypto.randomUUID() }
    const encoded = await encodeManifest(Array.from({ length: 8 }, () => ({ length: block.byteLength, digest })))
    manifest = { bytes: encoded.manifest.bytes, digest: encoded.digest }
  })
  afterAll(() => target[Symbol.asyncDispose]())

  const attack = async (lies: Lies, askedFor: keyof Lies): Promise<void> => {
    await using liar = startLiar(template, store, manifest, lies)
    await expectHarmless(target, 'sync', async ({ url, headers }) => {
      const response = await fetch(`${url}/v1/sync`, {
        method: 'POST',
        headers: headers('operator', { 'content-type': 'application/json' }),
        body: JSON.stringify({ source: { url: liar.url, token: 'token-of-the-liar' }, images: [newId('img', Date.now())] }),
      })
      expect([202, 429]).toContain(response.status)
      await response.arrayBuffer()
      await Bun.sleep(200)
    })
    expect(liar.asked[askedFor]).toBeGreaterThan(0)
    for (const task of (await target.agent.client.tasks.list({ kind: 'sync', limit: 1000 })).items) {
      if (task.state === 'queued' || task.state === 'running') await target.agent.client.tasks.cancel(task.id).catch(() => {})
    }
  }

  test('whose JSON never ends', () => attack({ image: () => new Response(endless(64 * KIB, 0), { headers: { 'content-type': 'application/json' } }) }, 'image'))

  test('whose manifest never ends', () =>
    attack({ manifest: () => new Response(endless(64 * KIB, 0), { headers: { 'content-type': MANIFEST_MEDIA_TYPE } }) }, 'manifest'))

  test('whose responses are slow', () =>
    attack({ manifest: () => new Response(endless(1, 1000), { headers: { 'content-type': MANIFEST_MEDIA_TYPE } }) }, 'manifest'))

  test('whose slices expand to far more than their declared length', () => {
    const bomb = zstdCompressSync(new Uint8Array(4 * MIB).fill(3))
    const stored = new Uint8Array(Buffer.concat(Array.from({ length: Math.floor((120 * KIB) / bomb.byteLength) }, () => bomb)))
    const header = encodeFrameHeader({ digest, length: block.byteLength, codec: CODEC_ZSTD, stored })
    const body = new Uint8Array(Buffer.concat([header, stored, encodeEndFrame()]))
    return attack({ fetch: () => new Response(body, { headers: { 'content-type': SLICES_MEDIA_TYPE } }) }, 'fetch')
  })

  test('whose slices are not the requested ones', () =>
    attack({ fetch: () => new Response(endless(64 * KIB, 0), { headers: { 'content-type': SLICES_MEDIA_TYPE } }) }, 'fetch'))
})
