// Converted content over real HTTP: round trips from every input format, ranges, validators, and clients that stop.

import { describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import type { ConversionTarget } from '../../../../protocol/images/export.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import type { ImageStore } from '../../../support/images/image-store.ts'
import { run } from '../../../support/images/small-image.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import type { ImageServer } from '../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { requireTool } from '../../../support/require.ts'
import { until } from '../../../support/until.ts'

const MIB = 1024 * 1024
const auth = { authorization: 'Bearer viewer' }
const qemuTest = requireTool('qemu-img', 'qemu-utils')
/** Names of the formats at qemu-img. */
const QEMU: Readonly<Record<ConversionTarget, string>> = { raw: 'raw', qcow2: 'qcow2', vmdk: 'vmdk', vhd: 'vpc' }
const TARGETS = ['raw', 'qcow2', 'vmdk', 'vhd'] as const

/** A disk of 6 MiB and a sector with random parts and holes. */
function disk(): Buffer {
  return Buffer.concat([seededBytes(900_000, 1), new Uint8Array(MIB + 700), seededBytes(2_000_000, 2), new Uint8Array(6 * MIB + 512 - 2_900_000 - MIB - 700)])
}

interface Stage extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly store: ImageStore
  readonly server: ImageServer
  url(image: Image, as: string): string
}

