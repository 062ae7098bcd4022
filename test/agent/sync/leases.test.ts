// Expiry of leases while a sync starts again: a power cut leaves a folder without a lease, which cleanup removes.

import { describe, expect, test } from 'bun:test'
import { mkdir, rm, utimes } from 'node:fs/promises'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import { openLeases } from '../../../agent/sync/leases.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const HOUR_MS = 3_600_000
const ID = 'img_01m7zkp8sw8kyvdcb9erztd6xq'

/**
 * Opens leases on a mount path with the folder of a sync that never acquired its lease. The disk operation `slow` blocks until `go`;
 * `removed` blocks after a tree was removed.
 */
async function open(slow?: 'stat' | 'removeTree' | 'removed') {
  const folder = await createTemporaryFolder()
  await mkdir(folder.file('sync', ID), { recursive: true })
  const disk = createDisk()
  const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const wait = async (): Promise<void> => {
    reached.resolve()
    await go.promise
  }
  const slowDisk: Disk = {
    ...disk,
    async stat(path) {
      if (slow === 'stat') await wait()
      return disk.stat(path)
    },
    async removeTree(path) {
      if (slow === 'removeTree') await wait()
      await disk.removeTree(path)
      if (slow === 'removed') await wait()
    },
  }
  let laterMs = 0
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + laterMs }
  const leases = await openLeases({ disk: slowDisk, clock, log: createMemoryLog(), mount: folder.path, missing: () => [] })
  const advance = (ms: number): void => void (laterMs += ms)
  return { leases, folder, reached: reached.promise, go: go.resolve, advance }
}

async function* manifest() {
  yield (await encodeManifest([{ length: 4096, digest: new Uint8Array(32).fill(1) }])).manifest.bytes
}

describe('a lease that expires', () => {
  test('remains if its sync starts again while its age is read', async () => {
    const { leases, folder, reached, go } = await open('stat')
    await using _folder = folder
    const expiring = leases.expire()
    await reached
    await using _received = await leases.receive(ID, manifest())
    go()
    expect(await expiring).toEqual([])
    await leases.acquire(ID)
    expect(await createDisk().stat(folder.file('sync', ID, 'manifest'))).toBeDefined()
  })

  test('is removed before the manifest of the next attempt arrives', async () => {
    const { leases, folder, reached, go, advance } = await open('removeTree')
    await using _folder = folder
    const expiring = leases.expire()
    await reached
    const receiving = leases.receive(ID, manifest())
    // Without waiting, the manifest would be written now and then removed.
    await Bun.sleep(50)
    go()
    expect(await expiring).toEqual([ID])
    await using _received = await receiving
    await leases.acquire(ID)
    expect(await leases.expire()).toEqual([])
    expect(await createDisk().stat(folder.file('sync', ID, 'manifest'))).toBeDefined()
    // The attempt that waited is in progress now.
    advance(25 * HOUR_MS)
    expect(await leases.expire()).toEqual([])
  })

  test('stays as long as its attempt is in progress, and expires a day after it', async () => {
    const { leases, folder, advance } = await open()
    await using _folder = folder
    await using received = await leases.receive(ID, manifest())
    await leases.acquire(ID)
    advance(25 * HOUR_MS)
    expect(await leases.expire()).toEqual([])
    leases.endAttempt(ID)
    {
      await using found = await leases.find(ID, received.digest)
      expect(found?.digest).toBe(received.digest)
      expect(await leases.expire()).toEqual([])
      leases.endAttempt(ID)
    }
    expect(await leases.expire({ dryRun: true })).toEqual([ID])
    expect(await leases.expire()).toEqual([ID])
    expect(await Array.fromAsync(leases.roots.list())).toEqual([])
    expect(await createDisk().list(folder.file('sync'))).toEqual([])
  })

  test('stays until a day has passed, to the millisecond', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('sync', ID, 'manifest')
    await Bun.write(path, '')
    let nowMs = Date.UTC(2026, 0, 1)
    await utimes(path, new Date(nowMs), new Date(nowMs))
    const clock = { ...systemClock, nowMs: () => nowMs }
    const leases = await openLeases({ disk: createDisk(), clock, log: createMemoryLog(), mount: folder.path, missing: () => [] })
    nowMs += 24 * HOUR_MS - 1
    expect(await leases.expire()).toEqual([])
    nowMs += 1
    expect(await leases.expire()).toEqual([ID])
  })
})

