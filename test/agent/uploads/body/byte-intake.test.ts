// When plain bytes go into slices, what waits for a slot, and what a body that is verified as a whole keeps until then. Slices are real, and in memory.

import { describe, expect, test } from 'bun:test'
import type { Checkpoint } from '../../../../agent/contract/slices.ts'
import { ByteIntake } from '../../../../agent/uploads/body/byte-intake.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { noise } from '../slice-bodies.ts'

const KIB = 1024

/** An intake of plain bytes on an upload with this tail, and what it did, in order. */
function createScene({ isProvisional = false, tailLength = 0, slots = 1 } = {}) {
  const clock = createManualClock()
  const slices = createMemorySlices()
  const ingestSlots = createIngestSlots(slots, clock.monotonicMs)
  const provisionalSlots = createIngestSlots(1, clock.monotonicMs)
  const stop = new AbortController()
  const log: string[] = []
  const failures: unknown[] = []
  let quietMs = 0
  let committing: PromiseWithResolvers<void> | undefined
  let closing: PromiseWithResolvers<void> | undefined
  const tails: number[] = []
  let noSpace: Error | undefined
  const commits = {
    tailLength,
    openIngest: async () => (log.push('open'), slices.ingest({ offset: 0, tail: new Uint8Array(tailLength) })),
    async commitTail(bytes: Uint8Array) {
      log.push(`tail ${bytes.byteLength}`)
      await committing?.promise
    },
    async commit(checkpoints: readonly Checkpoint[]) {
      log.push(`commit ${checkpoints.map(({ entries, tail }) => entries.reduce((sum, { length }) => sum + length, tail.byteLength)).join('+')}`)
      tails.push(...checkpoints.map(({ tail }) => tail.byteLength))
      for (const { release } of checkpoints) release()
      await committing?.promise
    },
    async renewSpace() {
      log.push('renew')
      if (noSpace) throw noSpace
    },
    async closeFiles() {
      log.push('close files')
      await closing?.promise
    },
  }
  const intake = new ByteIntake({ clock, ingestSlots, provisionalSlots }, commits, {
    isProvisional,
    quietMs: () => quietMs,
    signal: stop.signal,
    onFailure: (error) => failures.push(error),
  })
  return {
    ...{ clock, slices, ingestSlots, provisionalSlots, stop, log, tails, failures, intake },
    /** Commits take until the returned promise is settled. */
    holdCommits: () => (committing = Promise.withResolvers<void>()),
    /** No more space is promised from now on. */
    endSpace: () => void (noSpace = new Error('insufficient-storage')),
    /** Closing the files takes until the returned promise is resolved. */
    holdClosing: () => (closing = Promise.withResolvers<void>()),
    /** Is silent for as long that the body is parked. */
    async park() {
      quietMs = 2000
      intake.tick()
      quietMs = 0
      await settle()
    },
    /** Lets two seconds pass, after which a checkpoint is due. */
    async checkpoint() {
      clock.advance(2000)
      intake.tick()
      await settle()
    },
  }
}

const settle = () => Bun.sleep(0)

describe('few bytes', () => {
  test.each([
    [0, 64 * KIB, []],
    [0, 64 * KIB + 1, ['renew', 'open']],
    [1, 64 * KIB - 1, []],
    [1, 64 * KIB, ['renew', 'open']],
  ])('after a tail of %i bytes, %i bytes need: %j', async (tailLength, bytes, log) => {
    const { intake, ...scene } = createScene({ tailLength })
    expect(await intake.write(noise(bytes, 1))).toBe(true)
    expect([scene.log, scene.ingestSlots.held, intake.received, intake.isWhole]).toEqual([log, log.length === 0 ? 0 : 1, bytes, true])
    await intake.close()
    expect([scene.ingestSlots.held, scene.slices.open]).toEqual([0, 0])
  })

  test('are committed as a tail once, without a slot, and go into slices when the upload ends with them', async () => {
    const scene = createScene()
    await scene.intake.write(noise(10, 1))
    await scene.intake.write(noise(20, 2))
    await scene.intake.commit(false)
    await scene.intake.commit(false)
    expect([scene.log, scene.ingestSlots.held]).toEqual([['tail 30'], 0])
    await scene.intake.write(noise(1, 3))
    await scene.intake.commit(true)
    expect(scene.log).toEqual(['tail 30', 'renew', 'open', 'commit 1'])
    await scene.intake.close()
  })

  test('that are committed already need no ingest when the upload ends', async () => {
    const scene = createScene()
    await scene.intake.write(noise(10, 1))
    await scene.intake.commit(false)
    await scene.intake.commit(true)
    expect(scene.log).toEqual(['tail 10'])
    await scene.intake.close()
  })

  test('add up: the piece that makes them many needs an ingest', async () => {
    const scene = createScene()
    await scene.intake.write(noise(40 * KIB, 1))
    expect(scene.log).toEqual([])
    await scene.intake.write(noise(40 * KIB, 2))
    expect(scene.log).toEqual(['renew', 'open'])
    await scene.intake.commit(false)
    expect(scene.log.at(-1)).toBe(`commit ${80 * KIB}`)
    await scene.intake.close()
  })

  test('are committed after two seconds, and space is renewed', async () => {
    const scene = createScene()
    await scene.checkpoint()
    expect(scene.log).toEqual([])
    await scene.intake.write(noise(1, 1))
    await scene.checkpoint()
    expect(scene.log).toEqual(['tail 1', 'renew'])
    await scene.intake.close()
  })
})

