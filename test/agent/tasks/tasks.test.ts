// Tasks over a real database: their states, their limits, and how they survive a restart.

import { describe, expect, test } from 'bun:test'
import { basename, dirname, join } from 'node:path'
import { ACTIVE_MAX, ACTIVE_PER_CREATOR_MAX, admitTask } from '../../../agent/tasks/admission.ts'
import { sealClearSecrets } from '../../../agent/tasks/clear-secrets.ts'
import { openAgentDatabase } from '../../../agent/tasks/database.ts'
import type { TaskRow } from '../../../agent/tasks/task-table.ts'
import { TaskQueue } from '../../../agent/tasks/tasks.ts'
import { problem } from '../../../protocol/problems.ts'
import { openTestSealer } from '../../support/memory/test-sealer.ts'
import { openTaskQueue, order } from '../../support/agents/task-queue.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

describe('start', () => {
  test('runs the work, shows its progress with rate and remaining time, and saves its result', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, clock, events } = fixture
    tasks.resume()
    const started = await tasks.start(order('img_1'))
    expect(started).toMatchObject({ kind: 'sync', subject: 'img_1', createdBy: 'ann', endedAt: null })
    const run = await until('it runs', () => runs[0])
    expect(run.params).toEqual({ subject: 'img_1', token: 's3cret' })
    run.context.progress(0, 1000, 'bytes')
    clock.advance(2000)
    run.context.progress(500, 1000, 'bytes')
    expect(tasks.get(started.id)).toMatchObject({ state: 'running', progress: { done: 500, total: 1000, unit: 'bytes', rate: 250, etaSeconds: 2 } })
    run.finish({ copied: 1 })
    expect(await tasks.ended(started.id)).toMatchObject({ state: 'succeeded', result: { copied: 1 }, progress: { done: 500, rate: 0 } })
    expect(events.map((event) => event.type)).toEqual(['task.succeeded'])
  })

  test('returns the task in progress for an order with the same key', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs } = fixture
    tasks.resume()
    const first = await tasks.start(order('img_1', 'sync img_1'))
    expect((await tasks.start(order('img_1', 'sync img_1'))).id).toBe(first.id)
    ;(await until('it runs', () => runs[0])).finish({})
    await tasks.ended(first.id)
    expect((await tasks.start(order('img_1', 'sync img_1'))).id).not.toBe(first.id)
  })

  test('runs two syncs at a time, in the order of their creation', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs } = fixture
    tasks.resume()
    const ids = (await Promise.all(['a', 'b', 'c', 'd'].map((subject) => tasks.start(order(subject))))).map((task) => task.id)
    await until('two run', () => runs.length === 2)
    expect(tasks.counts()).toMatchObject({ running: 2, queued: 2 })
    runs[0]?.finish({})
    await tasks.ended(ids[0] ?? '')
    await until('the third runs', () => runs.length === 3)
    expect(runs.map((run) => run.params)).toMatchObject([{ subject: 'a' }, { subject: 'b' }, { subject: 'c' }])
  })

  test('never shows parameters, and drops them at the end', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, database } = fixture
    tasks.resume()
    const { id } = await tasks.start(order('img_1'))
    expect(JSON.stringify(tasks.list({ limit: 10 }))).not.toContain('s3cret')
    ;(await until('it runs', () => runs[0])).finish({})
    await tasks.ended(id)
    expect(JSON.stringify(database.sql.query('SELECT * FROM tasks').all())).not.toContain('s3cret')
  })
})

