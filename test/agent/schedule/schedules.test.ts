// Schedules over tasks and kept values, with a manual clock.

import { describe, expect, test } from 'bun:test'
import type { TaskBoard } from '../../../agent/contract/work.ts'
import { Schedules } from '../../../agent/schedule/schedules.ts'
import { problem } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createMemoryKeptValues, createMemoryTasks } from '../../support/memory/memory-state.ts'
import { until } from '../../support/until.ts'

const HOUR = 3_600_000

function createFixture(options: { kept?: ReturnType<typeof createMemoryKeptValues>; clock?: ReturnType<typeof createManualClock>; tasks?: TaskBoard } = {}) {
  const clock = options.clock ?? createManualClock(Date.UTC(2026, 0, 5))
  const kept = options.kept ?? createMemoryKeptValues()
  const tasks = options.tasks ?? createMemoryTasks(clock)
  const log = createMemoryLog()
  const started: string[] = []
  const finish: ((error?: unknown) => void)[] = []
  let refusal: Error | undefined
  if (!options.tasks)
    for (const kind of ['cleanup', 'scrub', 'expire'] as const)
      tasks.register(kind, () => {
        const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>()
        finish.push((error) => (error === undefined ? resolve({}) : reject(error)))
        return promise
      })
  const job = (kind: 'cleanup' | 'scrub' | 'expire') => async (createdBy: string) => {
    if (refusal) throw refusal
    started.push(`${kind} by ${createdBy}`)
    return tasks.start({ kind, subject: 'store', createdBy, params: {}, key: kind })
  }
  const schedules = Schedules.open({
    configured: { cleanup: '0 3 * * *', scrub: '0 4 * * 0', expire: '0 * * * *' },
    timezone: 'UTC',
    jobs: { cleanup: job('cleanup'), scrub: job('scrub'), expire: job('expire') },
    tasks,
    kept,
    clock,
    log,
    emit: () => {},
  })
  schedules.start()
  const of = (name: string) => schedules.list().find((schedule) => schedule.name === name)
  return {
    clock,
    kept,
    tasks,
    log,
    started,
    finish,
    schedules,
    of,
    refuse: (error: Error | undefined) => void (refusal = error),
    [Symbol.dispose]: () => schedules[Symbol.dispose](),
  }
}

describe('firing', () => {
  test('starts a task at its time, shows it as running, and saves how it ended', async () => {
    using fixture = createFixture()
    const { clock, started, of } = fixture
    clock.advance(HOUR - 1000)
    expect(started).toEqual([])
    clock.advance(1000)
    await until('it runs', () => of('expire')?.lastTaskId && fixture.finish.length === 1)
    expect(started).toEqual(['expire by schedule'])
    expect(of('expire')).toMatchObject({ lastRunAt: '2026-01-05T01:00:00.000Z', lastResult: null, nextRunAt: '2026-01-05T02:00:00.000Z' })
    clock.advance(5000)
    fixture.finish[0]?.()
    await until('it has ended', () => of('expire')?.lastResult === 'succeeded after 5 s')
    expect(of('expire')?.running).toBe(false)
  })

  test('never overlaps itself: a time that comes while it runs is skipped', async () => {
    using fixture = createFixture()
    const { clock, started, of } = fixture
    clock.advance(HOUR)
    // Recorded as started: a run that is recorded later would count from then on, which hides what the skipped times do.
    await until('it runs', () => of('expire')?.lastTaskId && fixture.finish.length === 1)
    clock.advance(3 * HOUR)
    await until('cleanup runs too', () => started.length === 2)
    expect(started).toEqual(['expire by schedule', 'cleanup by schedule'])
    fixture.finish[0]?.()
    await until('it has ended', () => of('expire')?.running === false)
    clock.advance(1000)
    expect(of('expire')?.nextRunAt).toBe('2026-01-05T05:00:00.000Z')
    expect(started).toHaveLength(2)
  })

  test('runs once for all times that passed while the agent was down', async () => {
    using before = createFixture()
    before.schedules[Symbol.dispose]()
    before.clock.advance(50 * HOUR)
    using after = createFixture({ kept: before.kept, clock: before.clock })
    expect(after.started).toEqual([])
    after.clock.advance(1000)
    await until('both ran', () => after.finish.length === 2)
    expect(after.started).toEqual(['cleanup by schedule', 'expire by schedule'])
  })

  test('retries a minute after a failed start, and reports the failure to health', async () => {
    using fixture = createFixture()
    const { clock, of, started } = fixture
    fixture.refuse(problem('limit-reached', '1000 tasks are waiting already.'))
    clock.advance(HOUR)
    await until('it failed', () => of('expire')?.lastResult === 'could not start: 1000 tasks are waiting already.')
    expect(fixture.schedules.facts().find(({ name }) => name === 'expire')).toMatchObject({ lastFailure: 'could not start: 1000 tasks are waiting already.' })
    fixture.refuse(undefined)
    clock.advance(59_000)
    expect(started).toEqual([])
    clock.advance(1000)
    await until('it runs', () => fixture.finish.length === 1)
    await until('health is ok', () => fixture.schedules.facts().find(({ name }) => name === 'expire')?.lastFailure === null)
  })

  test('reports a failed task to health until one succeeds', async () => {
    using fixture = createFixture()
    const failure = () => fixture.schedules.facts().find(({ name }) => name === 'cleanup')?.lastFailure
    await fixture.schedules.run('cleanup', 'ann')
    fixture.finish[0]?.(problem('store-unavailable', 'The disk is gone.'))
    await until('it failed', () => failure() === 'failed: The disk is gone.')
    await fixture.schedules.run('cleanup', 'ann')
    fixture.finish[1]?.()
    await until('health is ok', () => failure() === null)
  })
})

