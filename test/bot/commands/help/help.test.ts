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
  test('lists each command in short, with a button for each noun but help itself', async () => {
    const { title, rows, actions } = await ask('help')
    expect(title).toBe('Slipway commands')
    expect(rows.map(({ cells }) => cells['command'])).toEqual(
      expect.arrayContaining(['store list', 'store browse [S] [PATH]', 'task show T…', 'web', 'help [NOUN] [VERB] [WORD…]']),
    )
    expect(actions.slice(0, 2).map(({ command }) => command)).toEqual(['help store', 'help image'])
    expect(actions.map(({ command }) => command)).not.toContain('help help')
  })

  test('of a noun with one command lists that command', async () => {
    const { rows, actions } = await ask('help event')
    expect([rows.length, rows[0]?.cells['command'], actions]).toEqual([1, expect.stringMatching(/^event list \[.*=/), []])
  })

  test.each([
    ['help store show usag:', undefined],
    ['help image health free-space', undefined],
    ['help store health xfree-space', 'help store health free-space'],
    ['help store list xfree-space', undefined],
  ])('%s means %p', async (line, meant) => {
    const next = (await ask(line)).fields.find(({ label }) => label === 'Next')?.value ?? ''
    expect(/^Did you mean (.*)\?$/.exec(next)?.[1]).toBe(meant)
  })

  test('does not know health checks as words of other answers', async () => {
    expect((await ask('help store health index-database')).outcome).toBe('done')
    expect((await ask('help store list index-database')).outcome).toBe('failed')
    expect((await ask('help zone show index-database')).outcome).toBe('failed')
  })

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
