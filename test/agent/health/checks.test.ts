// The health checks over real folders and real facts.

import { describe, expect, test } from 'bun:test'
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import type { Finding } from '../../../agent/contract/health.ts'
import { createStoreChecks } from '../../../agent/health/checks.ts'
import type { StoreChecksDeps } from '../../../agent/health/checks.ts'
import { watchEventLoop } from '../../../agent/health/event-loop.ts'
import { openMountProbe } from '../../../agent/health/mount-probe.ts'
import type { OriginState } from '../../../protocol/store.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const GB = 1_000_000_000

async function createFixture(more: Partial<StoreChecksDeps> = {}) {
  const folder = await createTemporaryFolder()
  const mount = folder.file('mount')
  await mkdir(mount)
  await writeFile(folder.file('mount', 'store.json'), '{}')
  const clock = createManualClock()
  const kept = createMemoryKeptValues()
  const make = async () =>
    createStoreChecks({
      clock,
      kept,
      mount,
      mountProbe: await openMountProbe({ mount, storeFile: 'store.json', clock }),
      space: { state: async () => ({ totalBytes: 100 * GB, freeBytes: 50 * GB, reservedBytes: GB, promisedBytes: 0, availableBytes: 49 * GB }) },
      recycleBin: () => ({ images: 0, storedBytes: 0 }),
      eventLoop: { delayMsMax: () => 1, lateTimes: () => 0 },
      residentBytes: () => 1,
      sliceStats: () => ({ slices: 1, quarantined: 0, rebuilding: null }),
      damagedImages: () => 0,
      lastScrub: () => ({ endedMs: null, corrupt: 0, missing: 0, faults: 0, damagedRoots: [] }),
      schedules: () => [],
      tasks: { counts: () => ({ queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }) },
      origins: () => [],
      partners: () => [],
      certificateEndMs: () => null,
      plainHosts: [],
      ...more,
    })
  const checks = await make()
  const measure = async (name: string): Promise<Finding> => {
    const check = checks.find((candidate) => candidate.name === name)
    if (!check) throw new Error(`no check ${name}`)
    return check.measure()
  }
  return { folder, mount, clock, kept, checks, make, measure, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

describe('checks', () => {
  test('are all ok for a healthy store, and those that everything depends on are vital', async () => {
    await using fixture = await createFixture()
    for (const { name } of fixture.checks) expect([name, (await fixture.measure(name)).state]).toEqual([name, 'ok'])
    expect(fixture.checks.filter((check) => check.isVital).map((check) => check.name)).toEqual(['mount-path', 'index-database'])
  })

  test('detect a missing mount path and an empty one', async () => {
    await using fixture = await createFixture()
    await rename(fixture.mount, fixture.folder.file('elsewhere'))
    expect((await fixture.measure('mount-path')).measured).toContain('not reachable (ENOENT)')
    await mkdir(fixture.mount)
    expect((await fixture.measure('mount-path')).measured).toContain('no store.json')
  })

  test('leave no file behind in the mount path, and detect that none can be created', async () => {
    await using fixture = await createFixture()
    expect((await fixture.measure('mount-writable')).state).toBe('ok')
    expect([...new Bun.Glob('**').scanSync({ cwd: fixture.mount, dot: true })]).toEqual(['store.json'])
    await rm(fixture.mount, { recursive: true })
    expect((await fixture.measure('mount-writable')).state).toBe('ok')
    fixture.clock.advance(30_000)
    expect((await fixture.measure('mount-writable')).measured).toContain('ENOENT')
    await mkdir(fixture.mount)
    expect((await fixture.measure('mount-writable')).state).toBe('ok')
    if (process.getuid?.() !== 0) {
      await chmod(fixture.mount, 0o500)
      fixture.clock.advance(30_000)
      expect((await fixture.measure('mount-writable')).measured).toContain('EACCES')
    }
  })

  test('predict a full store from the samples of the last days, also after a restart', async () => {
    let freeBytes = 50 * GB
    const space = { state: async () => ({ totalBytes: 100 * GB, freeBytes, reservedBytes: GB, promisedBytes: 0, availableBytes: freeBytes - GB }) }
    await using fixture = await createFixture({ space })
    for (let hour = 0; hour < 48; hour++) {
      await fixture.measure('free-space')
      fixture.clock.advance(3_600_000)
      freeBytes -= GB / 2
    }
    const checks = await fixture.make()
    const finding = await checks.find((check) => check.name === 'free-space')?.measure()
    expect(finding?.state).toBe('warning')
    expect(finding?.measured).toMatch(/full about 2026-01-0[456]/)
  })

  test('detect a file system that does not report its space', async () => {
    const space = { state: () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })) }
    await using fixture = await createFixture({ space })
    expect((await fixture.measure('free-space')).measured).toContain('does not report its space (EIO)')
  })

  test('detect an index database that does not answer', async () => {
    await using fixture = await createFixture({
      sliceStats() {
        throw new Error('database disk image is malformed')
      },
    })
    expect((await fixture.measure('index-database')).action).toContain('slipway-agent recover')
  })

  test('detect a clock that was set back, by the time recorded before a restart', async () => {
    const clock = createManualClock(Date.UTC(2026, 5, 1))
    await using fixture = await createFixture({ clock })
    expect((await fixture.measure('clock')).state).toBe('ok')
    const back = createManualClock(Date.UTC(2026, 4, 1))
    await using other = await createFixture({ clock: back, kept: fixture.kept })
    expect((await other.measure('clock')).state).toBe('failed')
  })

  test('detect a clock that was set while the agent runs', async () => {
    let setMs = 0
    const real = createManualClock(Date.UTC(2026, 5, 1))
    await using fixture = await createFixture({ clock: { ...real, nowMs: () => real.nowMs() + setMs } })
    expect((await fixture.measure('clock')).state).toBe('ok')
    setMs = 3_600_000
    expect((await fixture.measure('clock')).measured).toContain('just set forward by 1 h')
    expect((await fixture.measure('clock')).state).toBe('ok')
  })
})