describe('failure', () => {
  test('a refusal becomes the problem of the task', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, events } = fixture
    tasks.resume()
    const { id } = await tasks.start(order('img_1'))
    ;(await until('it runs', () => runs[0])).fail(problem('peer-unreachable', 'No answer from edge-b.'))
    expect(await tasks.ended(id)).toMatchObject({ state: 'failed', error: { type: 'urn:slipway:problem:peer-unreachable', detail: 'No answer from edge-b.' } })
    expect(events).toMatchObject([{ type: 'task.failed', severity: 'error', message: 'The sync task on img_1 failed: No answer from edge-b.' }])
  })

  test('an unexpected error is logged and shown as internal, a full disk as insufficient storage', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, log } = fixture
    tasks.resume()
    const first = await tasks.start(order('a'))
    const second = await tasks.start(order('b'))
    await until('both run', () => runs.length === 2)
    runs[0]?.fail(new Error('secret path /srv'))
    runs[1]?.fail(Object.assign(new Error('ENOSPC: no space left on device, write /srv'), { code: 'ENOSPC' }))
    expect(JSON.stringify(await tasks.ended(first.id))).not.toContain('/srv')
    expect((await tasks.ended(second.id)).error?.type).toBe('urn:slipway:problem:insufficient-storage')
    expect(log.lines.filter((line) => line.level === 'error')).toHaveLength(2)
  })
})

describe('cancel and retry', () => {
  test('cancels running and waiting tasks, and refuses to cancel an ended one', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs } = fixture
    tasks.resume()
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((subject) => tasks.start(order(subject))))
    await until('two run', () => runs.length === 2)
    expect(tasks.cancel(c!.id, 'bob').state).toBe('cancelled')
    tasks.cancel(a!.id, 'bob')
    expect((await tasks.ended(a!.id)).state).toBe('cancelled')
    runs[1]?.finish({})
    await tasks.ended(b!.id)
    expect(() => tasks.cancel(b!.id, 'bob')).toThrow('already succeeded')
    expect(() => tasks.cancel('tsk_none', 'bob')).toThrow('There is no task')
  })

  test('retries a failed task with the same id and parameters', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs } = fixture
    tasks.resume()
    const { id } = await tasks.start(order('img_1'))
    ;(await until('it runs', () => runs[0])).fail(new Error('x'))
    await tasks.ended(id)
    const again = tasks.retry(id, 'bob')
    expect(again).toMatchObject({ id, endedAt: null })
    expect(again.error).toBeUndefined()
    const run = await until('it runs again', () => runs[1])
    expect(run.params).toMatchObject({ subject: 'img_1' })
    run.finish({})
    expect((await tasks.ended(id)).state).toBe('succeeded')
    expect(() => tasks.retry(id, 'bob')).toThrow('only a failed or cancelled task')
  })

  test('cannot retry after a week', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, clock } = fixture
    tasks.resume()
    const { id } = await tasks.start(order('img_1'))
    ;(await until('it runs', () => runs[0])).fail(new Error('x'))
    await tasks.ended(id)
    clock.advance(8 * 86_400_000)
    const other = await tasks.start(order('img_2'))
    ;(await until('it runs', () => runs[1])).finish({})
    await tasks.ended(other.id)
    expect(() => tasks.retry(id, 'bob')).toThrow('kept for 7 days')
  })
})