async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const store = stack.use(await openImageStore(folder))
  const server = stack.use(await serveImages(store))
  const owned = stack.move()
  return { folder, store, server, url: ({ id }, as) => `${server.url}/v1/images/${id}/content?as=${as}`, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

describe('a round trip is identical for qemu-img', () => {
  const inputs: Readonly<Record<string, readonly string[]>> = {
    raw: ['-O', 'raw'],
    qcow2: ['-O', 'qcow2'],
    'compressed qcow2': ['-c', '-O', 'qcow2'],
    'qcow2 compressed by zstd': ['-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
    'qcow2 version 2': ['-O', 'qcow2', '-o', 'compat=0.10'],
    'sparse vmdk': ['-O', 'vmdk', '-o', 'subformat=monolithicSparse'],
    'vmdk for streams': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
  }
  for (const [name, options] of Object.entries(inputs)) {
    qemuTest(`from ${name}`, async () => {
      await using stage = await openStage()
      const raw = stage.folder.file('disk.raw')
      writeFileSync(raw, disk())
      const source = stage.folder.file('source')
      await run('qemu-img', 'convert', '-f', 'raw', ...options, raw, source)
      const image = await stage.store.add(readFileSync(source), { name: 'round trip' })
      expect(image.status).toBe('available')
      for (const target of TARGETS) {
        const path = stage.folder.file(`copy.${target}`)
        const answer = await fetch(stage.url(image, target), { headers: auth })
        expect(answer.status).toBe(200)
        await Bun.write(path, await answer.arrayBuffer())
        if (target === 'qcow2' || target === 'vmdk') await run('qemu-img', 'check', '-f', QEMU[target], path)
        await run('qemu-img', 'compare', '-f', 'raw', '-F', QEMU[target], raw, path)
      }
    })
  }
})

describe('converted content', () => {
  test('has a length, a name, a type and a validator of its own for each format', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(disk(), { name: 'debian.img' })
    const expected: Readonly<Record<ConversionTarget, [string | null, string, string]>> = {
      raw: ['6291968', 'application/octet-stream', 'debian.raw'],
      qcow2: ['3342336', 'application/x-qemu-disk', 'debian.qcow2'],
      vmdk: [null, 'application/x-vmdk-disk', 'debian.vmdk'],
      vhd: ['6292480', 'application/x-vhd-disk', 'debian.vhd'],
    }
    const tags = new Set<string | null>()
    for (const target of TARGETS) {
      const head = await fetch(stage.url(image, target), { method: 'HEAD', headers: auth })
      expect(head.status).toBe(200)
      const [length, type, name] = expected[target]
      expect(head.headers.get('content-length')).toBe(length)
      expect(head.headers.get('content-type')).toBe(type)
      expect(head.headers.get('content-disposition')).toBe(`attachment; filename="${name}"; filename*=UTF-8''${name}`)
      expect(head.headers.get('accept-ranges')).toBe(target === 'vmdk' ? 'none' : 'bytes')
      expect(head.headers.get('etag')).toStartWith(`"${image.manifestDigest}-${target}-1`)
      expect(head.headers.get('repr-digest')).toBeNull()
      tags.add(head.headers.get('etag'))
      const etag = head.headers.get('etag') ?? ''
      expect((await fetch(stage.url(image, target), { headers: { ...auth, 'if-none-match': etag } })).status).toBe(304)
      expect((await fetch(stage.url(image, target), { headers: { ...auth, 'if-match': `"${image.manifestDigest}"` } })).status).toBe(412)
    }
    expect(tags.size).toBe(4)
  })

  test('has the bytes of every range that dd reads from the whole', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(disk())
    for (const target of ['raw', 'vhd', 'qcow2'] as const) {
      const path = stage.folder.file(`whole.${target}`)
      await Bun.write(path, await (await fetch(stage.url(image, target), { headers: auth })).arrayBuffer())
      const { size } = Bun.file(path)
      for (const [start, end] of [
        [0, 1],
        [899_999, 900_001],
        [1_000_000, 3_000_000],
        [size - 513, size - 511],
        [size - 1, size],
        [65_535, 65_537],
      ] as const) {
        const answer = await fetch(stage.url(image, target), { headers: { ...auth, range: `bytes=${start}-${end - 1}` } })
        expect(answer.status).toBe(206)
        expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${size}`)
        expect(answer.headers.get('content-length')).toBe(String(end - start))
        const part = stage.folder.file('part')
        await run('dd', `if=${path}`, `of=${part}`, 'iflag=skip_bytes,count_bytes', `skip=${start}`, `count=${end - start}`, 'status=none')
        expect(Buffer.from(await answer.arrayBuffer()).equals(readFileSync(part))).toBe(true)
      }
      expect((await fetch(stage.url(image, target), { headers: { ...auth, range: `bytes=${size}-` } })).status).toBe(416)
      const changed = await fetch(stage.url(image, target), { headers: { ...auth, range: 'bytes=0-9', 'if-range': '"other"' } })
      expect([changed.status, (await changed.arrayBuffer()).byteLength]).toEqual([200, size])
    }
  })

  test('of a VMDK is whole for a request with a range', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(disk())
    const whole = Buffer.from(await (await fetch(stage.url(image, 'vmdk'), { headers: auth })).arrayBuffer())
    const asked = await fetch(stage.url(image, 'vmdk'), { headers: { ...auth, range: 'bytes=0-9' } })
    expect(asked.status).toBe(200)
    expect(Buffer.from(await asked.arrayBuffer()).equals(whole)).toBe(true)
  })

  test('is refused for a format that there is not, and for an image that is not available', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(disk())
    const unknown = await fetch(stage.url(image, 'vdi'), { headers: auth })
    expect(unknown.status).toBe(400)
    expect(await unknown.json()).toMatchObject({ type: 'urn:slipway:problem:invalid-input' })
    const wrong = await stage.store.add(seededBytes(1000, 5), { format: 'vmdk' })
    expect((await fetch(stage.url(wrong, 'raw'), { headers: auth })).status).toBe(409)
    const empty = await stage.store.add(new Uint8Array(0), { name: 'empty' })
    if (empty.status === 'available') expect((await fetch(stage.url(empty, 'vhd'), { headers: auth })).status).toBe(400)
  })

  test('needs the right to export on an image with grants', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(disk())
    await stage.store.catalogue.grant(image.id, { subject: 'user:ann', rights: ['read', 'use'] }, 'admin')
    const hidden = await fetch(stage.url(image, 'raw'), { headers: auth })
    expect(hidden.status).toBe(404)
    expect((await fetch(stage.url(image, 'raw'), { method: 'HEAD', headers: { authorization: 'Bearer operator' } })).status).toBe(200)
  })

  test('leaves other requests alone when a client stops reading, and ends when it disconnects', async () => {
    await using stage = await openStage()
    const bytes = Buffer.concat([seededBytes(24 * MIB, 9)])
    const image = await stage.store.add(bytes, { name: 'large' })
    const stop = new AbortController()
    const stalled = await fetch(stage.url(image, 'vmdk'), { headers: auth, signal: stop.signal })
    const reader = stalled.body?.getReader()
    expect((await reader?.read())?.value?.byteLength).toBeGreaterThan(0)
    // One transfer at a time: the second one gets turns all the same.
    const other = await fetch(stage.url(image, 'raw'), { headers: auth })
    expect(Buffer.from(await other.arrayBuffer()).equals(bytes)).toBe(true)
    stop.abort()
    await reader?.cancel().catch(() => {})
    const { id } = image
    await stage.store.catalogue.delete(id, 'admin', { permanent: true })
    await until('the slices of the image are removed', async () => (await stage.store.slices.gc({ dryRun: false })).slicesLive === 0)
  }, 30_000)

  test('breaks the connection at a damaged slice, and the image becomes degraded', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(seededBytes(12_000_000, 6))
    const packs = stage.folder.file('mount', 'packs')
    const [name] = [...new Bun.Glob('**/*').scanSync(packs)]
    const pack = readFileSync(`${packs}/${name}`)
    const at = pack.length - 100_000
    pack[at] = (pack[at] ?? 0) ^ 1
    writeFileSync(`${packs}/${name}`, pack)
    const answer = await fetch(stage.url(image, 'qcow2'), { headers: auth })
    expect(answer.status).toBe(200)
    expect(answer.arrayBuffer()).rejects.toThrow()
    await until('the image is degraded', () => stage.store.catalogue.find(image.id)?.status === 'degraded')
  })
})