describe('watchEventLoop', () => {
  test('keeps the longest delay for ten to twenty seconds', () => {
    let lateMs = 0
    const clock = createManualClock()
    using watch = watchEventLoop({ ...clock, monotonicMs: () => clock.monotonicMs() + lateMs }, () => 0)
    clock.advance(1000)
    expect(watch.delayMsMax()).toBe(0)
    lateMs = 400
    clock.advance(100)
    expect(watch.delayMsMax()).toBe(400)
    clock.advance(9000)
    expect(watch.delayMsMax()).toBe(400)
    clock.advance(21_000)
    expect(watch.delayMsMax()).toBe(0)
  })

  test('counts the turns that were late by 250 ms for ten to twenty seconds', () => {
    let lateMs = 0
    const clock = createManualClock()
    using watch = watchEventLoop({ ...clock, monotonicMs: () => clock.monotonicMs() + lateMs }, () => 0)
    const turn = (delayMs: number): void => {
      lateMs += delayMs
      clock.advance(100)
    }
    turn(249)
    expect(watch.lateTimes()).toBe(0)
    turn(250)
    turn(1000)
    expect(watch.lateTimes()).toBe(2)
    // The window ends; what was late in it is kept for one more.
    clock.advance(9000)
    turn(300)
    expect(watch.lateTimes()).toBe(3)
    clock.advance(10_000)
    expect(watch.lateTimes()).toBe(1)
    clock.advance(10_000)
    expect(watch.lateTimes()).toBe(0)
  })

  test('ticks once a second in an idle process, and ten times a second in a busy one', () => {
    let ticks = 0
    let cpuMs = 0
    const clock = createManualClock()
    using _watch = watchEventLoop(clock, () => {
      ticks++
      return cpuMs
    })
    clock.advance(60_000)
    const idle = ticks
    expect(idle).toBeLessThan(170)
    clock.advance(10_000)
    expect(ticks - idle).toBe(10)
    const before = ticks
    for (let i = 0; i < 100; i++) {
      cpuMs += 10
      clock.advance(100)
    }
    expect(ticks - before).toBeGreaterThan(85)
  })

  test('the check of sync partners warns when none answers', async () => {
    const states: OriginState[] = ['unknown', 'unreachable']
    await using fixture = await createFixture({ partners: () => states.map((state, i) => ({ name: `hub-${i}`, state })) })
    expect(await fixture.measure('sync-partners')).toMatchObject({ state: 'ok', measured: '0 of 2 stores answer that this one synced with' })
    states[0] = 'reachable'
    expect(await fixture.measure('sync-partners')).toMatchObject({ state: 'ok', limit: 'at least 1' })
    states[0] = 'refused'
    expect(await fixture.measure('sync-partners')).toEqual({
      state: 'warning',
      measured: '0 of 2 stores answer that this one synced with: hub-0 is refused, hub-1 is unreachable',
      limit: 'at least 1',
      impact: 'Damaged slices are not repaired from these stores. What is intact in this store is served.',
      action: 'Check the network to these stores, and that their agents run. Repairs continue by themselves when one answers.',
    })
    states.length = 0
    expect(await fixture.measure('sync-partners')).toMatchObject({ state: 'ok', measured: 'no grants of other stores for repairs' })
  })

  test('the check of origins exists only where the configuration names some, and warns when none answers', async () => {
    await using without = await createFixture()
    expect(without.checks.map(({ name }) => name)).not.toContain('origins')
    let state: 'unknown' | 'reachable' | 'unreachable' | 'refused' = 'unknown'
    await using fixture = await createFixture({
      origins: () => [
        { name: 'hub', state },
        { name: 'far', state: 'refused' },
      ],
    })
    expect(await fixture.measure('origins')).toMatchObject({ state: 'ok', measured: '0 of 2 origins answer' })
    state = 'reachable'
    expect(await fixture.measure('origins')).toMatchObject({ state: 'ok', measured: '1 of 2 origins answer', limit: 'at least 1' })
    state = 'unreachable'
    expect(await fixture.measure('origins')).toEqual({
      state: 'warning',
      measured: '0 of 2 origins answer: hub is unreachable, far is refused',
      limit: 'at least 1',
      impact: 'Damaged slices are not repaired, and images that only an origin has cannot be read. What is intact in this store is served.',
      action: 'Check the network to the origins, and that their agents run. Repairs continue by themselves when one answers.',
    })
    state = 'refused'
    expect((await fixture.measure('origins')).action).toBe('Check the addresses and tokens of [[origins]] in the configuration, then restart the agent.')
  })
})
