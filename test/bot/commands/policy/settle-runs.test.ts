// How a run of a policy ends: by its tasks, by stores that are gone, refuse or fall silent, and in which words.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { copyEnd, endRun, settleRuns } from '../../../../bot/commands/policy/settle-runs.ts'
import type { Policy } from '../../../../bot/policies/policy.ts'
import type { PolicyRun, RunChange } from '../../../../bot/policies/runs.ts'
import { makeProblem } from '../../../../protocol/problems.ts'
import type { ProblemCode } from '../../../../protocol/problems.ts'
import type { Task } from '../../../../protocol/task.ts'
import { openScriptedFleet, refuse } from '../scripted-fleet.ts'
import type { Script } from '../scripted-fleet.ts'
import { failure, taskOf } from '../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
const error = makeProblem('insufficient-storage', 'The store is full.', { action: 'Make room.' })

function taskAs(state: Task['state'], more: Partial<Task> = {}): Pick<Task, 'id' | 'state' | 'error' | 'result'> {
  return { id: 'tsk_1', state, ...more }
}

describe('copyEnd', () => {
  test.each(['queued', 'running'] as const)('a task that is %s has no end', (state) => {
    expect(copyEnd(taskAs(state), 'img_a')).toBeUndefined()
  })

  test('every image of a task that succeeded was copied', () => {
    expect(copyEnd(taskAs('succeeded'), 'img_a')).toEqual({ kind: 'copied' })
  })

  test('in a task that failed, each image has its own end and reason', () => {
    const own = makeProblem('conflict', 'Image b has other bytes there.', { action: 'Delete it there.' })
    const images = [
      { id: 'img_a', name: 'a', outcome: 'copied' },
      { id: 'img_b', name: 'b', outcome: 'failed', error: own },
      { id: 'img_c', name: 'c', outcome: 'queued' },
      { id: 'img_d', name: 'd', outcome: 'same-as', sameAs: 'img_x' },
      { id: 'img_e', name: 'e', outcome: 'already-there' },
    ]
    const failed = taskAs('failed', { error, result: { images, ...counts } })
    for (const id of ['img_a', 'img_d', 'img_e']) expect(copyEnd(failed, id)).toEqual({ kind: 'copied' })
    expect(copyEnd(failed, 'img_b')).toEqual({ kind: 'failed', reason: 'Image b has other bytes there.', action: 'Delete it there.' })
    for (const id of ['img_c', 'img_z']) expect(copyEnd(failed, id)).toEqual({ kind: 'failed', reason: 'The store is full.', action: 'Make room.' })
  })

  test('a task that failed or was cancelled without a result failed for every image', () => {
    expect(copyEnd(taskAs('failed', { error }), 'img_a')).toEqual({ kind: 'failed', reason: 'The store is full.', action: 'Make room.' })
    expect(copyEnd(taskAs('cancelled'), 'img_a')).toEqual({
      kind: 'failed',
      reason: 'The task tsk_1 was cancelled.',
      action: 'The next run copies the image.',
    })
  })
})

const HOUR_MS = 3_600_000
const copy = (name: string, task: string, target = 'edge-a') => ({ name, imageId: `img_${name}`, target, source: 'hub', taskId: `tsk_${task}` })
const finding = (kind: 'unmet' | 'waiting', text: string) => ({ kind, subject: 'debian', text, action: 'Add a store.' })
const task = (state: string, members: object = {}) => taskOf('x', 'sync', state, { id: 'tsk_x', endedAt: '2026-01-01T00:00:01.000Z', ...members })
const TASKS: Script = {
  'GET /tasks/tsk_done': task('succeeded'),
  'GET /tasks/tsk_full': task('failed', { error: failure }),
  'GET /tasks/tsk_open': task('running', { endedAt: null }),
}

interface Setting {
  readonly script?: Script
  readonly cause?: PolicyRun['cause']
  readonly policy?: Partial<Policy>
}

