// The lease on a mount path, in a real folder with manual clocks.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { acquireLease, LEASE_BEAT_MS } from '../../../agent/system/lease.ts'
import type { Lease, LeaseDeps, LeaseOutcome, LeaseRecord } from '../../../agent/system/lease.ts'
import { readProcessIdentity } from '../../../agent/system/process-identity.ts'
import type { ProcessIdentity } from '../../../agent/system/process-identity.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const pythonTest = requireTool('python3', 'python3')
const self = readProcessIdentity('/var/lib/slipway/here')
const elsewhere: ProcessIdentity = { ...self, holder: 'other', hostname: 'other-node', bootId: 'another-boot', pid: 4711, startTime: '99' }

function depsOf(identity: ProcessIdentity, clock: ManualClock = createManualClock(), onLost: (by: LeaseRecord | undefined) => void = () => {}): LeaseDeps {
  return { disk: createDisk(), clock, log: createMemoryLog(), identity, onLost }
}

function held(outcome: LeaseOutcome): Lease {
  if (outcome.kind !== 'held') throw new Error(`the lease is taken by ${outcome.by?.hostname}`)
  return outcome.lease
}

/** Advances a clock by one interval at a time until the outcome is known. */
async function outcomeWhileWaiting<T>(clock: ManualClock, outcome: Promise<T>, between: () => Promise<void> = async () => {}): Promise<T> {
  let result: T | undefined
  const done = outcome.then((value) => (result = value))
  for (;;) {
    await Promise.race([done, clock.untilSleeping(1)])
    if (result) return result
    await between()
    clock.advance(LEASE_BEAT_MS)
  }
}

describe('acquire', () => {
  test('acquires a free folder as generation 1', async () => {
    await using folder = await createTemporaryFolder()
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.generation).toBe(1)
    expect(lease.isHeld()).toBe(true)
  })

  test('is refused at once while a process of this machine holds it', async () => {
    await using folder = await createTemporaryFolder()
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.isHeld()).toBe(true)
    const outcome = await acquireLease(depsOf(self), folder.path)
    expect(outcome).toMatchObject({ kind: 'taken', by: { hostname: self.hostname, pid: process.pid } })
  })

  test('takes over at once after a clean stop, one generation higher', async () => {
    await using folder = await createTemporaryFolder()
    await held(await acquireLease(depsOf(elsewhere), folder.path))[Symbol.asyncDispose]()
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.generation).toBe(2)
  })

  test('takes over at once from a process of this boot that is gone', async () => {
    await using folder = await createTemporaryFolder()
    const child = Bun.spawn(['true'])
    await child.exited
    held(await acquireLease(depsOf({ ...self, pid: child.pid }), folder.path))
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.generation).toBe(2)
  })

  test('takes over at once when the process id belongs to a newer process', async () => {
    await using folder = await createTemporaryFolder()
    held(await acquireLease(depsOf({ ...self, startTime: '1' }), folder.path))
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.generation).toBe(2)
  })

  pythonTest('takes over at once from a zombie process', async () => {
    await using folder = await createTemporaryFolder()
    const script = 'import os, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(600)'
    await using parent = Bun.spawn(['python3', '-c', script], { stdout: 'pipe' })
    const { value } = await parent.stdout.getReader().read()
    const pid = Number(new TextDecoder().decode(value))
    const statusOf = async (): Promise<string> => Bun.file(`/proc/${pid}/stat`).text()
    await until('the child is a zombie', async () => /\) Z /.test(await statusOf()))
    const startTime = (await statusOf()).split(' ')[21] ?? ''
    held(await acquireLease(depsOf({ ...self, pid, startTime }), folder.path))
    await using lease = held(await acquireLease(depsOf(self), folder.path))
    expect(lease.generation).toBe(2)
  })

  test('takes over from another machine only after three intervals without a beat', async () => {
    await using folder = await createTemporaryFolder()
    held(await acquireLease(depsOf(elsewhere), folder.path))
    const clock = createManualClock()
    await using lease = held(await outcomeWhileWaiting(clock, acquireLease(depsOf(self, clock), folder.path)))
    expect(lease.generation).toBe(2)
    expect(clock.monotonicMs()).toBe(3 * LEASE_BEAT_MS)
  })

  test('does not take over from another machine that still writes its beat', async () => {
    await using folder = await createTemporaryFolder()
    const theirClock = createManualClock()
    await using theirs = held(await acquireLease(depsOf(elsewhere, theirClock), folder.path))
    const clock = createManualClock()
    const before = await Bun.file(folder.file('lease.1.json')).text()
    const outcome = await outcomeWhileWaiting(clock, acquireLease(depsOf(self, clock), folder.path), async () => {
      theirClock.advance(LEASE_BEAT_MS)
      await until('the beat is written', async () => (await Bun.file(folder.file('lease.1.json')).text()) !== before)
    })
    expect(outcome).toMatchObject({ kind: 'taken', by: { hostname: 'other-node' } })
    expect(theirs.isHeld()).toBe(true)
  })

  test('takes over a claim whose process died before it wrote the file', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('lease.3.json'), '')
    const clock = createManualClock()
    await using lease = held(await outcomeWhileWaiting(clock, acquireLease(depsOf(self, clock), folder.path)))
    expect(lease.generation).toBe(4)
  })

  test('is acquired by exactly one of many claimants', async () => {
    await using folder = await createTemporaryFolder()
    for (let round = 0; round < 10; round++) {
      const clock = createManualClock()
      // A claimant that finds a claim that is still being written checks again after an interval.
      const outcomes = await outcomeWhileWaiting(clock, Promise.all(Array.from({ length: 16 }, () => acquireLease(depsOf(self, clock), folder.path))))
      const winners = outcomes.filter((outcome) => outcome.kind === 'held')
      expect(winners).toHaveLength(1)
      for (const outcome of winners) await outcome.lease[Symbol.asyncDispose]()
    }
    expect((await readdir(folder.path)).length).toBeLessThanOrEqual(8)
  })

  test('is acquired by exactly one of many claimants after the holder died', async () => {
    await using folder = await createTemporaryFolder()
    held(await acquireLease(depsOf({ ...self, startTime: '1' }), folder.path))
    const clock = createManualClock()
    const outcomes = await outcomeWhileWaiting(clock, Promise.all(Array.from({ length: 16 }, () => acquireLease(depsOf(self, clock), folder.path))))
    expect(outcomes.filter((outcome) => outcome.kind === 'held')).toHaveLength(1)
  })

  test('takes over on a full disk by removing old generations', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createDisk()
    for (let generation = 1; generation <= 4; generation++) await held(await acquireLease(depsOf(self), folder.path))[Symbol.asyncDispose]()
    // Space for the files that exist, and no more.
    const full: Disk = {
      ...disk,
      async openWrite(path, mode) {
        const file = await disk.openWrite(path, mode)
        if (mode === 'existing' || (await readdir(folder.path)).length <= 4) return file
        return {
          ...file,
          write: () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })),
          [Symbol.asyncDispose]: () => file.close(),
        }
      },
    }
    await using lease = held(await acquireLease({ ...depsOf(self), disk: full }, folder.path))
    expect(lease.generation).toBe(5)
    expect((await readdir(folder.path)).toSorted()).toEqual(['lease.4.json', 'lease.5.json'])
  })

  test('a claim on an old generation is void', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createDisk()
    let isFirst = true
    // The claimant sees an old state of the folder once, as if it had been suspended in between.
    const late = { ...disk, list: async (path: string) => (isFirst ? ((isFirst = false), []) : disk.list(path)) }
    await Bun.write(folder.file('lease.5.json'), await record(5))
    const outcome = await acquireLease({ ...depsOf(self), disk: late }, folder.path)
    expect(outcome.kind).toBe('taken')
    expect(await readdir(folder.path)).toEqual(['lease.5.json'])
  })
})

