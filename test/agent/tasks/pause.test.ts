// Tasks that an operator pauses, and tasks that their runner postpones.

import { describe, expect, test } from 'bun:test'
import { TaskPostponed } from '../../../agent/contract/work.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { openTaskQueue, order } from '../../support/agents/task-queue.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

describe('pause', () => {
  test('stops the run, keeps the progress, makes room for another task, and shows who paused it', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs, events, clock } = queue
    tasks.resume()
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((subject) => tasks.start(order(subject))))
    await until('two run', () => runs.length === 2)
    runs[0]?.context.progress(40, 100, 'bytes')
    clock.advance(1000)
    runs[0]?.context.progress(50, 100, 'bytes')
    expect(tasks.get(a!.id)).toMatchObject({ progress: { rate: 10 } })
    expect(tasks.pause(a!.id, 'ann')).toMatchObject({ id: a!.id, pausedAt: '2026-01-01T00:00:01.000Z' })
    await until('the third runs', () => runs.length === 3)
    expect(tasks.get(a!.id)).toEqual({
      ...a!,
      state: 'queued',
      progress: { done: 50, total: 100, unit: 'bytes', rate: 0, etaSeconds: null },
      pausedAt: '2026-01-01T00:00:01.000Z',
      detail: `Paused by ann. Resume it with \`task resume ${a!.id}\`.`,
    })
    expect(events).toMatchObject([{ type: 'task.paused', severity: 'info', subject: a!.id, actor: 'ann', message: 'ann paused the sync task on a.' }])
    for (const run of runs.slice(1)) run.finish({})
    await tasks.ended(b!.id)
    await tasks.ended(c!.id)
    // Room alone does not resume it.
    expect([tasks.get(a!.id)?.state, runs.length]).toEqual(['queued', 3])
  })

  test('holds a waiting task back, and pausing twice changes nothing', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs } = queue
    const { id } = await tasks.start(order('a'))
    const first = tasks.pause(id, 'ann')
    expect(tasks.pause(id, 'bob')).toEqual(first)
    tasks.resume()
    const other = await tasks.start(order('b'))
    await until('the other runs', () => runs.length === 1)
    expect(runs[0]?.params).toMatchObject({ subject: 'b' })
    runs[0]?.finish({})
    await tasks.ended(other.id)
    expect(runs).toHaveLength(1)
  })

  test('survives a restart', async () => {
    await using folder = await createTemporaryFolder()
    const file = folder.file('agent.db')
    let id: string
    {
      await using queue = await openTaskQueue(file)
      queue.tasks.resume()
      id = (await queue.tasks.start(order('a'))).id
      await until('it runs', () => queue.runs.length === 1)
      queue.tasks.pause(id, 'ann')
    }
    await using queue = await openTaskQueue(file)
    const { tasks, runs } = queue
    tasks.resume()
    expect(tasks.get(id)).toMatchObject({ state: 'queued', detail: `Paused by ann. Resume it with \`task resume ${id}\`.` })
    const other = await tasks.start(order('b'))
    await until('the other runs', () => runs.length === 1)
    expect(runs[0]?.params).toMatchObject({ subject: 'b' })
    tasks.resumePaused(id, 'bob')
    await until('it runs', () => runs.length === 2)
    for (const run of runs) run.finish({})
    await tasks.ended(other.id)
    expect(await tasks.ended(id)).toMatchObject({ state: 'succeeded' })
  })

  test('does not count as a crash, however often it happens', async () => {
    await using folder = await createTemporaryFolder()
    const file = folder.file('agent.db')
    let id = ''
    for (let round = 0; round < 7; round++) {
      await using queue = await openTaskQueue(file)
      if (round === 0) id = (await queue.tasks.start(order('a'))).id
      queue.tasks.resume()
      if (round > 0) queue.tasks.resumePaused(id, 'ann')
      await until('it runs', () => queue.runs.length === 1)
      queue.tasks.pause(id, 'ann')
      await until('it stops', () => queue.tasks.get(id)?.state === 'queued')
    }
    await using queue = await openTaskQueue(file)
    queue.tasks.resume()
    expect(queue.tasks.get(id)).toMatchObject({ state: 'queued' })
  })

  test('is refused for ended tasks and for kinds that do not continue where they stopped', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs } = queue
    tasks.register('gc', () => Promise.resolve({}))
    const gc = await tasks.start({ ...order('a'), kind: 'gc' })
    expect(codeOf(() => tasks.pause(gc.id, 'ann'))).toBe('wrong-status')
    expect(codeOf(() => tasks.resumePaused(gc.id, 'ann'))).toBe('wrong-status')
    expect(codeOf(() => tasks.pause('tsk_none', 'ann'))).toBe('not-found')
    expect(codeOf(() => tasks.resumePaused('tsk_none', 'ann'))).toBe('not-found')
    tasks.resume()
    const { id } = await tasks.start(order('a'))
    ;(await until('it runs', () => runs[0])).finish({})
    await tasks.ended(id)
    expect(codeOf(() => tasks.pause(id, 'ann'))).toBe('wrong-status')
    expect(codeOf(() => tasks.resumePaused(id, 'ann'))).toBe('wrong-status')
  })

  test('a paused task can be cancelled, also while its run stops', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs } = queue
    tasks.resume()
    const [a, b] = await Promise.all(['a', 'b'].map((subject) => tasks.start(order(subject))))
    await until('both run', () => runs.length === 2)
    tasks.pause(a!.id, 'ann')
    tasks.cancel(a!.id, 'ann')
    expect(await tasks.ended(a!.id)).toMatchObject({ state: 'cancelled' })
    tasks.pause(b!.id, 'ann')
    await until('it stops', () => tasks.get(b!.id)?.state === 'queued')
    const cancelled = tasks.cancel(b!.id, 'ann')
    expect(cancelled.state).toBe('cancelled')
    expect(cancelled.pausedAt).toBeUndefined()
    expect(cancelled.detail).toBeUndefined()
  })
})

