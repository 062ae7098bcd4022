// The task of a pull-through: what it shows of a copy, when it is tried again, and how a cancelled one ends.

import { describe, expect, test } from 'bun:test'
import { TaskPostponed } from '../../../../agent/contract/work.ts'
import type { TaskContext, Tasks } from '../../../../agent/contract/work.ts'
import { createPullTask } from '../../../../agent/sync/through/pull-task.ts'
import type { PullTaskDeps, TaskedPull } from '../../../../agent/sync/through/pull-task.ts'
import { problem } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const DAY = 86_400_000
const PARAMS = { image: 'img_1', startedMs: START }

type Run = Parameters<Tasks['register']>[1]

/** A pull that the test ends. */
function createPull() {
  const kept = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  const aborted: unknown[] = []
  const pull: TaskedPull = {
    image: memoryImage({ id: 'img_1', name: 'one' }),
    from: 'hub',
    counts: { total: 100, done: 10, slicesMoved: 1, bytesMoved: 12, bytesAvoided: 7 },
    progressed: () => {},
    kept: kept.promise,
    ended: ended.promise,
    abort: (reason) => void aborted.push(reason),
  }
  return { pull, kept, ended, aborted }
}

function openScene(deps: Partial<PullTaskDeps> = {}) {
  const clock = createManualClock()
  const started: unknown[] = []
  const done: TaskedPull[] = []
  const runs: Run[] = []
  const tasks = {
    register: (_kind: string, run: Run) => void runs.push(run),
    start: async (order: unknown) => void started.push(order),
  } as unknown as PullTaskDeps['tasks']
  const start = createPullTask({
    clock,
    tasks,
    find: () => undefined,
    resume: async () => undefined,
    done: (pull) => void done.push(pull),
    isStopping: () => false,
    ...deps,
  })
  const controller = new AbortController()
  const progress: unknown[] = []
  let result: (() => unknown) | undefined
  const context = {
    signal: controller.signal,
    progress: (...counts: unknown[]) => void progress.push(counts),
    isRerun: false,
    resultSoFar: (get: () => unknown) => void (result = get),
  } as unknown as TaskContext
  const run = (params: unknown = PARAMS): Promise<unknown> => Promise.resolve(runs[0]?.(params, context))
  return { clock, start, started, done, run, controller, progress, soFar: () => result?.() }
}

/** What the task shows of the pull of `createPull`. */
const MOVED = { image: { id: 'img_1', name: 'one' }, origin: 'hub', slicesMoved: 1, bytesMoved: 12, bytesAvoided: 7 }

test('is started once for an image, with the time of its start', async () => {
  const { start, started, clock } = openScene()
  clock.advance(5)
  await start('img_1')
  expect(started).toEqual([
    { kind: 'pull-through', subject: 'img_1', createdBy: 'pull-through', params: { image: 'img_1', startedMs: START + 5 }, key: 'pull-through img_1' },
  ])
})

describe('a task', () => {
  test('shows the copy that runs until the image is kept', async () => {
    const { pull, kept } = createPull()
    const scene = openScene({ find: () => pull })
    const running = scene.run()
    await Promise.resolve()
    pull.counts.done = 60
    pull.progressed()
    expect(scene.progress).toEqual([
      [10, 100, 'bytes'],
      [60, 100, 'bytes'],
    ])
    expect([scene.soFar(), scene.done]).toEqual([MOVED, []])
    kept.resolve()
    expect(await running).toEqual({ outcome: 'copied', ...MOVED })
    expect(scene.done).toEqual([pull])
    pull.progressed()
    expect(scene.progress).toHaveLength(2)
  })

  test('goes on with a copy that no reader wants any more, and has nothing to do for an image that is there', async () => {
    const { pull, kept } = createPull()
    const scene = openScene({ resume: async () => pull })
    kept.resolve()
    expect(await scene.run()).toMatchObject({ outcome: 'copied' })
    const there = openScene()
    expect([await there.run(), there.done]).toEqual([{ outcome: 'already-there' }, []])
  })

  test('that is cancelled ends the copy, and waits for its end', async () => {
    const { pull, ended, aborted } = createPull()
    const scene = openScene({ find: () => pull })
    let isOver = false
    const running = scene.run().finally(() => (isOver = true))
    await Promise.resolve()
    scene.controller.abort(new Error('cancelled by ann'))
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    expect([aborted.map(String), isOver]).toEqual([[expect.stringContaining('The copy of image one was cancelled.')], false])
    ended.resolve()
    await expect(running).rejects.toThrow('cancelled by ann')
    expect(scene.done).toEqual([pull])
  })

  test('of a copy that fails, fails', async () => {
    const { pull, kept } = createPull()
    const scene = openScene({ find: () => pull })
    kept.reject(new Error('EIO'))
    await expect(scene.run()).rejects.toThrow('EIO')
    expect(scene.done).toEqual([pull])
  })
})

describe('a copy that cannot go on', () => {
  const failing = (error: Error): Partial<PullTaskDeps> => ({ resume: () => Promise.reject(error) })
  const unreachable = problem('origin-unreachable', 'No origin answers.')

  test.each([
    ['no origin answers', unreachable],
    ['too many copies run', problem('limit-reached', 'Too many copies run.')],
  ])('because %s is tried again in a minute, for a day', async (_why, error) => {
    const scene = openScene(failing(error))
    scene.clock.advance(DAY)
    const thrown = await scene.run().catch((caught: unknown) => caught)
    expect(thrown).toBeInstanceOf(TaskPostponed)
    expect(thrown).toMatchObject({ untilMs: START + DAY + 60_000, message: `The copy cannot go on: ${error.message} It is tried again in a minute.` })
    scene.clock.advance(1)
    await expect(scene.run()).rejects.toBe(error)
  })

  test('for another reason fails at once', async () => {
    const error = problem('not-found', 'There is no image.')
    await expect(openScene(failing(error)).run()).rejects.toBe(error)
    const broken = new Error('EIO')
    await expect(openScene(failing(broken)).run()).rejects.toBe(broken)
  })

  test('because the agent stops waits for that, so that the next start runs it again', async () => {
    const scene = openScene({ ...failing(unreachable), isStopping: () => true })
    let isOver = false
    const running = scene.run().finally(() => (isOver = true))
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    expect(isOver).toBe(false)
    scene.controller.abort(new Error('stopping'))
    await expect(running).rejects.toBeInstanceOf(TaskPostponed)
  })
})
