// What content does when slices cannot be read, and what its head says: small and long bodies, here and from an origin.

import { describe, expect, test } from 'bun:test'
import { SliceUnreadable } from '../../../../agent/contract/slices.ts'
import { createApp } from '../../../../agent/http/app.ts'
import { contentRoutes } from '../../../../agent/http/routes/content.ts'
import { SMALL_BODY_MAX } from '../../../../agent/http/content/open-content.ts'
import type { ContentDeps } from '../../../../agent/http/content/open-content.ts'
import { createTransferGate } from '../../../../agent/http/content/transfer-gate.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { MEMORY_IMAGE, memoryImage } from '../../../support/memory/memory-image.ts'

const DIGEST = `sha256:${'a'.repeat(64)}` as const
const BROKEN = new SliceUnreadable(new Uint8Array(32), 'corrupt', 'slice 1 is damaged')

interface Setting {
  readonly image?: Partial<Image>
  /** Pieces of the content, or an error in place of one. */
  readonly pieces?: readonly (number | Error)[]
  /** Whether the content is at an origin. */
  readonly isFar?: boolean
  /** Number of entries in the manifest, 40 bytes each; its header and its digest have 64. */
  readonly entries?: number
}

/** The routes of one image; `did` has what happened to it. */
async function open({ image: members = {}, pieces = [600], isFar = false, entries = 0 }: Setting = {}) {
  const did: string[] = []
  const log = createMemoryLog()
  const clock = createManualClock()
  const { manifest } = await encodeManifest(Array.from({ length: entries }, () => ({ length: 1, digest: new Uint8Array(32).fill(7) })))
  const image = memoryImage({ manifestDigest: DIGEST, availableAt: '2026-01-02T03:04:05.678Z', ...members })
  async function* read(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      if (piece instanceof Error) throw piece
      yield new Uint8Array(piece).fill(7)
    }
  }
  const held = (what: string) => ({ manifest, [Symbol.dispose]: () => void did.push(`released ${what}`) })
  const deps = {
    images: {
      named: (name: string) => (!isFar && (name === image.id || name === image.name) ? [image] : []),
      withDigest: () => [],
      open: async () => held('here'),
      verifiedDigest: () => DIGEST,
      markDamaged: async (roots: readonly string[], reason: string) => void did.push(`damaged ${roots.join()}: ${reason}`),
    },
    slices: { read, readStored: read },
    downloads: createTransferGate({ clock, limit: 1 }),
    through: isFar ? { inProgress: () => undefined, find: async () => image, open: async () => ({ ...held('there'), read }) } : undefined,
  } as unknown as ContentDeps
  const authenticator = { byToken: async () => ({ name: 'v', role: 'viewer' as const }), byLink: async () => ({ kind: 'refused' as const, detail: '' }) }
  const app = createApp({ routes: contentRoutes(deps), authenticator, log, clock })
  const ask = (path = 'content', init: RequestInit = {}) =>
    app.request(`/v1/images/${MEMORY_IMAGE}/${path}`, { ...init, headers: { authorization: 'Bearer x', ...(init.headers as Record<string, string>) } })
  return { did, log, ask, gate: deps.downloads }
}

const LONG = SMALL_BODY_MAX + 1

