// What was approved runs once, in the name of the person who asked, and each end is recorded with a sentence that says what happened: in time, too late, and after the
// service was stopped in the middle of it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { ApprovalDraft, ApprovalSubject } from '../../../bot/approvals/approvals.ts'
import { createAuthority } from '../../../bot/slack/authorise.ts'
import { createButtons } from '../../../bot/slack/buttons.ts'
import { createOpenModals } from '../../../bot/slack/open-modals.ts'
import { APPROVAL_POLL_MS, runApprovals } from '../../../bot/slack/run-approvals.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'
import { imageOf, openScriptedFleet, refuse } from '../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const HOUR_MS = 3_600_000
const idOf = (number: number): string => imageOf(number).id
const imageIn = (store: string, number: number): ApprovalSubject => ({ kind: 'image', store, id: idOf(number), name: `disk-${number}` })

const DRAFT: ApprovalDraft = {
  ...{ title: 'Purge 2 images', question: 'Purge them?', reason: 'They cannot be brought back.', facts: [], plan: 'x', role: 'operator', channel: 'C1' },
  ...{ command: 'image purge disk-1 disk-2', line: 'task cancel nothing', subjects: [imageIn('edge-a', 1), imageIn('edge-a', 2)] },
  ...{ requester: 'UANN', requesterName: 'ann' },
}

