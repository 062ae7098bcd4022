// When a body commits what arrived so far. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createBodySteps } from '../../../../agent/uploads/body/body-steps.ts'
import { Checkpoints } from '../../../../agent/uploads/body/checkpoints.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024

/** The checkpoints of one body; each commit waits until `finish` is called. */
function createScene({ hasNews = () => true }: { readonly hasNews?: () => boolean } = {}) {
  const clock = createManualClock()
  const failures: unknown[] = []
  const steps = createBodySteps((error) => failures.push(error))
  const commits: PromiseWithResolvers<void>[] = []
  const checkpoints = new Checkpoints({
    clock,
    steps,
    hasNews,
    commit: () => {
      const commit = Promise.withResolvers<void>()
      commits.push(commit)
      return commit.promise
    },
  })
  return { clock, steps, failures, commits, checkpoints }
}

const settle = () => Bun.sleep(0)

describe('a checkpoint', () => {
  test('is due after 64 MiB, counted from the start of the one before', async () => {
    const { checkpoints, commits } = createScene()
    checkpoints.add(64 * MIB - 1)
    expect(checkpoints.isDue).toBe(false)
    checkpoints.add(1)
    expect(checkpoints.isDue).toBe(true)
    await checkpoints.start()
    expect([checkpoints.isDue, checkpoints.fresh, checkpoints.received]).toEqual([false, 0, 64 * MIB])
    checkpoints.add(5)
    await settle()
    commits[0]?.resolve()
    await settle()
    expect([checkpoints.fresh, checkpoints.received]).toEqual([5, 64 * MIB + 5])
  })

  test('starts by itself after two seconds', async () => {
    const { checkpoints, commits, clock } = createScene()
    clock.advance(1999)
    checkpoints.tick()
    await settle()
    expect(commits).toHaveLength(0)
    clock.advance(1)
    checkpoints.tick()
    await settle()
    expect(commits).toHaveLength(1)
  })

  test('does not start by itself when it would commit nothing', async () => {
    const { checkpoints, commits, clock } = createScene({ hasNews: () => false })
    clock.advance(10_000)
    checkpoints.tick()
    await settle()
    expect(commits).toHaveLength(0)
  })

  test('does not start by itself soon after everything was committed otherwise', async () => {
    const { checkpoints, commits, clock } = createScene()
    clock.advance(1500)
    checkpoints.mark()
    clock.advance(1500)
    checkpoints.tick()
    await settle()
    expect(commits).toHaveLength(0)
  })

  test('waits for the one in progress', async () => {
    const { checkpoints, commits, clock } = createScene()
    await checkpoints.start()
    await settle()
    const second = checkpoints.start()
    clock.advance(10_000)
    checkpoints.tick()
    await settle()
    expect(commits).toHaveLength(1)
    commits[0]?.resolve()
    await second
    await settle()
    expect(commits).toHaveLength(2)
    commits[1]?.resolve()
    await settle()
  })

  test('runs after the steps of the body that were passed before it', async () => {
    const { checkpoints, commits, steps } = createScene()
    const opening = Promise.withResolvers<void>()
    void steps.run(() => opening.promise)
    await checkpoints.start()
    await settle()
    expect(commits).toHaveLength(0)
    opening.resolve()
    await settle()
    expect(commits).toHaveLength(1)
    commits[0]?.resolve()
  })

  test('that fails reports its error once, and later ones still run', async () => {
    const { checkpoints, commits, failures } = createScene()
    await checkpoints.start()
    await settle()
    commits[0]?.reject(new Error('disk full'))
    await settle()
    expect(failures.map(String)).toEqual(['Error: disk full'])
    await checkpoints.start()
    await settle()
    commits[1]?.resolve()
    await settle()
    expect([commits.length, failures.length]).toEqual([2, 1])
  })
})