describe('hold', () => {
  test('writes a beat each interval, in place', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    await using lease = held(await acquireLease(depsOf(self, clock), folder.path))
    for (let beat = 1; beat <= 3; beat++) {
      // No beat starts in an interval that ends while the previous beat is still being written.
      await until('the beat is written', async () => {
        clock.advance(LEASE_BEAT_MS)
        return (await Bun.file(folder.file('lease.1.json')).json()).beat >= beat
      })
    }
    expect(lease.isHeld()).toBe(true)
    expect((await Bun.file(folder.file('lease.1.json')).bytes()).byteLength).toBe(1024)
  })

  test('stops at once when a higher generation exists, and does not change the files', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    const lost = Promise.withResolvers<LeaseRecord | undefined>()
    const lease = held(await acquireLease(depsOf(self, clock, lost.resolve), folder.path))
    await Bun.write(folder.file('lease.2.json'), await record(2))
    const before = await Bun.file(folder.file('lease.1.json')).text()
    clock.advance(LEASE_BEAT_MS)
    expect(await lost.promise).toMatchObject({ generation: 2 })
    expect(lease.isHeld()).toBe(false)
    await lease[Symbol.asyncDispose]()
    expect(await Bun.file(folder.file('lease.1.json')).text()).toBe(before)
  })

  test('keeps the lease and logs once while the beat cannot be written', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    const disk = createDisk()
    const log = createMemoryLog()
    let isBroken = false
    let refusals = 0
    const broken = {
      ...disk,
      openWrite: async (path: string, mode: 'create' | 'existing') => {
        if (!isBroken) return disk.openWrite(path, mode)
        refusals++
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      },
    }
    const lease = held(await acquireLease({ ...depsOf(self, clock), disk: broken, log }, folder.path))
    isBroken = true
    for (let beat = 1; beat <= 3; beat++) {
      clock.advance(LEASE_BEAT_MS)
      await until('a beat was attempted', () => refusals === beat)
      await Bun.sleep(0)
    }
    expect(lease.isHeld()).toBe(true)
    expect(log.lines.filter((line) => line.level === 'warn')).toHaveLength(1)
    isBroken = false
    await lease[Symbol.asyncDispose]()
  })
})

async function record(generation: number): Promise<string> {
  return JSON.stringify({ ...self, generation, beat: 0, heartbeatAt: '2026-01-01T00:00:00.000Z', released: false })
}