describe('a slice that cannot be read', () => {
  test('in a small body is answered with a problem, and the image is marked', async () => {
    const it = await open({ pieces: [100, BROKEN] })
    const answer = await it.ask()
    expect(answer.status).toBe(500)
    expect(it.did).toEqual([`damaged image ${MEMORY_IMAGE}: slice 1 is damaged. Sync the image again from a store that has it.`, 'released here'])
    expect(it.log.lines.find(({ level }) => level === 'error')).toMatchObject({
      message: 'failed to send the content of an image',
      fields: { image: MEMORY_IMAGE, error: BROKEN },
    })
  })

  test('in a long body breaks it, and the image is marked before', async () => {
    const it = await open({ image: { length: LONG }, pieces: [100, BROKEN] })
    const answer = await it.ask()
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-length')).toBe(String(LONG))
    await expect(answer.bytes()).rejects.toThrow('slice 1 is damaged')
    expect(it.did).toEqual([`damaged image ${MEMORY_IMAGE}: slice 1 is damaged. Sync the image again from a store that has it.`, 'released here'])
    expect(it.gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('at an origin does not mark the image, nor does another error', async () => {
    const far = await open({ isFar: true, pieces: [BROKEN] })
    expect((await far.ask()).status).toBe(500)
    expect(far.did).toEqual(['released there'])
    expect(far.log.lines.some(({ message }) => message === 'failed to send the content of an image')).toBe(true)
    const other = await open({ pieces: [new Error('EIO')] })
    expect((await other.ask()).status).toBe(500)
    expect(other.did).toEqual(['released here'])
  })

  test('is no failure when the client is gone', async () => {
    const gone = new AbortController()
    const it = await open({ pieces: [100, BROKEN] })
    gone.abort()
    await it.ask('content', { signal: gone.signal })
    expect(it.did).toEqual(['released here'])
    expect(it.log.lines.some(({ message }) => message === 'failed to send the content of an image')).toBe(false)
  })

  test('or is missing leaves no body of the wrong length', async () => {
    const it = await open({ pieces: [599] })
    expect((await it.ask()).status).toBe(500)
    expect(it.did).toEqual(['released here'])
  })
})

describe('a body', () => {
  test.each([
    [SMALL_BODY_MAX, 0],
    [LONG, 1],
  ])('of %d bytes takes %d turns of the gate', async (length, turns) => {
    expect(SMALL_BODY_MAX).toBe(1024 * 1024)
    const it = await open({ image: { length }, pieces: [length] })
    const answer = await it.ask()
    expect(it.gate.state().active).toBe(turns)
    expect((await answer.bytes()).byteLength).toBe(length)
    expect(it.gate.state().active).toBe(0)
    expect(it.did).toEqual(['released here'])
  })
})

test.each([
  ['of 1 MiB at the end of a long image', `bytes=${5 * LONG - SMALL_BODY_MAX}-`, SMALL_BODY_MAX, 0],
  ['of a byte more', `bytes=${5 * LONG - LONG}-`, LONG, 1],
])('a range %s takes its turns by its own length', async (_what, range, length, turns) => {
  const it = await open({ image: { length: 5 * LONG }, pieces: [length] })
  const answer = await it.ask('content', { headers: { range } })
  expect([answer.status, it.gate.state().active]).toEqual([206, turns])
  expect((await answer.bytes()).byteLength).toBe(length)
  expect(it.gate.state().active).toBe(0)
})

test.each([
  [0, '64', 0],
  [26_212, '1048544', 0],
  [26_213, '1048584', 1],
])('a manifest of %i entries takes its turns by its length', async (entries, length, turns) => {
  const it = await open({ entries })
  const answer = await it.ask('manifest')
  expect(answer.headers.get('content-length')).toBe(length)
  expect(it.gate.state().active).toBe(turns)
  expect((await answer.bytes()).byteLength).toBe(Number(length))
  expect(it.gate.state().active).toBe(0)
  expect(it.did).toEqual(['released here'])
})

describe('the head', () => {
  test('names length, validators, file and digest, to GET and to HEAD', async () => {
    for (const method of ['GET', 'HEAD']) {
      const it = await open({ image: { name: 'debian 12.qcow2', format: 'qcow2' } })
      const answer = await it.ask('content', { method })
      expect(answer.status).toBe(200)
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        etag: `"${DIGEST}"`,
        'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
        'accept-ranges': 'bytes',
        'content-type': 'application/x-qemu-disk',
        'content-disposition': `attachment; filename="debian 12.qcow2"; filename*=UTF-8''debian%2012.qcow2`,
        'cache-control': 'private, no-cache, no-transform',
        'content-length': '600',
        'repr-digest': `sha-256=:${Buffer.from('a'.repeat(64), 'hex').toString('base64')}:`,
      })
      expect(it.did).toEqual(method === 'GET' ? ['released here'] : [])
    }
  })

  test('has the time of creation for an image that was never published, and no digest for one of an origin', async () => {
    const it = await open({ image: { availableAt: null } })
    expect((await it.ask()).headers.get('last-modified')).toBe('Thu, 01 Jan 2026 00:00:00 GMT')
    const far = await open({ isFar: true })
    expect((await far.ask()).headers.has('repr-digest')).toBe(false)
  })

  test.each([
    [{ 'if-none-match': `"${DIGEST}"` }, 304],
    [{ 'if-match': '"other"' }, 412],
    [{ range: 'bytes=600-' }, 416],
    [{ range: 'bytes=0-9', 'if-range': '"other"' }, 200],
  ])('with %j is answered with %d', async (headers, status) => {
    const it = await open()
    const answer = await it.ask('content', { headers })
    expect(answer.status).toBe(status)
    if (status !== 416) expect(answer.headers.get('etag')).toBe(`"${DIGEST}"`)
    if (status === 304) expect([await answer.text(), answer.headers.has('content-length')]).toEqual(['', false])
    if (status === 416) expect(answer.headers.get('content-range')).toBe('bytes */600')
  })

  test('of an image that is not served says why', async () => {
    const it = await open({ image: { status: 'error', statusReason: 'It has no partition table.' } })
    expect(await (await it.ask()).json()).toMatchObject({ status: 409, detail: 'Image debian is error. It has no partition table.' })
    expect(await (await (await open({ image: { status: 'creating' } })).ask()).json()).toMatchObject({ detail: 'Image debian is creating.' })
  })
})

test('a manifest is sent with its length, released, and not sent again', async () => {
  const it = await open()
  const answer = await it.ask('manifest')
  expect(answer.headers.get('content-type')).toBe('application/vnd.slipway.manifest')
  expect(answer.headers.get('content-length')).toBe(String((await answer.bytes()).byteLength))
  expect(it.did).toEqual(['released here'])
  const again = await it.ask('manifest', { headers: { 'if-none-match': `"${DIGEST}"` } })
  expect([again.status, await again.text()]).toEqual([304, ''])
  expect(it.did).toEqual(['released here'])
})
