// The service and its policies: when they run, what it takes over from a process that ended, and what stops it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { runPolicies } from '../../../../bot/commands/policy/scheduled-runs.ts'
import type { CommandContext } from '../../../../bot/commands/command.ts'
import type { Policy } from '../../../../bot/policies/policy.ts'
import type { PolicyRun } from '../../../../bot/policies/runs.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { imageOf, openScriptedFleet, page } from '../scripted-fleet.ts'
import { taskOf } from '../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const GRANT = { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' }
const DISK = imageOf(1, { name: 'disk', digest: 'sha256:d', manifestDigest: 'sha256:m', availableAt: '2025-12-01T00:00:00.000Z' })

/** A fleet at midnight in which hub has an image, and edge-a is to have it at these times. */
function open(crons: Readonly<Record<string, string>>, onSync: () => void = () => {}) {
  const task = taskOf('x', 'sync', 'succeeded', { id: 'tsk_1', endedAt: '2026-01-01T00:00:01.000Z' })
  const fleet = openScriptedFleet({
    hub: { 'GET /images': page([DISK]), 'POST /sync/grants': GRANT },
    'edge-a': {
      'GET /images': page([]),
      'GET /tasks/tsk_1': task,
      'POST /sync': () => {
        onSync()
        return task
      },
    },
  })
  const context = fleet.bot.context({ name: 'policies', role: 'admin' }, 'service')
  const { policies, policyRuns } = context
  for (const [name, cron] of Object.entries(crons)) {
    const policy: Policy = {
      ...{ name, rule: { kind: 'keep', copies: 1 }, scope: { kind: 'store', store: 'edge-a' }, labels: [], kinds: [], graceMs: 0 },
      ...{ cron, timezone: 'UTC', paused: false, createdMs: 0, anchorMs: fleet.clock.nowMs() },
    }
    policies.add(policy)
  }
  const log = createMemoryLog()
  const begin = (members: Partial<CommandContext> = {}) => runPolicies({ ...context, ...members }, { clock: fleet.clock, log })
  const last = (name: string): PolicyRun | undefined => policyRuns.list(name)[0]
  const leave = (name: string, cause: PolicyRun['cause']): void => void policyRuns.begin({ policy: name, cause, actor: 'ann' }, fleet.clock.nowMs())
  return { ...fleet, policies, policyRuns, log, begin, last, leave, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

/** Waits until something happened; nothing of it needs time to pass. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !isTrue(); turn++) await new Promise(setImmediate)
  expect(isTrue()).toBe(true)
}

test('a policy runs at its time and not before, and the log says so', async () => {
  using it = open({ soon: '1 0 * * *', late: '0 3 * * *' })
  await using _service = it.begin()
  it.clock.advance(58_000)
  await new Promise(setImmediate)
  expect(it.last('soon')).toBeUndefined()
  it.clock.advance(2_000)
  await until(() => it.last('soon')?.outcome === 'succeeded')
  expect(it.last('soon')).toMatchObject({ cause: 'schedule', actor: 'policies', result: '1 copy of an image made' })
  expect(it.log.lines).toEqual([{ level: 'info', message: 'a policy runs', fields: { policy: 'soon', copies: 1 } }])
  expect(it.last('late')).toBeUndefined()
})

test('a policy whose time passed while the bot was not running runs at the start, once', async () => {
  using it = open({ soon: '* * * * *' })
  it.clock.advance(600_000)
  await using _service = it.begin()
  await until(() => it.last('soon')?.outcome === 'succeeded')
  it.clock.advance(2_000)
  await new Promise(setImmediate)
  expect(it.policyRuns.list('soon')).toHaveLength(1)
})

test('what the service before ordered is taken over at the start, and a run of a command only after its lease', async () => {
  using it = open({ ours: '0 3 * * *', theirs: '0 3 * * *' })
  it.leave('ours', 'schedule')
  it.leave('theirs', 'command')
  await using _service = it.begin()
  await until(() => it.last('ours')?.endedMs !== null)
  expect([it.last('ours')?.result, it.last('theirs')?.endedMs]).toEqual(['1 copy of an image made', null])
  it.clock.advance(118_000)
  await new Promise(setImmediate)
  expect(it.last('theirs')?.endedMs).toBeNull()
  it.clock.advance(2_000)
  await until(() => it.last('theirs')?.endedMs !== null)
  expect(it.last('theirs')).toMatchObject({ outcome: 'succeeded', actor: 'ann' })
})

test('a policy that is due runs also when its last run has only just ended', async () => {
  using it = open({ soon: '1 0 * * *' })
  it.leave('soon', 'command')
  const copies = [{ name: 'disk', imageId: DISK.id, target: 'edge-a', source: 'hub', taskId: 'tsk_1' }]
  it.policyRuns.change(it.last('soon')?.id ?? 0, { isOrdered: true, copies })
  it.clock.advance(60_000)
  await using _service = it.begin()
  await until(() => it.last('soon')?.cause === 'schedule')
  expect(it.policyRuns.list('soon').map(({ cause }) => cause)).toEqual(['schedule', 'command'])
})

test('after the start, a scheduled run belongs to whoever has its lease', async () => {
  using it = open({ ours: '0 3 * * *' })
  await using _service = it.begin()
  await new Promise(setImmediate)
  it.leave('ours', 'schedule')
  it.clock.advance(2_000)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(it.last('ours')?.endedMs).toBeNull()
})

test('a run that cannot go on for a defect ends, and the others run', async () => {
  using it = open({ broken: '0 3 * * *', whole: '0 3 * * *' })
  it.leave('broken', 'schedule')
  it.leave('whole', 'schedule')
  let asked = 0
  const { policies } = it
  const list = (): Policy[] => {
    if (asked++ === 0) throw new Error('it is a defect')
    return policies.list()
  }
  await using _service = it.begin({ policies: { ...policies, list } })
  await until(() => it.last('whole')?.endedMs !== null)
  expect(it.last('broken')).toMatchObject({ outcome: 'failed', result: 'The run stopped: it is a defect', action: 'Run it again: policy run broken.' })
  expect(it.last('whole')?.outcome).toBe('succeeded')
})

test('a failure to look is in the log, and the next look is two seconds later', async () => {
  using it = open({})
  let looks = 0
  const { policies } = it
  const list = (): Policy[] => {
    looks++
    throw new Error('the disk is away')
  }
  const service = it.begin({ policies: { ...policies, list } })
  await until(() => it.log.lines.length === 1)
  expect(it.log.lines).toMatchObject([{ level: 'error', message: 'running the policies failed' }])
  it.clock.advance(1_999)
  await new Promise(setImmediate)
  expect(looks).toBe(1)
  it.clock.advance(1)
  await until(() => it.log.lines.length === 2)
  await service[Symbol.asyncDispose]()
  it.clock.advance(2_000)
  expect(looks).toBe(2)
})

test('a service that stops ends the step in progress and begins no further policy', async () => {
  let isOrdered: boolean | undefined
  using it = open({ a: '* * * * *', b: '* * * * *' }, () => {
    void service[Symbol.asyncDispose]().then(() => {
      isOrdered = it.last('a')?.isOrdered
    })
  })
  it.clock.advance(60_000)
  const service = it.begin()
  await until(() => isOrdered !== undefined)
  expect([isOrdered, it.last('b')]).toEqual([true, undefined])
})
