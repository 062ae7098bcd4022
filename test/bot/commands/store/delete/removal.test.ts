// `store delete` with copy-to= and repoint-to=: what the target gets, and what speaks against it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../../../protocol/images/image.ts'
import type { Store } from '../../../../../protocol/store.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page, refuse, storeOf } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const TASKS = { 'GET /tasks': page([]) }

function openPair(images: readonly Image[], target: Partial<Store> = {}) {
  return openScriptedFleet({
    'edge-a': { ...TASKS, 'GET /images': page(images) },
    'edge-b': { ...TASKS, 'GET /images': page([]), 'GET /store': storeOf({ name: 'edge-b', ...target }) },
  })
}

function itemsOf({ json }: View): Record<string, { readonly passed: boolean; readonly detail: string }> {
  const { checklist } = json as { readonly checklist: readonly { readonly label: string; readonly passed: boolean; readonly detail: string }[] }
  return Object.fromEntries(checklist.map(({ label, passed, detail }) => [label, { passed, detail }]))
}

describe('copies to the target', () => {
  const five = imageOf(1, { storedSize: 3 })
  const unknown = imageOf(2, { storedSize: null, length: 4 })

  test('are the images that no other store has, with the bytes that they take at most', async () => {
    using it = openPair([five, unknown])
    const view = await it.run('store delete edge-a copy-to=edge-b')
    expect(itemsOf(view)['Copies to edge-b']).toEqual({ passed: true, detail: '2 images, up to 7 B' })
    expect(itemsOf(view)['Images only in edge-a']?.detail).toContain('they are copied to edge-b before edge-a is removed')
    expect(view.confirm?.promises?.map(({ label }) => label)).toContain('Duration of the copies to edge-b')
  })

  test('are none of a store without images, which takes a second', async () => {
    using it = openPair([])
    const view = await it.run('store delete edge-a copy-to=edge-b')
    expect(itemsOf(view)['Copies to edge-b']).toEqual({ passed: true, detail: 'none' })
    expect(view.confirm?.promises).toContainEqual({ label: 'Duration', value: 'about 1 s' })
  })

  test.each([
    [{ enabled: false, disabledReason: 'full' }, 'edge-b is disabled; run store enable edge-b'],
    [{ imagesEnabled: false }, 'images are switched off in edge-b; run store edit edge-b images=on'],
    [{ capacity: { total: 100, used: 94, free: 6, reserved: 0, available: 6 } }, 'they need up to 7 B, and edge-b has 6 B above its reserve'],
  ] as const)('are refused by a target with %j', async (target, detail) => {
    using it = openPair([five, unknown], target)
    expect(itemsOf(await it.run('store delete edge-a copy-to=edge-b'))['Copies to edge-b']).toEqual({ passed: false, detail })
  })

  test('fit into a target that has exactly the room for them', async () => {
    using it = openPair([five, unknown], { capacity: { total: 100, used: 93, free: 7, reserved: 0, available: 7 } })
    expect(itemsOf(await it.run('store delete edge-a copy-to=edge-b'))['Copies to edge-b']).toMatchObject({ passed: true })
  })
})

test('bindings follow repoint-to=, and a store without any says so', async () => {
  using bound = openPair([imageOf(1, { name: 'root', bindings: ['vm-7'] })])
  expect(itemsOf(await bound.run('store delete edge-a repoint-to=edge-b'))['Bindings of edge-a']).toEqual({
    passed: true,
    detail: 'root for vm-7: edge-b binds its copies to these instances; the bindings of edge-a stay until the instances read from edge-b',
  })
  using free = openPair([imageOf(1)])
  expect(itemsOf(await free.run('store delete edge-a repoint-to=edge-b'))['Bindings of edge-a']).toEqual({ passed: true, detail: 'none' })
})

test('a policy that would copy the target to itself blocks; another one follows repoint-to=', async () => {
  using it = openPair([])
  await it.run('policy add mirror follow=edge-a store=edge-b')
  const policies = async (line: string) => itemsOf(await it.run(line))['Policies that name edge-a']
  expect(await policies('store delete edge-a repoint-to=edge-b')).toEqual({
    passed: false,
    detail: 'mirror would copy edge-b to itself; run policy edit or policy delete first',
  })
  expect((await policies('store delete edge-a'))?.passed).toBe(false)
})