/** In edge-a, image 1 is deleted for good, 2 is there, 3 is in the recycle bin, and 4 is being deleted; edge-b does not answer. */
function open(refresh: () => Promise<void> = async () => {}) {
  const disconnect = (): never => {
    throw new TypeError('connection refused')
  }
  const fleet = openScriptedFleet({
    'edge-a': {
      [`GET /images/${idOf(1)}`]: refuse('not-found', 'There is no such image.'),
      [`GET /images/${idOf(2)}`]: imageOf(2),
      [`GET /images/${idOf(3)}`]: imageOf(3, { status: 'deleted' }),
      [`GET /images/${idOf(4)}`]: imageOf(4, { status: 'deleting' }),
      [`GET /images/${idOf(5)}`]: refuse('internal', 'The disk is broken.'),
    },
    'edge-b': { 'GET /store': disconnect, 'GET /health': disconnect, '*': disconnect },
  })
  const { bot } = fleet
  const { approvals, audit, database, roles } = bot
  roles.grant({ ...ANY, subject: 'user:UANN', role: 'operator' }, 'test', 0)
  const groups = { refresh, groupsOf: () => new Set<string>() }
  const buttons = createButtons(database, fleet.clock)
  const authority = createAuthority({ bot, roles, groups, buttons, modals: createOpenModals(database, fleet.clock) })
  const log = createMemoryLog()
  const request = (draft: Partial<ApprovalDraft> = {}): number => {
    const asked = approvals.request({ ...DRAFT, ...draft }, fleet.clock.nowMs())
    if (!('approval' in asked)) throw new Error('it was not requested')
    return asked.approval.id
  }
  const approve = (id: number): unknown => approvals.decide(id, 'approve', { id: 'UBOB', name: 'bob', note: undefined }, fleet.clock.nowMs())
  const ended = (id: number): object => {
    const { state, result, next } = approvals.find(id) ?? {}
    return { state, result, next }
  }
  const run = () => runApprovals({ bot, authority, log })
  return { ...fleet, approvals, audit, log, roles, request, approve, ended, run, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

/** A request that another run of the service had begun. */
function left(it: ReturnType<typeof open>, draft: Partial<ApprovalDraft>): number {
  const id = it.request(draft)
  it.approve(id)
  it.approvals.claim('an earlier run', it.clock.nowMs())
  return id
}

const STOPPED = 'The service was stopped while this ran.'

test.each<[what: string, draft: Partial<ApprovalDraft>, state: string, result: string, next: string, outcome: string]>([
  ['all gone', { subjects: [imageIn('edge-a', 1), imageIn('edge-a', 4)] }, 'done', `${STOPPED} Deleted: disk-1 in edge-a, disk-4 in edge-a.`, '', 'done'],
  [
    'one there',
    {},
    'interrupted',
    `${STOPPED} Deleted: disk-1 in edge-a. Still there: disk-2 in edge-a.`,
    'Name what is still there in a new request: image purge',
    'failed',
  ],
  [
    'one in the recycle bin, which a purge would have emptied',
    { subjects: [imageIn('edge-a', 1), imageIn('edge-a', 3)] },
    'interrupted',
    `${STOPPED} Deleted: disk-1 in edge-a. Still there: disk-3 in edge-a.`,
    'Name what is still there in a new request: image purge',
    'failed',
  ],
  [
    'one in the recycle bin, where a deletion puts it',
    { subjects: [imageIn('edge-a', 1), imageIn('edge-a', 3)], command: 'image delete disk-1 disk-3' },
    'done',
    `${STOPPED} Deleted: disk-1 in edge-a, disk-3 in edge-a.`,
    '',
    'done',
  ],
  [
    'a store that does not answer, one that is unknown, and one with another problem',
    { subjects: [imageIn('edge-b', 1), imageIn('edge-q', 2), imageIn('edge-a', 5)] },
    'interrupted',
    `${STOPPED} Not known, because the store does not answer: disk-1 in edge-b, disk-2 in edge-q, disk-5 in edge-a.`,
    'Name what is still there in a new request: image purge',
    'failed',
  ],
  [
    'stores: one is removed, one is there',
    {
      command: 'store delete edge-q edge-a',
      subjects: [
        { kind: 'store', store: 'edge-q', id: '', name: 'edge-q' },
        { kind: 'store', store: 'edge-a', id: '', name: 'edge-a' },
      ],
    },
    'interrupted',
    `${STOPPED} Deleted: edge-q. Still there: edge-a.`,
    'Name what is still there in a new request: store delete',
    'failed',
  ],
])('after a stop of the service: %s', async (_what, draft, state, result, next, outcome) => {
  using it = open()
  const id = left(it, draft)
  {
    await using _runs = it.run()
    await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  }
  expect(it.ended(id)).toEqual({ state, result, next })
  const command = draft.command ?? 'image purge disk-1 disk-2'
  expect(it.audit.list({ limit: 5 })).toMatchObject([
    {
      actor: 'ann, approved by bob',
      surface: 'service',
      channel: 'C1',
      via: 'approval',
      effect: 'destroy',
      command,
      target: `approval ${id}`,
      outcome,
      detail: result,
    },
  ])
})

test('what had not begun at a stop runs now, in the name of the person who asked', async () => {
  using it = open()
  const id = left(it, { subjects: [imageIn('edge-a', 2)] })
  {
    await using _runs = it.run()
    await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  }
  expect(it.ended(id)).toMatchObject({ state: 'failed', result: expect.stringContaining('No task "nothing".'), next: 'List them with task list.' })
  const [entry, ...others] = it.audit.list({ limit: 5, command: 'task cancel' })
  expect(entry).toMatchObject({ actor: 'ann, approved by bob', via: 'approval', surface: 'slack', channel: 'C1', outcome: 'failed' })
  expect(others).toEqual([])
})

test('an approved request runs at once; one that waited too long is recorded as refused', async () => {
  using it = open()
  const late = it.request({ line: 'image list', requester: 'UCAT', requesterName: 'cat' })
  it.clock.advance(4 * HOUR_MS)
  const id = it.request({ line: 'alert silence edge-a for=2h', command: 'alert silence edge-a' })
  await using _runs = it.run()
  await until('it expired', () => it.approvals.find(late)?.state === 'expired')
  expect(it.audit.list({ limit: 5, target: `approval ${late}` })).toMatchObject([
    { actor: 'cat', outcome: 'refused', detail: 'The request expired before it was approved and started.' },
  ])
  it.approve(id)
  await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  expect(it.ended(id)).toEqual({
    state: 'done',
    result: 'No alerts until 2026-01-01 06:00:00 UTC (2 h). Findings are still recorded, and alert list shows them.',
    next: '',
  })
})

test('an approval of another process is found with the next look', async () => {
  using it = open()
  const id = it.request({ line: 'alert silence edge-a for=2h' })
  await using _runs = it.run()
  await it.clock.untilSleeping(1)
  it.bot.database.run("UPDATE approvals SET state = 'approved', decider = 'UBOB', decider_name = 'bob'")
  expect(APPROVAL_POLL_MS).toBe(500)
  it.clock.advance(499)
  await Bun.sleep(5)
  expect(it.approvals.find(id)?.state).toBe('approved')
  it.clock.advance(1)
  await until('the end', () => it.approvals.find(id)?.state === 'done')
})

test('somebody who lost the role gets nothing done, and reads why', async () => {
  using it = open()
  const id = it.request({ line: 'alert silence edge-a for=2h', command: 'alert silence edge-a' })
  it.roles.revoke({ ...ANY, subject: 'user:UANN' })
  await using _runs = it.run()
  it.approve(id)
  await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  expect(it.ended(id)).toEqual({
    state: 'failed',
    result: 'alert silence needs the role operator; ann, approved by bob has viewer.',
    next: 'Ask an admin of the bot to run it or to give you the role.',
  })
})

test.each([
  ['both names', 103, 'UBOB', `${'a'.repeat(103)}, approved by bob`],
  ['the ids of people whose names are too long together', 104, 'UBOB', 'UANN, approved by UBOB'],
  ['the console, which has no id', 104, '', 'UANN, approved by the console'],
])('agents are told %s', async (_what, length, decider, name) => {
  using it = open()
  const id = it.request({ line: 'alert silence edge-a for=2h', command: 'alert silence edge-a', requesterName: 'a'.repeat(length) })
  it.roles.revoke({ ...ANY, subject: 'user:UANN' })
  it.approvals.decide(id, 'approve', { id: decider, name: 'bob', note: undefined }, it.clock.nowMs())
  await using _runs = it.run()
  await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  expect(it.approvals.find(id)?.result).toBe(`alert silence needs the role operator; ${name} has viewer.`)
})

test('a plan that is another one now is not run', async () => {
  using it = open()
  const id = it.request({ line: 'zone delete zone-1 --unreachable --confirm zone-1', command: 'zone delete zone-1', role: 'admin' })
  it.roles.grant({ ...ANY, subject: 'user:UANN', role: 'admin' }, 'test', 0)
  await using _runs = it.run()
  it.approve(id)
  await until('the end', () => it.approvals.find(id)?.endedMs !== null)
  expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  expect(it.ended(id)).toEqual({
    state: 'changed',
    result: 'The plan is no longer the one that was approved. Nothing was changed.',
    next: 'Look at the new plan, and run the command again to ask again: zone delete zone-1',
  })
})

test('a stop waits for the one that runs, and leaves the next to the next start', async () => {
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  using it = open(async () => {
    begun.resolve()
    await goOn.promise
  })
  const [first, second] = [it.request({ line: 'alert silence edge-a for=2h' }), it.request({ line: 'alert silence edge-b for=2h' })]
  it.approve(first)
  it.approve(second)
  const runs = it.run()
  await begun.promise
  const stopped = runs[Symbol.asyncDispose]()
  expect(it.approvals.find(first)?.state).toBe('running')
  goOn.resolve()
  await stopped
  expect([first, second].map((id) => it.approvals.find(id)?.state)).toEqual(['done', 'approved'])
})

test('one that failed does not keep the others from running, and is logged', async () => {
  let asked = 0
  using it = open(() => (++asked === 1 ? Promise.reject(new Error('Slack is away')) : Promise.resolve()))
  const [first, second] = [it.request({ line: 'alert silence edge-a for=2h' }), it.request({ line: 'alert silence edge-b for=2h' })]
  it.approve(first)
  it.approve(second)
  await using _runs = it.run()
  await until('the end', () => it.approvals.find(second)?.endedMs !== null)
  expect(it.ended(first)).toEqual({
    state: 'failed',
    result: 'The command stopped: Slack is away',
    next: 'See what it did, then run it again: image purge disk-1 disk-2',
  })
  expect(it.approvals.find(second)?.state).toBe('done')
  expect(it.log.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual(['error: an approved command failed'])
})