describe('a lease, while a sync waits or is paused,', () => {
  test('stays for 30 days, to the millisecond', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('sync', ID, 'manifest')
    await Bun.write(path, '')
    let nowMs = Date.UTC(2026, 0, 1)
    await utimes(path, new Date(nowMs), new Date(nowMs))
    const clock = { ...systemClock, nowMs: () => nowMs }
    const leases = await openLeases({ disk: createDisk(), clock, log: createMemoryLog(), mount: folder.path, missing: () => [] })
    nowMs += 720 * HOUR_MS - 1
    expect(await leases.expire({ isOneWaiting: true })).toEqual([])
    nowMs += 1
    expect(await leases.expire({ isOneWaiting: true })).toEqual([ID])
  })
})

describe('the lease of an earlier attempt', () => {
  /** Leases of which one is stored, for a new attempt. */
  async function openStored() {
    const opened = await open()
    await using received = await opened.leases.receive(ID, manifest())
    await opened.leases.acquire(ID)
    opened.leases.endAttempt(ID)
    return { ...opened, digest: received.digest }
  }
  const slicesOf = async ({ leases }: Awaited<ReturnType<typeof openStored>>): Promise<number> => {
    let count = 0
    for await (const root of leases.roots.list()) for await (const _entry of root.entries()) count++
    return count
  }

  test('is used by the next one for the same manifest only', async () => {
    const opened = await openStored()
    await using _folder = opened.folder
    expect(await opened.leases.find(ID, `sha256:${'0'.repeat(64)}`)).toBeUndefined()
    expect(await opened.leases.find('img_01m7zkp8sw8kyvdcb9erztd6xz', opened.digest)).toBeUndefined()
    await using found = await opened.leases.find(ID, opened.digest)
    expect([found?.isFromBefore, found?.digest]).toEqual([true, opened.digest])
  })

  test('counts from the new attempt on: it expires a day after that', async () => {
    const opened = await openStored()
    await using _folder = opened.folder
    const aDayAgo = new Date(Date.now() - 25 * HOUR_MS)
    await utimes(opened.folder.file('sync', ID, 'manifest'), aDayAgo, aDayAgo)
    expect(await opened.leases.expire({ dryRun: true })).toEqual([ID])
    await (await opened.leases.find(ID, opened.digest))?.[Symbol.asyncDispose]()
    opened.leases.endAttempt(ID)
    expect(await opened.leases.expire({ dryRun: true })).toEqual([])
  })

  test('protects its slices in a gc', async () => {
    const opened = await openStored()
    await using _folder = opened.folder
    expect(await slicesOf(opened)).toBe(1)
  })

  test('that is damaged is not used, and does not stop a gc', async () => {
    const opened = await openStored()
    await using _folder = opened.folder
    await Bun.write(opened.folder.file('sync', ID, 'manifest'), 'not a manifest')
    expect(await opened.leases.find(ID, opened.digest)).toBeUndefined()
    expect(await slicesOf(opened)).toBe(0)
  })

  test('that is damaged or gone stops a gc while the attempt depends on it', async () => {
    const opened = await openStored()
    await using _folder = opened.folder
    await (await opened.leases.find(ID, opened.digest))?.[Symbol.asyncDispose]()
    await Bun.write(opened.folder.file('sync', ID, 'manifest'), 'not a manifest')
    await expect(slicesOf(opened)).rejects.toThrow()
    await rm(opened.folder.file('sync', ID, 'manifest'))
    await expect(slicesOf(opened)).rejects.toThrow('the lease of a sync in progress is missing')
    opened.leases.endAttempt(ID)
    expect(await slicesOf(opened)).toBe(0)
  })
})

test('what else lies in the folder of syncs is no lease, and stays', async () => {
  await using folder = await createTemporaryFolder()
  await mkdir(folder.file('sync', 'lost+found'), { recursive: true })
  await mkdir(folder.file('sync', ID))
  const leases = await openLeases({ disk: createDisk(), clock: systemClock, log: createMemoryLog(), mount: folder.path, missing: () => [] })
  expect(await leases.expire()).toEqual([ID])
  expect(await createDisk().list(folder.file('sync'))).toEqual(['lost+found'])
})

describe('a lease that is removed', () => {
  test('is not missing for gc, which its sync no longer needs to protect anything', async () => {
    const { leases, folder, reached, go } = await open('removed')
    await using _folder = folder
    await using _received = await leases.receive(ID, manifest())
    await leases.acquire(ID)
    const removing = leases.remove(ID)
    await reached
    const entries = []
    for await (const root of leases.roots.list()) for await (const entry of root.entries()) entries.push(entry)
    expect(entries).toEqual([])
    go()
    await removing
  })
})