describe('the copies', () => {
  const taskOf = (state: string) => ({
    ...{ id: 'tsk_00000000000000000000000001', kind: 'sync', state, subject: 'edge-b', createdBy: 'bot', createdAt: '2026-01-01T00:00:00.000Z' },
    ...{ endedAt: state === 'running' ? null : '2026-01-01T00:00:01.000Z', progress: { done: 1, total: 4, unit: 'slices', rate: 0, etaSeconds: null } },
  })
  const grant = { id: 'tok_1', token: 'slg_secret', expiresAt: '2026-01-04T00:00:00.000Z' }

  /** edge-a has images; what is copied to edge-b is there when its task has ended. */
  const open = (images: readonly Image[], { arriving = [] as readonly Image[], tasks = (): readonly unknown[] => [] } = {}) => {
    const there: Image[] = []
    return openScriptedFleet({
      'edge-a': {
        'GET /tasks': () => page(there.length === 0 ? [] : tasks()),
        'GET /images': () => page(there.length === 0 ? images : [...images, ...arriving]),
        'POST /sync/grants': grant,
      },
      'edge-b': {
        ...TASKS,
        'GET /store': storeOf({ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555' }),
        'GET /images': () => page(there),
        'POST /sync': () => taskOf('running'),
        'GET /tasks/tsk_00000000000000000000000001': () => {
          there.push(...images)
          return taskOf('succeeded')
        },
      },
    })
  }
  const LINE = 'store delete edge-a copy-to=edge-b --confirm edge-a'
  const disks = (count: number) =>
    Array.from({ length: count }, (_unused, i) => imageOf(i + 1, { digest: `sha256:${String(i + 1).padStart(64, '0')}`, manifestDigest: null }))

  /** Runs in the console, which waits for the tasks: the clock advances once it sleeps. */
  const runWaiting = async (it: ReturnType<typeof open>) => {
    const seen: unknown[] = []
    const running = it.run(LINE, { onInterim: ({ progress }) => void seen.push(progress.map(({ task }) => task.state)) })
    await it.clock.untilSleeping(1)
    it.clock.advance(10_000)
    return { view: await running, seen }
  }

  test('are waited for in the console, with their progress, before the store is removed', async () => {
    using it = open(disks(1))
    const { view, seen } = await runWaiting(it)
    expect(seen).toEqual([['succeeded']])
    expect([view.outcome, view.json]).toMatchObject(['done', { removed: ['edge-a'], tasks: [{ store: 'edge-b', state: 'succeeded' }] }])
    expect(it.bot.fleet.registry.find('edge-a')).toBeUndefined()
  })

  test('are not enough when another image arrived meanwhile', async () => {
    using it = open(disks(1), { arriving: [imageOf(99, { digest: `sha256:${'f'.repeat(64)}` })] })
    const { view } = await runWaiting(it)
    expect(view).toMatchObject({ outcome: 'refused', title: 'edge-a was not removed' })
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test('do not remove a store in which a task began meanwhile', async () => {
    using it = open(disks(1), { tasks: () => [taskOf('running')] })
    const { view } = await runWaiting(it)
    expect(view).toMatchObject({ outcome: 'refused', text: expect.stringContaining('Not possible now. Tasks in edge-a: ') })
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test.each([
    [100, [100]],
    [101, [100, 1]],
  ])('of %d images are started in Slack with %p images in one sync, and nobody waits', async (count, syncs) => {
    using it = open(disks(count))
    const view = await it.run(LINE, { surface: 'slack' })
    expect([view.title, view.progress.map(({ task }) => task.state)]).toEqual(['Copies before edge-a is removed', syncs.map(() => 'running')])
    const ordered = it.sent.filter((request) => request.startsWith('edge-b POST /sync ')).map((request) => (request.match(/img_/g) ?? []).length)
    expect(ordered).toEqual(syncs)
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })
})

describe('a second person', () => {
  test('approves in Slack the removal of a store, and not that of a zone without one', async () => {
    using it = openScriptedFleet({ 'edge-a': { ...TASKS, 'GET /images': page([]) } }, { approvalRule: 'on' })
    const view = await it.run('store delete edge-a --confirm edge-a', { surface: 'slack' })
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
    expect(view.json).toMatchObject({ approval: { state: 'waiting', reason: 'Without its registration, nobody watches the store and copies what is there.' } })
    await it.run('zone add zone-9')
    expect((await it.run('zone delete zone-9 --confirm zone-9', { surface: 'slack' })).outcome).toBe('done')
  })
})

test('a binding that the target refuses keeps the store', async () => {
  const root = imageOf(1, { name: 'root', bindings: ['vm-7'] })
  const refusal = refuse('wrong-status', 'It is being read.')
  using it = openScriptedFleet({
    'edge-a': { ...TASKS, 'GET /images': page([root]) },
    'edge-b': { ...TASKS, 'GET /images': page([root]), [`PUT /images/${root.id}/bindings/vm-7`]: refusal, [`POST /images/${root.id}/bindings`]: refusal },
  })
  expect((await it.run('store delete edge-a repoint-to=edge-b --confirm edge-a')).outcome).toBe('failed')
  expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
})