describe('run', () => {
  test('starts the task now for the caller, and returns the task in progress to the next caller', async () => {
    using fixture = createFixture()
    const task = await fixture.schedules.run('scrub', 'ann')
    expect(task).toMatchObject({ kind: 'scrub', createdBy: 'ann' })
    expect((await fixture.schedules.run('scrub', 'bob')).id).toBe(task.id)
    expect(fixture.started).toEqual(['scrub by ann'])
    expect(fixture.of('scrub')?.lastTaskId).toBe(task.id)
  })

  test('is not described by the end of an earlier run that becomes known later', async () => {
    const clock = createManualClock(Date.UTC(2026, 0, 5))
    const board = createMemoryTasks(clock)
    const toldLate = Promise.withResolvers<void>()
    const ended: string[] = []
    const tasks: TaskBoard = {
      ...board,
      async ended(id) {
        const task = await board.ended(id)
        if (ended.push(id) === 1) await toldLate.promise
        return task
      },
    }
    using fixture = createFixture({ clock, tasks })
    const finish: (() => void)[] = []
    tasks.register('scrub', () => new Promise((resolve) => finish.push(() => resolve({}))))
    const { id: first } = await fixture.schedules.run('scrub', 'ann')
    await until('the first runs', () => finish.length === 1)
    finish[0]?.()
    await until('the first has ended', () => ended.length === 1)
    const { id: second } = await fixture.schedules.run('scrub', 'ann')
    expect(second).not.toBe(first)
    clock.advance(1000)
    await until('the second runs', () => finish.length === 2)
    toldLate.resolve()
    // What follows from it happens before this resolves.
    await clock.sleep(0)
    expect(fixture.of('scrub')).toMatchObject({ lastTaskId: second, running: true, lastResult: null })
    clock.advance(2000)
    finish[1]?.()
    await until('the second has ended', () => fixture.of('scrub')?.lastResult === 'succeeded after 3 s')
  })
})

describe('patch', () => {
  test('survives a restart, and takes precedence over the configuration', () => {
    using before = createFixture()
    before.schedules.patch('scrub', { cron: '30 5 * * *', paused: true }, 'ann')
    using after = createFixture({ kept: before.kept, clock: before.clock })
    expect(after.of('scrub')).toMatchObject({ cron: '30 5 * * *', paused: true, nextRunAt: null })
    expect(after.schedules.patch('scrub', { paused: false }, 'ann').nextRunAt).toBe('2026-01-05T05:30:00.000Z')
  })

  test('does not run for times that passed while it was paused', () => {
    using fixture = createFixture()
    fixture.schedules.patch('expire', { paused: true }, 'ann')
    fixture.clock.advance(2.5 * HOUR)
    expect(fixture.schedules.patch('expire', { paused: false }, 'ann').nextRunAt).toBe('2026-01-05T03:00:00.000Z')
    expect(fixture.started).toEqual([])
  })

  test('refuses an expression that never fires, and changes nothing', () => {
    using fixture = createFixture()
    expect(() => fixture.schedules.patch('scrub', { cron: '0 0 30 2 *' }, 'ann')).toThrow('cron is not valid: it never fires')
    expect(fixture.of('scrub')?.cron).toBe('0 4 * * 0')
  })
})

describe('restart', () => {
  test('follows a task that was in progress', async () => {
    using before = createFixture()
    await before.schedules.run('scrub', 'ann')
    before.schedules[Symbol.dispose]()
    using after = createFixture({ kept: before.kept, clock: before.clock, tasks: before.tasks })
    expect(after.of('scrub')).toMatchObject({ running: true, lastResult: null })
    before.finish[0]?.()
    await until('its end is known', () => after.of('scrub')?.lastResult === 'succeeded after 0 s')
  })

  test('reports when the end of the last task is unknown', async () => {
    using before = createFixture()
    await before.schedules.run('scrub', 'ann')
    using after = createFixture({ kept: before.kept, clock: before.clock })
    await until('the result is reported', () => after.of('scrub')?.lastResult === 'unknown')
  })
})