describe('the secret of an order', () => {
  const secret = 'slp_a-token-of-another-store'
  const secretOrder = { ...order('img_1'), params: { images: ['img_1'] }, secret }

  /** Returns whether a file of the database contains the secret in plain text. */
  async function isInClear(file: string): Promise<boolean> {
    const files = [...new Bun.Glob(`${basename(file)}*`).scanSync(dirname(file))]
    const contents = await Promise.all(files.map((name) => Bun.file(join(dirname(file), name)).bytes()))
    return contents.some((bytes) => Buffer.from(bytes).includes(secret))
  }

  test('is passed to the runner, and no file contains it in plain text', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, file } = fixture
    tasks.resume()
    const { id } = await tasks.start(secretOrder)
    const run = await until('it runs', () => runs[0])
    expect(run.context.secret).toBe(secret)
    expect(JSON.stringify([tasks.get(id), run.params, fixture.events, fixture.log])).not.toContain(secret)
    expect(await isInClear(file)).toBe(false)
    run.finish({})
    await tasks.ended(id)
  })

  test('survives a restart while the task waits or runs', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('agent.db')
    {
      await using before = await openTaskQueue(path)
      before.tasks.resume()
      await before.tasks.start(secretOrder)
      await until('it runs', () => before.runs[0])
    }
    await using after = await openTaskQueue(path)
    after.tasks.resume()
    expect((await until('it runs again', () => after.runs[0])).context.secret).toBe(secret)
  })

  test.each(['succeeded', 'failed', 'cancelled'])('is dropped when the task has %s, and a retry requires a new one', async (state) => {
    await using fixture = await openTaskQueue()
    const { tasks, runs, database } = fixture
    tasks.resume()
    const { id } = await tasks.start(secretOrder)
    const run = await until('it runs', () => runs[0])
    if (state === 'succeeded') run.finish({})
    else if (state === 'failed') run.fail(new Error('x'))
    else tasks.cancel(id, 'bob')
    expect((await tasks.ended(id)).state).toBe(state)
    expect(database.sql.query('SELECT secret FROM tasks').all()).toEqual([{ secret: '' }])
    if (state !== 'succeeded') expect(() => tasks.retry(id, 'bob')).toThrow('was dropped when the task ended')
  })

  test('fails the task with the next step when its key is lost', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, database } = fixture
    const { id } = await tasks.start(secretOrder)
    const sealed = await (await openTestSealer('another key')).seal(secret, `task ${id}`)
    database.sql.query('UPDATE tasks SET secret = ?').run(sealed)
    const other = TaskQueue.open({ ...fixture, emit: () => {}, crashPoint: () => {}, sealer: await openTestSealer() })
    other.register('sync', async () => ({}))
    other.resume()
    expect((await other.ended(id)).error?.detail).toContain('cannot be opened')
  })

  test('is sealed or removed when an earlier agent stored it in plain text, also from free pages and the log', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('agent.db')
    {
      using database = openAgentDatabase(path)
      const insert = database.sql.query(
        `INSERT INTO tasks (id, number, kind, state, subject, created_by, created_ms, ended_ms, params, starts, progress)
         VALUES (?, ?, 'sync', ?, 'img_1', 'ann', 1, ?, ?, 0, '{"done":0,"total":null,"unit":"steps","rate":0,"etaSeconds":null}')`,
      )
      database.sql.run('PRAGMA secure_delete = OFF')
      const params = JSON.stringify({ source: { url: 'http://10.0.0.1', token: secret }, images: ['img_1'] })
      for (let i = 0; i < 200; i++) insert.run(`tsk_${i}`, i, i === 0 ? 'running' : 'failed', i === 0 ? null : 5, params)
      database.sql.run('DELETE FROM tasks WHERE number > 100')
      expect(await isInClear(path)).toBe(true)
      const sealer = await openTestSealer()
      expect(await sealClearSecrets(database, sealer)).toBe(101)
      expect(await sealClearSecrets(database, sealer)).toBe(0)
      expect(await isInClear(path)).toBe(false)
    }
    await using fixture = await openTaskQueue(path)
    fixture.tasks.resume()
    const run = await until('it runs', () => fixture.runs[0])
    expect(run).toMatchObject({ params: { source: { url: 'http://10.0.0.1' }, images: ['img_1'] }, context: { secret } })
    expect(() => fixture.tasks.retry('tsk_1', 'bob')).toThrow('was dropped')
    expect(await isInClear(path)).toBe(false)
  })
})