test('a wait for a slot that was ended takes nothing', async () => {
  const scene = createScene()
  await scene.ingestSlots.acquire(new AbortController().signal)
  const writing = scene.intake.write(noise(65 * KIB, 1))
  await settle()
  scene.stop.abort(new Error('ended'))
  expect([await writing, scene.intake.received, scene.log]).toEqual([false, 0, []])
  await scene.intake.close()
})

test('a body that was parked commits what arrived, gives its slot away and opens another ingest for what follows', async () => {
  const scene = createScene()
  await scene.intake.write(noise(65 * KIB, 1))
  await scene.park()
  expect([scene.log, scene.ingestSlots.held, scene.slices.open]).toEqual([['renew', 'open', `commit ${65 * KIB}`, 'close files'], 0, 0])
  await scene.intake.write(noise(100 * KIB, 2))
  expect([scene.log.slice(4), scene.ingestSlots.held]).toEqual([['renew', 'open'], 1])
  await scene.intake.close()
  expect([scene.failures, scene.slices.pinned().size]).toEqual([[], 0])
})

test('a body that was parked keeps the bytes after its last slice as a tail, and one that ends does not', async () => {
  const scene = createScene()
  await scene.intake.write(noise(65 * KIB, 1))
  await scene.park()
  await scene.intake.write(noise(65 * KIB, 2))
  await scene.intake.commit(true)
  expect(scene.tails).toEqual([KIB, 0])
  await scene.intake.close()
})

describe('a commit that failed', () => {
  test('is followed by no other of the same body: its bytes would stand where those of the failed one belong', async () => {
    const scene = createScene()
    await scene.intake.write(noise(10, 1))
    const committing = scene.holdCommits()
    await scene.checkpoint()
    await scene.intake.write(noise(20, 2))
    const committed = scene.intake.commit(false)
    committing.reject(new Error('EIO'))
    await expect(committed).rejects.toThrow('EIO')
    expect([scene.log, scene.failures.map(String)]).toEqual([['tail 10'], ['Error: EIO']])
    await scene.intake.close()

    const long = createScene()
    await long.intake.write(noise(65 * KIB, 1))
    const held = long.holdCommits()
    await long.checkpoint()
    await long.intake.write(noise(65 * KIB, 2))
    const ended = long.intake.commit(true)
    held.reject(new Error('ENOSPC'))
    await expect(ended).rejects.toThrow('ENOSPC')
    expect(long.log.filter((step) => step.startsWith('commit'))).toEqual([`commit ${65 * KIB}`])
    await long.intake.close()
    expect([long.slices.open, long.slices.pinned().size]).toEqual([0, 0])
  })
})

test('a body without space for more is refused before an ingest is opened, and at its next checkpoint', async () => {
  const scene = createScene()
  scene.endSpace()
  await expect(scene.intake.write(noise(65 * KIB, 1))).rejects.toThrow('insufficient-storage')
  expect([scene.log, scene.slices.open]).toEqual([['renew'], 0])
  await scene.intake.close()

  const later = createScene()
  await later.intake.write(noise(65 * KIB, 1))
  later.endSpace()
  await later.checkpoint()
  expect([later.log, later.failures.map(String)]).toEqual([['renew', 'open', `commit ${65 * KIB}`, 'renew'], ['Error: insufficient-storage']])
  await later.intake.close()
})

test('64 MiB are committed while the body continues', async () => {
  const scene = createScene()
  const half = new Uint8Array(32 * KIB * KIB)
  await scene.intake.write(half.subarray(1))
  await scene.intake.write(half)
  await settle()
  expect(scene.log).toEqual(['renew', 'open'])
  await scene.intake.write(half.subarray(0, 1))
  await settle()
  expect(scene.log).toEqual(['renew', 'open', `commit ${64 * KIB * KIB}`, 'renew'])
  await scene.intake.close()
})

