// The members of groups of Slack: when they are asked for, how long they count, and that a Slack that is slow, silent or refuses gives nobody a role.

import { describe, expect, test } from 'bun:test'
import { createGroups } from '../../../bot/slack/groups.ts'
import type { GroupPort } from '../../../bot/slack/groups.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

function open() {
  const clock = createManualClock()
  const database = openMemoryDatabase()
  const asked: string[] = []
  let answer: () => ReturnType<GroupPort['groupMembers']> = async () => ({ members: ['UADA'] })
  const port: GroupPort = { groupMembers: (group) => (asked.push(group), answer()) }
  const waits: (AbortSignal | undefined)[] = []
  const sleep: typeof clock.sleep = (ms, signal) => (waits.push(signal), clock.sleep(ms, signal))
  const create = () => createGroups({ database, port, clock: { nowMs: clock.nowMs, sleep }, log: createMemoryLog() })
  return { clock, database, asked, waits, create, set: (next: typeof answer) => (answer = next) }
}

const names = (groups: ReturnType<typeof createGroups>, user = 'UADA'): string[] => [...groups.groupsOf(user)]

describe('the members of a group', () => {
  test('are asked for when they are older than a minute, and kept over a restart', async () => {
    const { clock, create, asked, waits } = open()
    await create().refresh(['S1'])
    expect([names(create()), asked]).toEqual([['S1'], ['S1']])
    // No timer stays behind.
    expect(waits.map((signal) => signal?.aborted)).toEqual([true])
    clock.advance(60_000)
    await create().refresh(['S1'])
    expect(asked).toEqual(['S1'])
    clock.advance(1)
    await create().refresh(['S1', 'S2'])
    expect(asked).toEqual(['S1', 'S1', 'S2'])
    expect([names(create()), names(create(), 'UBOB')]).toEqual([['S1', 'S2'], []])
  })

  test('count for ten minutes while Slack does not answer, and then no more', async () => {
    const { clock, create, set } = open()
    const groups = create()
    await groups.refresh(['S1'])
    set(() => Promise.reject(new Error('no route')))
    clock.advance(600_000)
    await groups.refresh(['S1'])
    expect(names(groups)).toEqual(['S1'])
    clock.advance(1)
    expect(names(groups)).toEqual([])
  })

  test('do not count when the clock was set back, until Slack is asked again', async () => {
    const { clock, create, asked } = open()
    const groups = create()
    await groups.refresh(['S1'])
    clock.advance(-1)
    expect(names(groups)).toEqual([])
    await groups.refresh(['S1'])
    expect([asked, names(groups)]).toEqual([['S1', 'S1'], ['S1']])
  })

  test.each<[what: string, answer: Awaited<ReturnType<GroupPort['groupMembers']>>, found: string[], error: string]>([
    ['that Slack refuses', { error: 'no_such_subteam' }, [], 'no_such_subteam'],
    ['of 10,000', { members: ['UADA', ...Array.from({ length: 9_999 }, (_, i) => `U${i}`)] }, ['S1'], ''],
    ['of more than 10,000', { members: ['UADA', ...Array.from({ length: 10_000 }, (_, i) => `U${i}`)] }, [], 'more than 10000 members'],
  ])('%s give a role or not', async (_what, answer, found, error) => {
    const { clock, database, create, set } = open()
    const groups = create()
    await groups.refresh(['S1'])
    set(async () => answer)
    clock.advance(60_001)
    await groups.refresh(['S1'])
    expect(names(groups)).toEqual(found)
    expect(database.query('SELECT error FROM slack_groups').all()).toEqual([{ error }])
  })

  test('that Slack is slow to tell delay a decision for a second and a half, and count once they are there', async () => {
    const { clock, create, set, asked } = open()
    const groups = create()
    const { promise, resolve } = Promise.withResolvers<{ members: string[] }>()
    set(() => promise)
    let ended = 0
    const both = [groups.refresh(['S1']), groups.refresh(['S1'])].map((one) => one.then(() => ended++))
    await clock.untilSleeping(2)
    clock.advance(1_499)
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(ended).toBe(0)
    clock.advance(1)
    await Promise.all(both)
    // The two decisions asked once.
    expect([names(groups), asked]).toEqual([[], ['S1']])
    resolve({ members: ['UADA'] })
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(names(groups)).toEqual(['S1'])
  })
})
