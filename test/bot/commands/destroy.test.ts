// The gate of destructive commands: every name must be typed, and the plan must be the one that was shown.

import { describe, expect, test } from 'bun:test'
import { gate } from '../../../bot/commands/destroy.ts'
import type { DestroyPlan } from '../../../bot/commands/destroy.ts'
import type { View } from '../../../protocol/views/view.ts'
import { openTestBot } from '../fixture.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const PLAN: DestroyPlan = {
  title: 'Delete one, two',
  names: ['one', 'two'],
  aliases: ['img_1', 'img_2'],
  question: 'one and two would go.',
  essence: ['img_1 edge-a', 'img_2 edge-a'],
  checklist: [{ label: 'In use', passed: true, detail: 'no' }],
  command: 'image delete img_1 img_2',
}

/** Asks the gate; without `plan` as the console does. Undefined: the command may run. */
async function ask(confirm: readonly string[], plan: DestroyPlan = PLAN, shown?: string): Promise<View | undefined> {
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  return gate(bot.context({ name: 'tester', role: 'admin' }, 'console'), { confirm, plan: shown }, plan)
}

/** The fingerprint in the command of the question. */
async function fingerprintOf(plan: DestroyPlan): Promise<string> {
  const question = await ask([], plan)
  return /--plan=(\S+)$/.exec(question?.confirm?.command ?? '')?.[1] ?? ''
}

describe('the names', () => {
  test.each([
    [['one', 'two']],
    [['two', 'one']],
    [['one, two']],
    [['one,two']],
    [['one', ' two ']],
    [['img_1', 'img_2']],
    [['one', 'img_2']],
    [['one', 'two', 'img_1']],
  ])('%j are complete', async (confirm) => {
    expect(await ask(confirm)).toBeUndefined()
  })

  test.each([
    [['one']],
    [['two']],
    [['one', 'one']],
    [['one, one']],
    [['one', 'img_1']],
    [['one', '']],
    [['one', 'two', 'three']],
    [['one', 'three']],
    [['one two']],
    [['ONE', 'TWO']],
    [['']],
    [['one', 'tw']],
  ])('%j are not complete', async (confirm) => {
    const refusal = await ask(confirm)
    expect(refusal).toMatchObject({ outcome: 'refused', text: expect.stringContaining('is not the name "one, two". Nothing was changed.') })
  })

  test('of two things with the same name are typed for each of them', async () => {
    const twins: DestroyPlan = { ...PLAN, names: ['twin', 'twin'] }
    expect(await ask(['twin'], twins)).toMatchObject({ outcome: 'refused' })
    expect(await ask(['twin', 'twin'], twins)).toBeUndefined()
    expect(await ask(['img_1', 'img_2'], twins)).toBeUndefined()
    expect(await ask(['img_1', 'img_1'], twins)).toMatchObject({ outcome: 'refused' })
  })

  test('may contain a comma', async () => {
    const plan: DestroyPlan = { ...PLAN, names: ['one, the first', 'two'] }
    expect(await ask(['one, the first', 'two'], plan)).toBeUndefined()
    expect(await ask(['one, the first'], plan)).toMatchObject({ outcome: 'refused' })
  })

  test('are asked for when none was typed', async () => {
    expect(await ask([])).toMatchObject({ outcome: 'refused', confirm: { name: 'one, two', question: PLAN.question } })
  })
})

describe('the plan', () => {
  const changes: [string, DestroyPlan][] = [
    ['another thing has the name', { ...PLAN, essence: ['img_1 edge-a', 'img_9 edge-a'] }],
    ['one thing more would go', { ...PLAN, essence: [...PLAN.essence, 'img_3 edge-a'] }],
    ['another check passed', { ...PLAN, checklist: [{ label: 'Protected', passed: true, detail: 'no' }] }],
    ['there is one check more', { ...PLAN, checklist: [...PLAN.checklist, { label: 'Protected', passed: true, detail: 'no' }] }],
  ]

  test.each(changes)('is shown again and not executed when %s', async (_what, now) => {
    const shown = await fingerprintOf(PLAN)
    expect(shown).not.toBe('')
    const refusal = await ask(['one', 'two'], now, shown)
    expect(refusal).toMatchObject({ outcome: 'refused', text: expect.stringContaining('The plan has changed since the name was typed.') })
    expect(refusal?.confirm?.command).toEndWith(`--plan=${await fingerprintOf(now)}`)
    expect(await ask(['one', 'two'], now, await fingerprintOf(now))).toBeUndefined()
  })

  test('is executed when only its words differ', async () => {
    const checklist = [{ label: 'In use', passed: true, detail: 'no, since a minute' }]
    expect(await ask(['one', 'two'], { ...PLAN, question: 'Both?', notes: ['a note'], checklist }, await fingerprintOf(PLAN))).toBeUndefined()
  })

  test('is not executed while a check fails, although everything was typed', async () => {
    const blocked: DestroyPlan = { ...PLAN, checklist: [{ label: 'In use', passed: false, detail: 'by vm-1' }] }
    expect(await ask(['one', 'two'], blocked, await fingerprintOf(blocked))).toMatchObject({ outcome: 'refused', json: { blocked: true } })
    expect((await ask(['one', 'two'], blocked))?.text).toStartWith('Not possible now. In use: by vm-1.')
  })
})

describe('a plan that changed', () => {
  test('says what is different, and what it promises now', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    const context = bot.context({ name: 'tester', role: 'admin' }, 'console')
    const shown = { ...PLAN, promises: [{ label: 'Bytes', value: '1 GB' }] }
    const first = gate(context, { confirm: [], plan: undefined }, shown)
    const hash = /--plan=(\S+)$/.exec(first?.confirm?.command ?? '')?.[1]
    expect(first?.confirm?.promises).toEqual([{ label: 'Bytes', value: '1 GB' }])
    expect(first?.fields[0]).toEqual({ label: 'Bytes', value: '1 GB' })
    const now = { ...shown, promises: [{ label: 'Bytes', value: '2 GB' }], notes: ['edge-b does not answer.'] }
    const again = gate(context, { confirm: ['one', 'two'], plan: hash }, now)
    expect(again).toMatchObject({
      outcome: 'refused',
      notes: ['Bytes: 2 GB, it was 1 GB.', 'edge-b does not answer.'],
      json: { changes: ['Bytes: 2 GB, it was 1 GB.'] },
    })
    expect(gate(context, { confirm: ['one', 'two'], plan: hash }, shown)).toBeUndefined()
    const unknown = gate(context, { confirm: ['one', 'two'], plan: 'ffff' }, shown)
    expect(unknown).toMatchObject({ outcome: 'refused', notes: [], json: { changes: [] } })
  })
})
