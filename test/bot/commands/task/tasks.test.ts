// Tasks: listed over all stores, named by a part of their id, cancelled and retried.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryAgent } from '../../../support/memory/memory-agent.ts'
import { taskSchema } from '../../../../protocol/task.ts'
import type { Task } from '../../../../protocol/task.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'
import { openScriptedFleet, page as listOf } from '../scripted-fleet.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const id = (part: string): string => `tsk_${part.padEnd(26, '0')}`

function memoryTask(part: string, members: Partial<Task> = {}): Task {
  return taskSchema.parse({
    id: id(part),
    kind: 'gc',
    state: 'running',
    progress: { done: 1, total: 4, unit: 'slices', rate: 0, etaSeconds: null },
    subject: 'edge-a',
    createdBy: 'admin',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    ...members,
  })
}

test('tasks of two stores', async () => {
  await using folder = await createTemporaryFolder()
  await using a = createMemoryAgent('edge-a')
  await using b = createMemoryAgent('edge-b')
  using bot = openTestBot(folder.path)
  for (const { url, token, store } of [a, b]) await runCommand(bot, 'store', 'add', `name=${store.name}`, `url=${url}`, `token=${token}`, 'zone=z')
  const say = async (line: string): Promise<string> => (await runCommand(bot, ...line.split(' '))).output

  expect(await say('task list')).toContain('No tasks.')
  for (const task of [memoryTask('aaaa1'), memoryTask('aaaa2', { state: 'failed', createdAt: '2026-01-03T00:00:00.000Z' })]) a.tasks.set(task.id, task)
  b.tasks.set(id('bbbb1'), memoryTask('bbbb1', { createdAt: '2026-01-02T00:00:00.000Z' }))
  expect(await say('task list')).toContain('3 tasks\n')
  const { value } = await runJson(bot, 'task', 'list')
  expect((value['items'] as { id: string; store: string }[]).map(({ id, store }) => `${id.slice(0, 9)} ${store}`)).toEqual([
    'tsk_aaaa2 edge-a',
    'tsk_bbbb1 edge-b',
    'tsk_aaaa1 edge-a',
  ])
  expect(await say('task list store=edge-b')).toContain('1 task\n')
  expect(await say('task list state=done')).toContain('state=done is not valid.\n  Next  Use one of: queued, running,')
  expect(await say('task list kind=x')).toContain('kind=x is not valid.')
  expect(await say('task list')).not.toContain('are shown')

  expect(await say('task show bbbb1')).toContain(id('bbbb1'))
  expect(await say(`task show ${id('aaaa1')}`)).toContain(id('aaaa1'))
  expect(await say('task show aaaa')).toContain('2 tasks match "aaaa".')
  expect(await say('task show cccc')).toContain('No task "cccc".')
  expect(await say(`task show ${id('cccc')}`)).toContain(`No task "${id('cccc')}".`)

  const both = await runJson(bot, 'task', 'show', 'bbbb1', id('aaaa1'), id('bbbb1'))
  expect((both.value['items'] as { id: string; store: string }[]).map((task) => `${task.id} ${task.store}`)).toEqual([
    `${id('bbbb1')} edge-b`,
    `${id('aaaa1')} edge-a`,
  ])
  expect(await say(`task show ${id('aaaa1')} bbbb1 store=edge-a`)).toContain('No task "bbbb1".')
  expect(await say(`task show ${id('aaaa1')} bbbb1 store=edge-a,edge-b`)).toContain('2 tasks: edge-a running, edge-b running')
  expect(await say(`task show ${id('aaaa1')} cccc`)).toContain('No task "cccc".')

  const cancelled = await runCommand(bot, 'task', 'cancel', 'bbbb1')
  expect(cancelled).toMatchObject({ code: 0, output: expect.stringContaining(`Cancel ${id('bbbb1')}\n`) })
  expect(b.tasks.get(id('bbbb1'))?.state).toBe('cancelled')
  const retried = await runCommand(bot, 'task', 'retry', 'aaaa2', '--no-wait')
  expect(retried).toMatchObject({ code: 0, output: expect.stringContaining(`Retry of ${id('aaaa2')}\n`) })
  expect(a.tasks.size).toBe(3)
  expect(await say('store cleanup edge-b --dry-run --no-wait')).toContain('Cleanup of edge-b (dry run: nothing is deleted)\n')
  expect(await say('store cleanup edge-b --no-wait')).toContain('Cleanup of edge-b\n')
})

