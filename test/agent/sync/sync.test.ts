// Sync between two stores over real HTTP, through a proxy that cuts connections: transferred bytes, retries and refusals.

import { describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { createPeerNetwork } from '../../../agent/sync/peer-network.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createSpace } from '../../../agent/system/space.ts'
import { makeProblem, problemCode } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { SyncResult } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../support/agents/image-server.ts'
import { createTwoFolders, IMMEDIATE_CLOCK, openSyncTarget, TARGET_ID } from '../../support/agents/sync-target.ts'
import { until } from '../../support/until.ts'

function resultOf(task: Task): SyncResult {
  expect(task.error).toBeUndefined()
  return syncResultSchema.parse(task.result)
}

function codeOf(task: Task): string {
  return task.error ? problemCode(task.error) : task.state
}

describe('sync', () => {
  test('copies an image with its metadata, and then reports that it already exists', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using target = await openSyncTarget(folders.target)
    const bytes = Buffer.concat([seededBytes(3_000_000, 1), new Uint8Array(5_000_000), seededBytes(1_000_000, 2)])
    const image = await source.add(bytes, { name: 'debian', owner: 'ann', os: 'debian', description: 'first' })

    const first = await target.pull(server.url, ['debian'])
    expect(resultOf(first)).toMatchObject({ images: [{ id: image.id, name: 'debian', outcome: 'copied' }], slicesPresent: 0 })
    expect(first.progress.done).toBe(first.progress.total ?? -1)
    const copy = target.store.catalogue.need(image.id)
    expect(copy).toMatchObject({
      name: 'debian',
      owner: 'ann',
      os: 'debian',
      description: 'first',
      status: 'available',
      digest: image.digest,
      manifestDigest: image.manifestDigest,
    })
    expect(copy.source).toMatchObject({ kind: 'sync', storeId: STORE_ID, url: server.url })
    expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
    expect(await target.store.disk.list(folders.target.file('mount', 'sync'))).toEqual([])

    const second = await target.pull(server.url, [image.id, 'debian'])
    expect(resultOf(second)).toEqual({
      images: [{ id: image.id, name: 'debian', outcome: 'already-there', bytesMoved: 0, bytesPresent: 9_000_000, bytesZero: 0 }],
      slicesMoved: 0,
      slicesPresent: 0,
      bytesMoved: 0,
      bytesAvoided: 9_000_000,
      sources: [{ url: server.url, storeId: expect.any(String), slicesMoved: 0, bytesMoved: 0, bytesPerSecond: null, faults: 0, fault: null }],
    })
  })

  test('moves only slices that are missing', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using proxy = await createCuttingProxy(server.port)
    await using target = await openSyncTarget(folders.target)
    const first = seededBytes(8_000_000, 1)
    const second = Buffer.concat([first.subarray(0, 4_000_000), seededBytes(200_000, 9), first.subarray(4_200_000)])
    const one = await source.add(first, { name: 'one' })
    const two = await source.add(second, { name: 'two' })
    resultOf(await target.pull(proxy.url, [one.id]))
    const before = proxy.bytes.down
    const result = resultOf(await target.pull(proxy.url, [two.id]))
    expect(proxy.bytes.down - before).toBeLessThan(1_000_000)
    expect(result.bytesMoved).toBeLessThan(900_000)
    expect(result.slicesPresent).toBeGreaterThan(50)
    expect((await target.store.read(two.id)).equals(second)).toBe(true)
  })

  // A reset discards bytes in the receive buffer, so the bytes transferred twice are measured only without resets.
  test.each([false, true])(
    'continues after cut connections (resets: %p) and transfers few bytes twice',
    async (reset) => {
      await using folders = await createTwoFolders()
      await using source = await openImageStore(folders.source)
      await using server = await serveImages(source)
      await using proxy = await createCuttingProxy(server.port)
      await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK })
      const bytes = Buffer.from(seededBytes(30_000_000, 1))
      const image = await source.add(bytes)
      proxy.setFaults({ cutAfter: 4_000_000, direction: 'down', reset }, 6)
      const result = resultOf(await target.pull(proxy.url, [image.id]))
      expect(proxy.cuts).toBe(6)
      expect(result.bytesMoved).toBeLessThan(30_500_000)
      if (!reset) expect(proxy.bytes.down).toBeLessThan(30_500_000 + 6 * 250_000)
      expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
    },
    60_000,
  )

  test('fails if the peer makes no progress, keeps the moved slices through gc and restart, and then moves the rest', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using proxy = await createCuttingProxy(server.port)
    const bytes = Buffer.from(seededBytes(20_000_000, 1))
    const image = await source.add(bytes)
    {
      await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK })
      proxy.setFaults({ cutAfter: 8_000_000, direction: 'down' })
      const watching = (async () => {
        // Two connections transfer 8 MB each, then the link is down.
        while (proxy.cuts < 1) await Bun.sleep(5)
        proxy.setFaults({ cutAfter: 0 })
      })()
      const task = await target.pull(proxy.url, [image.id])
      await watching
      expect(codeOf(task)).toBe('peer-unreachable')
      expect(target.store.catalogue.find(image.id)).toBeUndefined()
      expect((await target.store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
      expect((await target.store.slices.scrub({ bytesPerSecond: 1e12 })).missing).toEqual([])
    }
    await using target = await openSyncTarget(folders.target)
    expect((await target.store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    proxy.setFaults({})
    const before = proxy.bytes.down
    resultOf(await target.pull(proxy.url, [image.id]))
    expect(proxy.bytes.down - before).toBeLessThan(13_000_000)
    expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
  }, 60_000)

  test('loses no present or moved slices while gc runs in parallel', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const collecting: Promise<unknown>[] = []
    await using target = await openSyncTarget(folders.target, {
      crashPoint: (point) => {
        if (point === 'sync:lease-acquired' || point === 'sync:batch-synced') collecting.push(target.store.slices.gc({ dryRun: false }))
      },
    })
    const shared = seededBytes(8_000_000, 1)
    const bytes = Buffer.concat([seededBytes(20_000_000, 2), shared])
    const image = await source.add(bytes)
    // Present slices that no image uses.
    const { id } = await target.store.add(shared)
    await target.store.catalogue.purge(id, 'test')
    resultOf(await target.pull(server.url, [image.id]))
    expect(collecting.length).toBeGreaterThan(1)
    await Promise.all(collecting)
    expect(await target.store.slices.scrub({ bytesPerSecond: 1e12 })).toMatchObject({ corrupt: [], missing: [] })
    expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
  }, 60_000)

  test('makes gc fail if its lease is damaged', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const image = await source.add(seededBytes(3_000_000, 1))
    let collected: Promise<unknown> | undefined
    await using target = await openSyncTarget(folders.target, {
      crashPoint: (point) => {
        if (point !== 'sync:lease-acquired') return
        writeFileSync(folders.target.file('mount', 'sync', image.id, 'manifest'), 'damaged')
        collected = target.store.slices.gc({ dryRun: false }).catch((error: unknown) => error)
      },
    })
    await target.pull(server.url, [image.id])
    expect(await collected).toBeInstanceOf(Error)
  })

  test('removes the lease of an attempt that moved nothing', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using proxy = await createCuttingProxy(server.port)
    const image = await source.add(seededBytes(3_000_000, 1))
    await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK })
    // The manifest of a few kilobytes is transferred, but no slice, because each has at least 8 KiB.
    proxy.setFaults({ cutAfter: 8192, direction: 'down' })
    expect(codeOf(await target.pull(proxy.url, [image.id]))).toBe('peer-unreachable')
    expect(await target.store.disk.list(folders.target.file('mount', 'sync'))).toEqual([])
  })

  test('removes the lease a day after the last attempt', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using proxy = await createCuttingProxy(server.port)
    const image = await source.add(seededBytes(20_000_000, 1))
    let nowMs = Date.now()
    const clock = { ...systemClock, nowMs: () => nowMs, sleep: async () => {} }
    await using target = await openSyncTarget(folders.target, { clock })
    proxy.setFaults({ cutAfter: 8_000_000, direction: 'down' })
    const cutting = until('something was moved', () => proxy.cuts > 0).then(() => proxy.setFaults({ cutAfter: 0 }))
    expect(codeOf(await target.pull(proxy.url, [image.id]))).toBe('peer-unreachable')
    await cutting
    expect(await target.sync.expire()).toEqual([])
    // Every attempt renews the lease, even if it moves nothing.
    const manifest = folders.target.file('mount', 'sync', image.id, 'manifest')
    const dayBefore = new Date(Date.now() - 25 * 3_600_000)
    await utimes(manifest, dayBefore, dayBefore)
    proxy.setFaults({ cutAfter: 8192, direction: 'down' })
    expect(codeOf(await target.pull(proxy.url, [image.id]))).toBe('peer-unreachable')
    expect(await target.sync.expire()).toEqual([])
    nowMs += 25 * 3_600_000
    expect(await target.sync.expire({ dryRun: true })).toHaveLength(1)
    expect(await target.sync.expire()).toHaveLength(1)
    expect(await target.store.disk.list(folders.target.file('mount', 'sync'))).toEqual([])
  }, 60_000)

  test('repairs damaged local slices', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using target = await openSyncTarget(folders.target)
    const bytes = Buffer.from(seededBytes(5_000_000, 1))
    const image = await source.add(bytes)
    resultOf(await target.pull(server.url, [image.id]))
    const packs = folders.target.file('mount', 'packs')
    const [name] = [...new Bun.Glob('**/*').scanSync(packs)]
    const pack = new Uint8Array(await Bun.file(`${packs}/${name}`).arrayBuffer())
    pack[2_000_000] = (pack[2_000_000] ?? 0) ^ 255
    await Bun.write(`${packs}/${name}`, pack)
    const startedAtMs = Date.now()
    await target.store.catalogue.applyScrub({ ...(await target.store.slices.scrub({ bytesPerSecond: 1e12 })), startedAtMs })
    expect(target.store.catalogue.need(image.id).status).toBe('degraded')
    const result = resultOf(await target.pull(server.url, [image.id]))
    expect(result.slicesMoved).toBe(1)
    expect(target.store.catalogue.need(image.id)).toMatchObject({ status: 'available', statusReason: null })
    expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
  })

  test('reports refusals of the peer', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using same = await serveImages(source, { storeId: TARGET_ID })
    await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK })
    await source.add(seededBytes(1000, 1), { name: 'twin' })
    const twin = await source.add(seededBytes(1000, 2), { name: 'twin' })

    const wrongToken = await target.pull(server.url, [twin.id], 'nobody')
    expect(codeOf(wrongToken)).toBe('peer-refused')
    const unknown = await target.pull(server.url, [twin.id, 'unknown-image'])
    expect(codeOf(unknown)).toBe('not-found')
    expect(unknown.error?.detail).toContain('unknown-image')
    expect(target.store.catalogue.find(twin.id)).toMatchObject({ status: 'available' })
    expect(codeOf(await target.pull(server.url, ['twin']))).toBe('conflict')
    expect(codeOf(await target.pull(same.url, [twin.id]))).toBe('invalid-input')
    server.answerWith(500)
    expect(codeOf(await target.pull(server.url, [twin.id]))).toBe('peer-unreachable')
    expect(codeOf(await target.pull('http://127.0.0.1:9', [twin.id]))).toBe('peer-unreachable')
  })

  test('does not reveal the response of a service that is not an agent', async () => {
    await using folders = await createTwoFolders()
    await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK })
    const secret = 'ami-id AKIA-the-secret'
    let answer = (): Response => new Response(secret)
    await using service = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => answer() })
    const document = { ...makeProblem('not-found', secret, { action: secret }), title: secret, extra: secret }
    const answers: [() => Response, string][] = [
      [() => new Response(secret), 'peer-unreachable'],
      [() => new Response(secret, { status: 403 }), 'peer-unreachable'],
      [() => Response.json({ [secret]: secret }), 'peer-unreachable'],
      [() => new Response(null, { status: 307, headers: { location: `http://x/${encodeURIComponent(secret)}` } }), 'peer-unreachable'],
      [() => Response.json(document, { status: 404 }), 'not-found'],
      [() => Response.json({ ...document, type: 'urn:slipway:problem:peer-unreachable' }, { status: 502 }), 'peer-unreachable'],
    ]
    for (const [give, code] of answers) {
      answer = give
      const task = await target.pull(`http://127.0.0.1:${service.port}`, ['debian'])
      expect(codeOf(task)).toBe(code)
      expect(JSON.stringify(task)).not.toMatch(/AKIA|ami-id/)
    }
  })

  test('refuses a blocked address when the task is started and when it runs', async () => {
    await using folders = await createTwoFolders()
    let address = '169.254.169.254'
    await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK, network: createPeerNetwork([], async () => [address]) })
    await expect(target.pull('http://169.254.169.254', ['x'])).rejects.toThrow('link-local')
    await expect(target.pull('http://metadata.example', ['x'])).rejects.toThrow('link-local')
    expect(target.tasks.list({ limit: 10 }).items).toEqual([])
    // The address is allowed when the task is started, and blocked when it connects.
    address = '127.0.0.1'
    const asked = target.sync.start({ source: { url: 'http://rebinding.example:9', token: 'viewer' }, images: ['x'] }, 'test')
    const { id } = await asked
    address = '169.254.169.254'
    expect(codeOf(await target.tasks.ended(id))).toBe('peer-not-allowed')
  })

  test('fails if the source takes too long to return all images', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const image = await source.add(seededBytes(1000, 1))
    // Every image is `creating`, and each request takes a minute.
    let nowMs = 0
    const creating = async (url: string, init: RequestInit): Promise<Response> => {
      nowMs += 60_000
      const answer = await fetch(url, init)
      return url.includes('/images/') ? Response.json({ ...((await answer.json()) as object), status: 'creating' }) : answer
    }
    await using target = await openSyncTarget(folders.target, { clock: { ...IMMEDIATE_CLOCK, monotonicMs: () => nowMs }, fetch: creating })
    const task = await target.pull(server.url, [image.id])
    expect(task.error?.detail).toContain('did not return all images within 15 minutes')
    expect(nowMs).toBeLessThan(20 * 60_000)
  })

  test('fails if the source sends too slowly', async () => {
    await using folders = await createTwoFolders()
    await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK, pace: { rateWindowMs: 100, bytesPerSecondMin: 1000 } })
    const body = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        async pull(controller) {
          await Bun.sleep(20)
          controller.enqueue(new Uint8Array([32]))
        },
      })
    await using service = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(body()) })
    const task = await target.pull(`http://127.0.0.1:${service.port}`, ['x'])
    expect(codeOf(task)).toBe('peer-unreachable')
    expect(task.error?.detail).toContain('sent less than 1000 bytes per second')
  })

  test('refuses an image that does not fit above the reserve before moving anything', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const { disk } = source
    const space = createSpace({
      disk: { space: async () => ({ totalBytes: 1e9, freeBytes: 1_000_000 }) },
      clock: systemClock,
      mount: '/',
      reservedBytes: () => 0,
    })
    await using target = await openSyncTarget(folders.target, { space })
    const image = await source.add(seededBytes(3_000_000, 1))
    expect(codeOf(await target.pull(server.url, [image.id]))).toBe('insufficient-storage')
    expect(target.store.slices.stats().slices).toBe(0)
    expect(await disk.list(folders.target.file('mount', 'images'))).toEqual([])
  })

  test('stops when it is cancelled', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using proxy = await createCuttingProxy(server.port, { bytesPerSecond: 2_000_000 })
    await using target = await openSyncTarget(folders.target)
    const image = await source.add(seededBytes(30_000_000, 1))
    const { id } = await target.sync.start({ source: { url: proxy.url, token: 'viewer' }, images: [image.id] }, 'test')
    while ((target.tasks.get(id)?.progress.done ?? 0) === 0) await Bun.sleep(5)
    target.tasks.cancel(id, 'test')
    expect((await target.tasks.ended(id)).state).toBe('cancelled')
    expect(target.store.catalogue.find(image.id)).toBeUndefined()
  }, 20_000)
})