/** A run of the policy `two` that has ordered these copies. */
function open(change: RunChange, { script = TASKS, cause = 'schedule', policy = {} }: Setting = {}) {
  const fleet = openScriptedFleet({ 'edge-a': script })
  const context = fleet.bot.context({ name: 'bob', role: 'admin' }, 'console')
  const { policies, policyRuns, audit } = context
  policies.add({
    ...{ name: 'two', rule: { kind: 'keep', copies: 2 }, scope: { kind: 'all' }, labels: [], kinds: [], graceMs: 0 },
    ...{ cron: '0 3 * * *', timezone: 'UTC', paused: false, createdMs: 0, anchorMs: 0, ...policy },
  })
  const begun = policyRuns.begin({ policy: 'two', cause, actor: 'ann' }, fleet.clock.nowMs())
  if (!begun) throw new Error('a run is in progress')
  policyRuns.change(begun.id, { isOrdered: true, ...change })
  const settle = async (): Promise<PolicyRun | undefined> => {
    await settleRuns(context)
    return policyRuns.list('two')[0]
  }
  const rows = () => audit.list({ limit: 10 }).map(({ actor, surface, command, target, outcome, detail }) => [actor, surface, command, target, outcome, detail])
  return { ...fleet, context, begun, settle, rows, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

const FULL = { name: 'b', target: 'edge-a', reason: 'The disk is full.', action: 'Free some space.' }
const LEFT = { name: 'c', target: 'edge-b', reason: 'edge-b is gone.', action: 'Add it.' }

test.each<[string, RunChange, Partial<PolicyRun>]>([
  ['with nothing to do', {}, { outcome: 'succeeded', result: 'Nothing to copy', action: '' }],
  ['whose copies were made', { copies: [copy('a', 'done'), copy('b', 'done')] }, { outcome: 'succeeded', result: '2 copies of images made', action: '' }],
  ['that removed', { removed: 2 }, { outcome: 'succeeded', result: '2 copies of images removed' }],
  [
    'with a copy that failed',
    { copies: [copy('a', 'done'), copy('b', 'full')], removed: 1 },
    {
      ...{ outcome: 'failed', action: 'Free some space.', failures: [FULL] },
      result: '1 copy of an image made; 1 copy of an image removed; 1 not: b in edge-a: The disk is full.',
    },
  ],
  // What was not even ordered is not one of the copies.
  [
    'with a copy that could not be ordered',
    { copies: [copy('a', 'done')], failures: [LEFT] },
    { outcome: 'failed', result: '1 copy of an image made; 1 not: c in edge-b: edge-b is gone.', action: 'Add it.', failures: [LEFT] },
  ],
  [
    'whose failures are of another store or another image',
    {
      copies: [copy('a', 'done')],
      failures: [
        { ...LEFT, name: 'a' },
        { ...LEFT, target: 'edge-a' },
      ],
    },
    { result: '1 copy of an image made; 2 not: a in edge-b: edge-b is gone.' },
  ],
  ['that waits', { findings: [finding('waiting', 'edge-a is silent.')] }, { outcome: 'succeeded', result: 'edge-a is silent.', action: '' }],
  [
    'that cannot be met',
    { findings: [finding('unmet', 'One copy is missing.')] },
    { outcome: 'failed', result: 'not met: One copy is missing.', action: 'Add a store.' },
  ],
  [
    'that cannot be met for several reasons',
    { findings: [finding('unmet', 'One copy is missing.'), finding('waiting', 'edge-a is silent.'), finding('unmet', 'x')] },
    { outcome: 'failed', result: 'not met: One copy is missing. 1 more findings.' },
  ],
])('a run %s ends in these words: %j', async (_what, change, end) => {
  using it = open(change)
  expect(await it.settle()).toMatchObject({ endedMs: it.clock.nowMs(), ...end })
})

test('a run goes on while one of its tasks does', async () => {
  using it = open({ copies: [copy('a', 'done'), copy('b', 'open')] })
  expect(await it.settle()).toMatchObject({ endedMs: null, outcome: null })
  expect(it.rows()).toEqual([])
})

test('a run that has not ordered everything is not ended', async () => {
  using it = open({ isOrdered: false })
  expect(await it.settle()).toMatchObject({ endedMs: null })
})

test('a task that makes several copies is asked for once', async () => {
  using it = open({ copies: [copy('a', 'done'), copy('b', 'done'), copy('c', 'full')] })
  await it.settle()
  expect(it.asked).toEqual(['edge-a GET /tasks/tsk_done', 'edge-a GET /tasks/tsk_full'])
})

test('twenty failures are kept', async () => {
  const failures = Array.from({ length: 21 }, (_, n) => ({ ...LEFT, name: `c${n}` }))
  using it = open({ failures })
  const run = await it.settle()
  expect([run?.failures.length, run?.result]).toEqual([20, '21 not: c0 in edge-b: edge-b is gone.'])
})

test('the end is in the audit log once, with who ran it', async () => {
  using scheduled = open({ copies: [copy('a', 'done')] })
  const run = scheduled.begun
  await scheduled.settle()
  endRun(scheduled.context, run, { outcome: 'failed', result: 'Too late', action: '', failures: [] })
  expect(scheduled.rows()).toEqual([['ann', 'service', 'policy run two', 'two', 'done', '1 copy of an image made']])
  using ordered = open({ copies: [copy('b', 'full')] }, { cause: 'command' })
  await ordered.settle()
  expect(ordered.rows()).toEqual([['ann', 'console', 'policy run two', 'two', 'failed', '1 not: b in edge-a: The disk is full.']])
})

test('copies to a store that was removed have failed', async () => {
  using it = open({ copies: [copy('a', 'done', 'edge-b')] })
  expect(await it.settle()).toMatchObject({
    outcome: 'failed',
    failures: [{ name: 'a', target: 'edge-b', reason: 'edge-b was removed from the registry.', action: 'Look at the policy with policy show two.' }],
  })
})

test.each<[ProblemCode, boolean]>([
  ['not-found', true],
  ['forbidden', true],
  ['shutting-down', false],
  ['limit-reached', false],
])('an agent that answers %s has failed the copy: %p', async (code, hasFailed) => {
  using it = open({ copies: [copy('a', 'done')] }, { script: { 'GET /tasks/tsk_done': () => refuse(code, 'Not now.') } })
  const run = await it.settle()
  expect([run?.endedMs !== null, run?.failures.map(({ reason }) => reason)]).toEqual([hasFailed, hasFailed ? ['Not now.'] : []])
})

test.each([
  ['an hour', 0, HOUR_MS],
  ['the grace of its policy', 2 * HOUR_MS, 2 * HOUR_MS],
])('a store that falls silent is waited for as long as %s', async (_what, graceMs, waitedMs) => {
  const script = { 'GET /tasks/tsk_done': () => new Response('<html>') }
  using it = open({ copies: [copy('a', 'done')] }, { script, policy: { graceMs } })
  expect(await it.settle()).toMatchObject({ endedMs: null })
  it.clock.advance(waitedMs - 1)
  expect(await it.settle()).toMatchObject({ endedMs: null })
  it.clock.advance(1)
  expect(await it.settle()).toMatchObject({
    outcome: 'failed',
    failures: [{ name: 'a', target: 'edge-a', reason: expect.stringMatching(/^edge-a does not answer: /), action: 'Look at store health edge-a.' }],
  })
})
