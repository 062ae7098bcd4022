// help: the commands that the caller may run, their options, and the words of their answers.

import { describe, expect, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import type { Role } from '../../../../protocol/access.ts'

async function ask(line: string, role: Role = 'viewer') {
  using bot = openBot('', { clock: systemClock, database: openMemoryDatabase() })
  return runLine(bot.context({ name: 'ann', role }, 'console'), line)
}

describe('help', () => {
  test('explains a column with its unit, what is normal and what to do', async () => {
    const view = await ask('help store list Used')
    expect([view.outcome, view.title]).toEqual(['done', 'help store list Used'])
    expect(view.fields.map(({ label }) => label)).toEqual(['Means', 'Unit', 'Normal', 'What to do'])
    expect(view.fields[1]?.value).toBe('bytes')
    expect(view.json).toMatchObject({ word: 'Used', unit: 'bytes', action: 'See help health free-space.' })
  })

  test.each([
    ['help health free-space', 'help health free-space'],
    ['help store health free-space', 'help store health free-space'],
    ['help store show mount path', 'help store show Mount path'],
    ['help store show "usage: base"', 'help store show Usage: …'],
    ['help image list status', 'help image list Status'],
    ['help store reconcile finding', 'help store reconcile Finding'],
    ['help store health finding', 'help store health Finding'],
    ['help task show progress', 'help task show Progress'],
  ])('%s is answered with %s', async (line, title) => {
    const view = await ask(line)
    expect([view.outcome, view.title]).toEqual(['done', title])
    expect(view.fields[0]?.label).toBe('Means')
  })

  test('tells a finding of reconcile from one of health', async () => {
    const [reconcile, health] = [await ask('help store reconcile finding'), await ask('help store health finding')]
    expect(reconcile.fields[0]?.value).toContain('The id of a difference')
    expect(health.fields[0]?.value).toContain('What is wrong')
  })

  test('lists the checks', async () => {
    const view = await ask('help health')
    expect(view.rows.map(({ cells }) => cells['check'])).toContain('index-database')
    expect(view.rows).toHaveLength(14)
  })

  test('lists only what the caller may run', async () => {
    const commands = async (role: Role) => (await ask('help store', role)).rows.map(({ cells }) => cells['command']?.split(' ')[1])
    expect(await commands('viewer')).toEqual(['list', 'show', 'health', 'browse', 'types'])
    expect(await commands('admin')).toContain('delete')
    expect((await ask('help store delete')).fields[1]?.value).toBe('admin or higher; you do not have it, ask an admin of the bot')
    expect((await ask('help store delete', 'admin')).fields[1]?.value).toBe('admin or higher')
  })

  test('knows no word of an object', async () => {
    expect((await ask('help store list constructor')).text).toBe('store list shows no column or field "constructor".')
    expect((await ask('help health constructor')).text).toBe('There is no check "constructor".')
  })
})
