// A service that is killed between the approval and the run, or while it runs: the next one goes on from what the database has.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import type { ApprovalSubject } from '../../../bot/approvals/approvals.ts'
import type { View } from '../../../protocol/views/view.ts'
import { runParsed, parseLine } from '../../../bot/commands/run.ts'
import { until } from '../../support/until.ts'
import { startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

type SlackBot = Awaited<ReturnType<typeof startSlackBot>>
const BOB = { id: 'UBOB', name: 'bob (UBOB)' }

/** Asks to delete `edge-a` while no service runs, as the last one has recorded it. */
async function askedBefore(it: SlackBot): Promise<View> {
  await it.connection[Symbol.asyncDispose]()
  const context = { ...it.bot.context({ id: 'UADMIN', name: 'ada (UADMIN)', role: 'admin' }, 'slack'), channel: 'C1' }
  return runParsed(context, parseLine(context, 'store delete edge-a --confirm edge-a'))
}
const isThere = (it: SlackBot): boolean => it.bot.fleet.registry.find('edge-a') !== undefined

async function ended(it: SlackBot): Promise<{ state: string; result: string; next: string }> {
  await using _next = await it.connect()
  return until('the end', () => {
    const found = it.bot.approvals.find(1)
    return found && found.endedMs !== null ? { state: found.state, result: found.result, next: found.next } : undefined
  })
}

test('what was approved before the service was killed runs once with the next one', async () => {
  await using it = await startSlackBot({}, 'on')
  expect(await askedBefore(it)).toMatchObject({ outcome: 'refused', title: 'A second person must approve this' })
  it.bot.approvals.decide(1, 'approve', BOB, it.bot.clock.nowMs())
  expect(isThere(it)).toBe(true)
  expect(await ended(it)).toMatchObject({ state: 'done' })
  expect(isThere(it)).toBe(false)
  expect(it.bot.audit.list({ limit: 5, command: 'store delete', outcome: 'done' })).toHaveLength(1)
})

test('a run of which nothing has happened runs again', async () => {
  await using it = await startSlackBot({}, 'on')
  await askedBefore(it)
  it.bot.approvals.decide(1, 'approve', BOB, it.bot.clock.nowMs())
  expect(it.bot.approvals.claim('killed', it.bot.clock.nowMs())?.state).toBe('running')
  expect(await ended(it)).toMatchObject({ state: 'done' })
  expect(isThere(it)).toBe(false)
})

test('a run that had removed everything is done, and removes nothing else', async () => {
  await using it = await startSlackBot({}, 'on')
  await askedBefore(it)
  it.bot.approvals.decide(1, 'approve', BOB, it.bot.clock.nowMs())
  it.bot.approvals.claim('killed', it.bot.clock.nowMs())
  it.bot.fleet.registry.remove('edge-a')
  expect(await ended(it)).toEqual({ state: 'done', result: 'The service was stopped while this ran. Deleted: edge-a.', next: '' })
  expect(it.bot.audit.list({ limit: 1, target: 'approval 1' })).toMatchObject([
    { actor: 'ada (UADMIN), approved by bob (UBOB)', outcome: 'done', surface: 'service' },
  ])
})

test('a run that had deleted a part says what is gone, what is there and what is not known, and deletes nothing', async () => {
  await using it = await startSlackBot({}, 'on')
  await it.connection[Symbol.asyncDispose]()
  const id = (number: number): string => `img_${String(number).padStart(26, '0')}`
  const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
  it.agent.images.push(blankImage({ id: id(2), name: 'two', kind: 'system', format: 'raw', status: 'available', source, length: 600, virtualSize: 600 }, 0))
  it.bot.fleet.registry.add({ name: 'edge-b', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const subject = (number: number, name: string, store: string): ApprovalSubject => ({ kind: 'image', store, id: id(number), name })
  const now = it.bot.clock.nowMs()
  it.bot.approvals.request(
    {
      ...{
        title: 'Purge',
        question: 'q',
        reason: 'r',
        facts: [],
        subjects: [subject(1, 'one', 'edge-a'), subject(2, 'two', 'edge-a'), subject(3, 'three', 'edge-b')],
      },
      ...{ command: 'image purge one two three', line: 'image purge one two three --plan=1', plan: '1', role: 'operator' },
      ...{ requester: 'UADMIN', requesterName: 'ada (UADMIN)', channel: 'C1' },
    },
    now,
  )
  it.bot.approvals.decide(1, 'approve', BOB, now)
  it.bot.approvals.claim('killed', now)
  expect(await ended(it)).toEqual({
    state: 'interrupted',
    result:
      'The service was stopped while this ran. Deleted: one in edge-a. Still there: two in edge-a. Not known, because the store does not answer: three in edge-b.',
    next: 'Name what is still there in a new request: image purge',
  })
})