test('a slot goes to the next body once the files of the one that is closed are closed', async () => {
  const scene = createScene()
  await scene.intake.write(noise(65 * KIB, 1))
  const closing = scene.holdClosing()
  const closed = scene.intake.close()
  await settle()
  expect([scene.log.at(-1), scene.slices.open, scene.ingestSlots.held]).toEqual(['close files', 0, 1])
  closing.resolve()
  await closed
  expect(scene.ingestSlots.held).toBe(0)
})

test('a body takes no piece while it is parked, and what was committed then is not committed again two seconds later', async () => {
  const scene = createScene()
  await scene.intake.write(noise(65 * KIB, 1))
  const committing = scene.holdCommits()
  scene.clock.advance(1000)
  await scene.park()
  const writing = scene.intake.write(noise(1, 2))
  await settle()
  expect([scene.intake.received, scene.ingestSlots.held]).toEqual([65 * KIB, 1])
  committing.resolve()
  expect([await writing, scene.intake.received]).toEqual([true, 65 * KIB + 1])
  await scene.intake.commit(false)
  expect(scene.log.slice(2)).toEqual([`commit ${65 * KIB}`, 'close files', 'tail 1'])
  await scene.intake.close()

  const quiet = createScene()
  await quiet.intake.write(noise(65 * KIB, 1))
  quiet.clock.advance(1000)
  await quiet.park()
  await quiet.checkpoint()
  expect(quiet.log.slice(2)).toEqual([`commit ${65 * KIB}`, 'close files'])
  await quiet.intake.close()
})

describe('a body that is verified as a whole', () => {
  test('has one of the slots for such bodies until it is closed, also while it is parked, and commits nothing before', async () => {
    const scene = createScene({ isProvisional: true })
    await scene.intake.write(noise(10, 1))
    await scene.checkpoint()
    expect([scene.log, scene.provisionalSlots.held]).toEqual([[], 0])
    await scene.intake.write(noise(65 * KIB, 2))
    expect([scene.log, scene.provisionalSlots.held, scene.ingestSlots.held]).toEqual([['renew', 'open'], 1, 1])
    await scene.checkpoint()
    await scene.park()
    expect([scene.log, scene.provisionalSlots.held, scene.ingestSlots.held, scene.slices.open]).toEqual([['renew', 'open', 'renew'], 1, 0, 1])
    await scene.intake.write(noise(65 * KIB, 3))
    expect([scene.log.length, scene.provisionalSlots.held, scene.provisionalSlots.waiting, scene.ingestSlots.held]).toEqual([3, 1, 0, 1])
    const committing = scene.holdCommits()
    let isDurable = false
    const committed = scene.intake.commit(true).then(() => (isDurable = true))
    await settle()
    expect(isDurable).toBe(false)
    committing.resolve()
    await committed
    // What the checkpoints had, in one append.
    expect(scene.log.at(-1)).toStartWith('commit ')
    expect(scene.log.filter((step) => step.startsWith('commit'))).toHaveLength(1)
    expect(scene.log.at(-1)?.split('+')).toHaveLength(2)
    await scene.intake.close()
    expect([scene.provisionalSlots.held, scene.ingestSlots.held, scene.slices.open, scene.slices.pinned().size]).toEqual([0, 0, 0, 0])
  })

  test('releases the slices of a body that was not verified', async () => {
    const scene = createScene({ isProvisional: true })
    await scene.intake.write(noise(200 * KIB, 1))
    await scene.checkpoint()
    expect(scene.slices.pinned().size).toBeGreaterThan(0)
    await scene.intake.close()
    expect([scene.slices.pinned().size, scene.log.some((step) => step.startsWith('commit'))]).toEqual([0, false])
  })

  test('releases the slices of a checkpoint that was in progress when the body was closed', async () => {
    const scene = createScene({ isProvisional: true })
    await scene.intake.write(noise(200 * KIB, 1))
    scene.clock.advance(2000)
    scene.intake.tick()
    await scene.intake.close()
    expect([scene.slices.pinned().size, scene.slices.open]).toEqual([0, 0])
  })

  test('whose wait for such a slot was ended takes nothing', async () => {
    const scene = createScene({ isProvisional: true })
    await scene.provisionalSlots.acquire(new AbortController().signal)
    const writing = scene.intake.write(noise(65 * KIB, 1))
    await settle()
    expect([scene.provisionalSlots.waiting, scene.ingestSlots.held]).toEqual([1, 0])
    scene.stop.abort(new Error('ended'))
    expect([await writing, scene.log]).toEqual([false, []])
    await scene.intake.close()
  })
})
