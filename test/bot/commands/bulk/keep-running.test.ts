// The service and its bulk runs: what it takes up and when, what it leaves to others, and how it stops.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createBulkRuns } from '../../../../bot/bulk/bulk-runs.ts'
import { runBulk } from '../../../../bot/commands/bulk/begin.ts'
import { keepRunning } from '../../../../bot/commands/bulk/keep-running.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { imageOf } from '../scripted-fleet.ts'
import { ADA, copies, items, openBulk, protect } from './bulk-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Waits until something happened; nothing of it needs time to pass. */
const until = async (isTrue: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 100_000 && !isTrue(); turn++) await new Promise(setImmediate)
  expect(isTrue()).toBe(true)
}
const keep = (it: ReturnType<typeof openBulk>, takesOver: boolean, actorOf: () => Promise<typeof ADA> = () => Promise.resolve(ADA)) => {
  const log = createMemoryLog()
  const { bulkRuns, context } = it.bot
  return { log, keeper: keepRunning({ bulkRuns, clock: it.clock, context, log, surface: 'slack', takesOver, actorOf }) }
}

test('carries out what is begun in Slack, at once and once, and what is retried again', async () => {
  using it = openBulk()
  const { keeper, log } = keep(it, true)
  await using _running = keeper
  await it.clock.untilSleeping(1)
  await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(2))
  await until(() => it.runs.find(1)?.state === 'done')
  expect([it.changed().length, log.lines]).toEqual([2, []])
})

test('sees what another process left within half a second', async () => {
  using it = openBulk()
  const { keeper } = keep(it, true)
  await using _running = keeper
  await it.clock.untilSleeping(1)
  // Another process writes the run into the file: nothing tells this one.
  const other = createBulkRuns(it.bot.database, { put: () => {} }, it.bot.audit)
  other.begin(
    { verb: 'protect', title: 't', params: {}, origin: '', surface: 'slack', actor: 'ada', actorId: 'U1', channel: 'C1' },
    items(1),
    'killed',
    it.clock.nowMs(),
  )
  it.clock.advance(499)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(it.changed()).toEqual([])
  it.clock.advance(1)
  await until(() => it.runs.find(1)?.state === 'done')
})

test('waits for the lease of another process unless it takes over', async () => {
  using it = openBulk()
  it.runs.begin(
    { verb: 'protect', title: 't', params: {}, origin: '', surface: 'slack', actor: 'ada', actorId: 'U1', channel: 'C1' },
    items(1),
    'other',
    it.clock.nowMs(),
  )
  const { keeper } = keep(it, false)
  await using _running = keeper
  await it.clock.untilSleeping(1)
  it.clock.advance(500)
  await it.clock.untilSleeping(1)
  expect(it.runs.find(1)?.counts.waiting).toBe(1)
  it.clock.advance(120_000)
  await until(() => it.runs.find(1)?.state === 'done')
})

test('says in its log when a run fails, and goes on with it at the next look', async () => {
  using it = openBulk()
  let asked = 0
  const { keeper, log } = keep(it, true, () => (asked++ === 0 ? Promise.reject(new Error('Slack is away')) : Promise.resolve(ADA)))
  await using _running = keeper
  await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(1))
  await until(() => log.lines.length > 0)
  expect(log.lines).toMatchObject([{ level: 'error', message: 'a bulk run failed', fields: { run: 1 } }])
  it.clock.advance(500_000)
  await until(() => it.runs.find(1)?.state === 'done')
})

test('stops after the item in progress, and begins nothing more', async () => {
  using it = openBulk()
  await runBulk(it.context({ surface: 'slack', actor: ADA }), copies(1))
  const { keeper } = keep(it, true)
  await it.clock.untilSleeping(1)
  await until(() => it.ordered().length === 1)
  await keeper[Symbol.asyncDispose]()
  expect(it.runs.find(1)?.state).toBe('running')
  await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(1))
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(it.runs.find(2)?.counts.waiting).toBe(1)
})

test('ends only after the change in progress', async () => {
  let states: readonly string[] | undefined
  using it = openBulk({
    [`PATCH /images/${imageOf(0).id}`]: () => {
      void keeper[Symbol.asyncDispose]().then(() => {
        states = it.runs.items(1).map(({ state }) => state)
      })
      return imageOf(0)
    },
  })
  await runBulk(it.context({ surface: 'slack', actor: ADA }), protect(2))
  const { keeper } = keep(it, true)
  await until(() => states !== undefined)
  expect(states).toEqual(['done', 'waiting'])
})
