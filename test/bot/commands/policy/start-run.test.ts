// What a run of a policy orders: which images go into one sync and from where, and what it records meanwhile.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { orderCopies, planFor, startRun } from '../../../../bot/commands/policy/start-run.ts'
import type { Policy } from '../../../../bot/policies/policy.ts'
import type { PolicyRun } from '../../../../bot/policies/runs.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { problem } from '../../../../protocol/problems.ts'
import { imageOf, openScriptedFleet, page, refuse } from '../scripted-fleet.ts'
import type { Asked, Script } from '../scripted-fleet.ts'
import { taskOf } from '../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const GRANT = { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' }
const disk = (n: number): Image =>
  imageOf(n, { name: `disk-${n}`, digest: `sha256:${n}`, manifestDigest: `sha256:m${n}`, availableAt: '2025-12-01T00:00:00.000Z' })
const disks = (count: number): Image[] => Array.from({ length: count }, (_, n) => disk(n + 1))

interface Ordered {
  readonly images: readonly string[]
  readonly from: readonly string[]
}

/** A fleet in which edge-a is to have every image of the others, and what it was ordered to copy. */
function open(stores: Readonly<Record<string, readonly Image[]>>, script: Script = {}) {
  const ordered: Ordered[] = []
  const others = Object.entries(stores).map(([name, images]) => [name, { 'GET /images': page(images), 'POST /sync/grants': GRANT }])
  const fleet = openScriptedFleet({
    ...(Object.fromEntries(others) as Record<string, Script>),
    'edge-a': {
      'GET /images': page([]),
      'POST /sync': ({ body }: Asked) => {
        const { images, source, sources } = body as { images: string[]; source?: { url: string }; sources?: { url: string }[] }
        const from = (sources ?? (source ? [source] : [])).map(({ url }) => new URL(url).hostname.replace('.example', ''))
        ordered.push({ images: images.map((id) => `disk-${Number(id.slice(4))}`), from })
        return taskOf('x', 'sync', 'running', { id: `tsk_${ordered.length}`, endedAt: null })
      },
      ...script,
    },
  })
  const context = fleet.bot.context({ name: 'ann', role: 'admin' }, 'console')
  const { policies, policyRuns } = context
  const policy: Policy = {
    ...{ name: 'p', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'store', store: 'edge-a' }, labels: [], kinds: [], graceMs: 0 },
    ...{ cron: '0 3 * * *', timezone: 'UTC', paused: false, createdMs: 0, anchorMs: 0 },
  }
  policies.add(policy)
  const start = () => startRun(context, policy, 'command')
  const last = (): PolicyRun | undefined => policyRuns.list('p')[0]
  return { ...fleet, context, policy, policyRuns, ordered, start, last, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

test('twenty images go into one sync, and the next one into another', async () => {
  using it = open({ hub: disks(21) })
  const started = await it.start()
  expect(it.ordered.map(({ images }) => images.length)).toEqual([20, 1])
  expect(started?.tasks.map(({ store, task }) => `${store} ${task.id}`)).toEqual(['edge-a tsk_1', 'edge-a tsk_2'])
  expect(started?.run).toMatchObject({ isOrdered: true, endedMs: null, policy: 'p', cause: 'command', actor: 'ann' })
  expect(it.last()?.copies.map(({ taskId }) => taskId)).toEqual([...Array<string>(20).fill('tsk_1'), 'tsk_2'])
})

test('images of different stores go into different syncs, and one that several have comes from all of them', async () => {
  using apart = open({ hub: [disk(1)], spare: [disk(2)] })
  await apart.start()
  expect(apart.ordered).toEqual([
    { images: ['disk-1'], from: ['hub'] },
    { images: ['disk-2'], from: ['spare'] },
  ])
  using shared = open({ hub: [disk(1), disk(2)], spare: [disk(1), disk(2)] })
  await shared.start()
  expect(shared.ordered).toEqual([{ images: ['disk-1', 'disk-2'], from: ['hub', 'spare'] }])
  // The second store lacks one image of the sync, or has it under another id.
  for (const spare of [[disk(1)], [disk(1), { ...disk(2), id: imageOf(9).id }]]) {
    using some = open({ hub: [disk(1), disk(2)], spare })
    await some.start()
    expect(some.ordered).toEqual([{ images: ['disk-1', 'disk-2'], from: ['hub'] }])
  }
})

test('an image that failed in the last run gets a sync of its own', async () => {
  using it = open({ hub: disks(3) })
  const begun = it.policyRuns.begin({ policy: 'p', cause: 'command', actor: 'ann' }, it.clock.nowMs())
  const failed = { name: 'disk-2', target: 'edge-a', reason: 'Its bytes differ.', action: '' }
  it.policyRuns.end(begun?.id ?? 0, { outcome: 'failed', result: 'x', action: '', failures: [failed] }, it.clock.nowMs())
  await it.start()
  expect(it.ordered.map(({ images }) => images)).toEqual([['disk-1', 'disk-3'], ['disk-2']])
})

test('a sync that is refused is a failure of its images, and the others are ordered', async () => {
  let turns = 0
  using it = open(
    { hub: disks(21) },
    { 'POST /sync': () => (turns++ === 0 ? refuse('conflict', 'Not now.') : taskOf('x', 'sync', 'running', { id: 'tsk_2', endedAt: null })) },
  )
  const started = await it.start()
  expect([started?.tasks.length, started?.run.failures.length]).toEqual([1, 20])
  expect(started?.run.failures[0]).toMatchObject({ name: 'disk-1', target: 'edge-a', reason: 'Not now.' })
  expect(started?.run.copies.map(({ name, taskId }) => `${name} ${taskId}`)).toEqual(['disk-9 tsk_2'])
})

test('what is planned is recorded before it is ordered, and each task as soon as it is known', async () => {
  const seen: unknown[] = []
  using it = open(
    { hub: disks(21) },
    {
      'POST /sync': () => {
        const run = it.last()
        seen.push([run?.isOrdered, run?.copies.filter(({ taskId }) => taskId !== null).length, run?.copies.length, (run?.leaseMs ?? 0) - it.clock.nowMs()])
        it.clock.advance(1000)
        return taskOf('x', 'sync', 'running', { id: `tsk_${seen.length}`, endedAt: null })
      },
    },
  )
  await it.start()
  expect(seen).toEqual([
    [false, 0, 21, 120_000],
    [false, 20, 21, 120_000],
  ])
})

test('only one run of a policy is in progress', async () => {
  using it = open({ hub: disks(1) })
  await it.start()
  expect(await it.start()).toBeUndefined()
  expect(it.ordered).toHaveLength(1)
})

test('a run that goes on orders what has no task yet, and keeps what has one', async () => {
  using it = open({ hub: disks(2) })
  const begun = it.policyRuns.begin({ policy: 'p', cause: 'command', actor: 'ann' }, it.clock.nowMs())
  const copy = (n: number, taskId: string | null) => ({ name: `disk-${n}`, imageId: disk(n).id, target: 'edge-a', source: 'hub', taskId })
  it.policyRuns.change(begun?.id ?? 0, { copies: [copy(1, 'tsk_old'), copy(2, null)] })
  const left = it.last()
  if (!left) throw new Error('no run')
  await orderCopies(it.context, it.policy, left)
  expect(it.ordered.map(({ images }) => images)).toEqual([['disk-2']])
  expect(it.last()?.copies.map(({ name, taskId }) => `${name} ${taskId}`)).toEqual(['disk-1 tsk_old', 'disk-2 tsk_1'])
})

test('copies that another run has ordered are not ordered again', async () => {
  using it = open({ hub: disks(2) })
  it.context.policies.add({ ...it.policy, name: 'q' })
  const other = it.policyRuns.begin({ policy: 'q', cause: 'command', actor: 'ann' }, it.clock.nowMs())
  it.policyRuns.change(other?.id ?? 0, { copies: [{ name: 'disk-1', imageId: disk(1).id, target: 'edge-a', source: 'hub', taskId: null }] })
  await it.start()
  expect(it.ordered.map(({ images }) => images)).toEqual([['disk-2']])
})

test('a run that cannot be planned ends with the reason', async () => {
  using it = open({ hub: disks(1) })
  const list = (): never => {
    throw problem('limit-reached', 'There are too many images.', { action: 'Name a label.' })
  }
  const started = await startRun({ ...it.context, policies: { ...it.context.policies, list } }, it.policy, 'command')
  expect(started?.run).toMatchObject({ endedMs: it.clock.nowMs(), outcome: 'failed', result: 'There are too many images.', action: 'Name a label.' })
  expect(it.ordered).toEqual([])
})

test('what another policy needs is not removed', async () => {
  using it = open({ hub: disks(1) }, { 'GET /images': page(disks(1)) })
  const one: Policy = { ...it.policy, scope: { kind: 'all' } }
  expect((await planFor(it.context, one, true)).removals).toHaveLength(1)
  it.context.policies.add({ ...it.policy, name: 'q' })
  it.context.policies.add({ ...it.policy, name: 'r', scope: { kind: 'store', store: 'hub' } })
  expect((await planFor(it.context, one, true)).removals).toEqual([])
})