test('reconnect asks the agent first and shows what it says then', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = createMemoryAgent('edge-a')
  using bot = openTestBot(folder.path)
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${agent.token}`, 'zone=z')
  // The agent of this test enables its store when it reconnects.
  agent.store = { ...agent.store, enabled: false }
  const { output } = await runCommand(bot, 'store', 'reconnect')
  expect(output).toContain('Store edge-a reconnected\n')
  expect(output).toMatch(/State +● Running\n/)
  expect(output).toMatch(/Enabled +yes\n/)
})

test('a store that stopped or refuses is named with what its answer lacks', async () => {
  await using folder = await createTemporaryFolder()
  const gone = createMemoryAgent('edge-a')
  await using refusing = createMemoryAgent('edge-b')
  using bot = openTestBot(folder.path)
  for (const { url, token, store } of [gone, refusing]) await runCommand(bot, 'store', 'add', `name=${store.name}`, `url=${url}`, `token=${token}`, 'zone=z')
  await gone[Symbol.asyncDispose]()
  bot.fleet.registry.change('edge-b', { token: 'wrong' })
  const { output } = await runCommand(bot, 'task', 'list')
  expect(output).toMatch(/edge-a has been Stopped since .* UTC.*its tasks are not in this answer\./)
  expect(output).toContain('edge-b refused, so its tasks are not in this answer: edge-b does not accept the token that the bot has for it.')
  expect((await runJson(bot, 'task', 'list')).value['missing']).toMatchObject([
    { store: 'edge-a', state: 'stopped', since: expect.any(String) },
    { store: 'edge-b', state: 'error', detail: 'edge-b does not accept the token that the bot has for it.' },
  ])
  const cleanup = await runJson(bot, 'store', 'cleanup', 'edge-a')
  expect(cleanup.code).toBe(1)
  expect(cleanup.value['error']).toMatchObject({ type: 'urn:slipway:problem:peer-unreachable', store: 'edge-a', state: 'stopped', impact: expect.any(String) })
  expect((await runCommand(bot, 'store', 'cleanup', 'edge-b')).output).toContain('edge-b does not accept the token that the bot has for it.')
})

test('stores are asked once for each whole id, and for their list only if a part of an id is named', async () => {
  const [first, second] = [memoryTask('aaaa1'), memoryTask('bbbb1')]
  using it = openScriptedFleet({
    'edge-a': { 'GET /tasks': listOf([first]), [`GET /tasks/${first.id}`]: first },
    'edge-b': { 'GET /tasks': listOf([second]), [`GET /tasks/${second.id}`]: second },
    'edge-c': {},
  })
  const askedBy = async (line: string): Promise<string[]> => {
    it.asked.length = 0
    expect((await it.run(line)).outcome).toBe('done')
    return it.asked.toSorted()
  }
  const gets = (...stores: string[]): string[] => stores.flatMap((store) => [`${store} GET /tasks/${first.id}`, `${store} GET /tasks/${second.id}`])
  expect(await askedBy(`task show ${first.id} ${second.id}`)).toEqual(gets('edge-a', 'edge-b', 'edge-c'))
  expect(await askedBy(`task show ${first.id} ${second.id} store=edge-b,edge-a`)).toEqual(gets('edge-a', 'edge-b'))
  expect(await askedBy('task show aaaa1 store=edge-a')).toEqual(['edge-a GET /tasks'])
  expect(await askedBy('task show aaaa bbbb store=edge-a,edge-b')).toEqual(['edge-a GET /tasks', 'edge-b GET /tasks'])
})

test('several tasks are looked for with at most 2,000 requests', async () => {
  const tasks = Array.from({ length: 20 }, (_, i) => memoryTask(`t${String(i).padStart(2, '0')}xx`))
  const script = Object.fromEntries(tasks.map((task) => [`GET /tasks/${task.id}`, task]))
  const run = async (stores: number, ids: number, more = '') => {
    using it = openScriptedFleet(Object.fromEntries(Array.from({ length: stores }, (_, i) => [`edge-${i}`, i === 0 ? script : {}])))
    const { outcome, text } = await it.run(
      `task show ${tasks
        .slice(0, ids)
        .map((task) => task.id)
        .join(' ')} ${more}`.trim(),
    )
    return [outcome, text, it.asked.length]
  }
  expect(await run(100, 20)).toEqual(['done', expect.stringContaining('20 tasks: '), 2000])
  expect(await run(101, 20)).toEqual(['failed', '20 tasks cannot be looked for in 101 stores at once.', 0])
  expect(await run(1001, 2)).toEqual(['failed', '2 tasks cannot be looked for in 1001 stores at once.', 0])
  expect(await run(101, 20, 'store=edge-0,edge-1')).toEqual(['done', expect.stringContaining('20 tasks: '), 40])
})

test('at most 20 tasks are shown together, and a bulk run alone', async () => {
  const tasks = Array.from({ length: 21 }, (_, i) => memoryTask(`t${String(i).padStart(2, '0')}xx`))
  using it = openScriptedFleet({ 'edge-a': Object.fromEntries(tasks.map((task) => [`GET /tasks/${task.id}`, task])) })
  const show = async (count: number) => {
    const { outcome, text, bars } = await it.run(
      `task show ${tasks
        .slice(0, count)
        .map((task) => task.id)
        .join(' ')}`,
    )
    return { outcome, text, bars: bars?.length }
  }
  expect(await show(20)).toMatchObject({ outcome: 'done', bars: 20 })
  expect(await show(21)).toMatchObject({ outcome: 'failed', text: 'task show takes at most 20 tasks, not 21.' })
  const draft = { verb: 'delete', title: 'Delete images', params: {}, origin: '', surface: 'console', actor: 'ann', actorId: '', channel: '' } as const
  it.bot.bulkRuns.begin(draft, [{ store: 'edge-a', image: 'img_1', name: 'a', length: 10, params: {} }], 'me', it.clock.nowMs())
  expect(await it.run(`task show ${tasks[0]?.id} B1`)).toMatchObject({ outcome: 'failed', text: 'A bulk run is shown alone.' })
})