describe('resume', () => {
  test('runs the task again, also when its run has not stopped yet', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs, events } = queue
    tasks.resume()
    const { id } = await tasks.start(order('a'))
    await until('it runs', () => runs.length === 1)
    tasks.pause(id, 'ann')
    const resumed = tasks.resumePaused(id, 'bob')
    expect(resumed.pausedAt).toBeUndefined()
    await until('it runs again', () => runs.length === 2)
    expect(runs[1]?.context.signal.aborted).toBe(false)
    runs[1]?.finish({})
    expect(await tasks.ended(id)).toMatchObject({ state: 'succeeded' })
    expect(events.map(({ type, actor }) => `${type} ${actor}`)).toEqual(['task.paused ann', 'task.resumed bob', 'task.succeeded ann'])
  })
})

describe('a postponed task', () => {
  test('makes room, says why it waits, and runs again when its time comes', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs, clock } = queue
    tasks.resume()
    const { id } = await tasks.start(order('a'))
    const run = await until('it runs', () => runs[0])
    expect(run.context.isRerun).toBe(false)
    run.fail(new TaskPostponed(clock.nowMs() + 90_000, 'Outside its hours.'))
    await until('it waits', () => tasks.get(id)?.state === 'queued')
    expect(tasks.get(id)).toMatchObject({ detail: 'Outside its hours.', continuesAt: '2026-01-01T00:01:30.000Z' })
    // The wall clock is looked at every minute.
    clock.advance(60_000)
    await clock.untilSleeping(1)
    expect(runs).toHaveLength(1)
    clock.advance(30_000)
    const again = await until('it runs again', () => runs[1])
    expect(again.context.isRerun).toBe(true)
    const shown = tasks.get(id)
    expect([shown?.state, shown?.detail, shown?.continuesAt]).toEqual(['running', undefined, undefined])
    again.finish({})
    expect(await tasks.ended(id)).toMatchObject({ state: 'succeeded' })
  })

  test('is decided again by its runner after a restart', async () => {
    await using folder = await createTemporaryFolder()
    const file = folder.file('agent.db')
    let id: string
    {
      await using queue = await openTaskQueue(file)
      queue.tasks.resume()
      id = (await queue.tasks.start(order('a'))).id
      ;(await until('it runs', () => queue.runs[0])).fail(new TaskPostponed(queue.clock.nowMs() + 90_000, 'Later.'))
      await until('it waits', () => queue.tasks.get(id)?.continuesAt)
    }
    await using queue = await openTaskQueue(file)
    queue.tasks.resume()
    const run = await until('it runs', () => queue.runs[0])
    expect(run.context.isRerun).toBe(true)
    run.finish({})
    expect(await queue.tasks.ended(id)).toMatchObject({ state: 'succeeded' })
  })
})

describe('runPostponed', () => {
  test('lets a postponed task run before its time, and leaves a paused one', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs, clock } = queue
    tasks.resume()
    const [a, b] = await Promise.all(['a', 'b'].map((subject) => tasks.start(order(subject))))
    await until('both run', () => runs.length === 2)
    runs[0]?.fail(new TaskPostponed(clock.nowMs() + 3_600_000, 'Later.'))
    tasks.pause(b!.id, 'ann')
    await until('both wait', () => tasks.counts().queued === 2)
    tasks.runPostponed()
    await until('it runs', () => runs.length === 3)
    expect([runs[2]?.params, tasks.get(a!.id)?.continuesAt, tasks.get(b!.id)?.state]).toMatchObject([{ subject: 'a' }, undefined, 'queued'])
  })
})

describe('priority', () => {
  test('decides which waiting task runs next, until one has waited for an hour', async () => {
    await using queue = await openTaskQueue()
    const { tasks, runs, clock } = queue
    const start = async (subject: string, priority: 'low' | 'normal' | 'high') => void (await tasks.start({ ...order(subject), priority }))
    await start('old and low', 'low')
    clock.advance(2 * 3_600_000)
    await start('low', 'low')
    await start('normal', 'normal')
    await start('high', 'high')
    await start('high too', 'high')
    tasks.resume()
    const seen: unknown[] = []
    for (let count = 1; count <= 5; count++) {
      const run = await until('the next runs', () => runs[count - 1])
      seen.push((run.params as { subject: string }).subject)
      run.finish({})
    }
    // One that has waited for two hours counts as two classes higher.
    expect(seen).toEqual(['old and low', 'high', 'high too', 'normal', 'low'])
  })
})