describe('limits', () => {
  test('one creator cannot fill the queue for others, not even with retries', async () => {
    await using fixture = await openTaskQueue()
    const { tasks, runs } = fixture
    const failed = await tasks.start(order('first'))
    tasks.resume()
    ;(await until('it runs', () => runs[0])).fail(new Error('x'))
    await tasks.ended(failed.id)
    for (let i = 0; i < ACTIVE_PER_CREATOR_MAX; i++) await tasks.start(order(`img_${i}`))
    await expect(tasks.start(order('one more'))).rejects.toThrow('100 tasks of ann are already waiting')
    expect(() => tasks.retry(failed.id, 'bob')).toThrow('100 tasks of ann are already waiting')
    await tasks.start({ ...order('img_1'), createdBy: 'bob' })
    // A token that names another person for each task is one creator.
    await expect(tasks.start({ ...order('img_2'), createdBy: 'eve via ann' })).rejects.toThrow('100 tasks of ann are already waiting')
    await tasks.start({ ...order('img_2'), createdBy: 'ann via bob' })
  })

  test('number and size of all waiting tasks are bounded', () => {
    const row = (created_by: string, length: number) => ({ created_by, params: 'x'.repeat(length) }) as TaskRow
    const many = Array.from({ length: ACTIVE_MAX }, (_, i) => row(`creator ${i}`, 1))
    expect(() => admitTask(many, row('new', 1))).toThrow('1000 tasks are already waiting')
    admitTask(many.slice(1), row('new', 1))
    const large = Array.from({ length: 31 }, (_, i) => row(`creator ${i}`, 1024 * 1024))
    admitTask(large, row('new', 1024 * 1024))
    expect(() => admitTask([...large, row('last', 1)], row('new', 1024 * 1024))).toThrow('fill the memory')
  })
})

describe('restart', () => {
  test('runs queued and running tasks again with the same parameters', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('agent.db')
    const ids: string[] = []
    {
      await using before = await openTaskQueue(path)
      before.tasks.resume()
      for (const subject of ['a', 'b', 'c']) ids.push((await before.tasks.start(order(subject))).id)
      await until('two run', () => before.runs.length === 2)
    }
    await using after = await openTaskQueue(path)
    expect(after.tasks.counts()).toMatchObject({ queued: 3, running: 0 })
    after.tasks.resume()
    await until('two run', () => after.runs.length === 2)
    expect(after.runs[0]?.params).toEqual({ subject: 'a', token: 's3cret' })
    expect(after.database.sql.query<{ starts: number }, []>('SELECT starts FROM tasks ORDER BY number').get()?.starts).toBe(1)
    for (const index of [0, 1, 2]) (await until('it runs', () => after.runs[index])).finish({})
    for (const id of ids) expect((await after.tasks.ended(id)).state).toBe('succeeded')
  })

  test('fails a task that five crashes of the agent have interrupted, until it is retried', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('agent.db')
    let id = ''
    for (let start = 0; start < 5; start++) {
      const fixture = await openTaskQueue(path)
      fixture.tasks.resume()
      if (start === 0) ({ id } = await fixture.tasks.start(order('a')))
      await until('it runs', () => fixture.runs.length === 1)
      // As in a crash: the database closes, and the tasks are not stopped.
      fixture.database[Symbol.dispose]()
    }
    await using last = await openTaskQueue(path)
    last.tasks.resume()
    expect(last.tasks.get(id)).toMatchObject({ state: 'failed', error: { type: 'urn:slipway:problem:interrupted' } })
    last.tasks.retry(id, 'bob')
    await until('it runs', () => last.runs.length === 1)
  })

  test('accepts no new task while stopping', async () => {
    const fixture = await openTaskQueue()
    await using _ = fixture
    fixture.tasks.resume()
    await fixture.tasks[Symbol.asyncDispose]()
    await expect(fixture.tasks.start(order('a'))).rejects.toThrow('stopping')
  })
})

describe('list', () => {
  test('pages from the newest to the oldest, by state and kind', async () => {
    await using fixture = await openTaskQueue()
    const { tasks } = fixture
    for (const subject of ['a', 'b', 'c', 'd', 'e']) await tasks.start(order(subject))
    const first = tasks.list({ limit: 2 })
    expect(first.items.map((task) => task.subject)).toEqual(['e', 'd'])
    const second = tasks.list({ limit: 2, cursor: first.next ?? '' })
    expect(second.items.map((task) => task.subject)).toEqual(['c', 'b'])
    const third = tasks.list({ limit: 2, cursor: second.next ?? '' })
    expect(third).toMatchObject({ items: [{ subject: 'a' }], next: null })
    expect(tasks.list({ limit: 9, state: 'running' }).items).toEqual([])
    expect(tasks.list({ limit: 9, kind: 'gc' }).items).toEqual([])
    expect(() => tasks.list({ limit: 1, cursor: 'x' })).toThrow('cursor')
  })
})
