// Who gets a role, and where: what `role grant`, `role revoke`, `role code` and `role claim` refuse, and what they leave.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

function open(operators?: ReadonlySet<string>) {
  const clock = createManualClock()
  const bot = openBot('', { clock, database: openMemoryDatabase(), ...(operators && { environmentRoles: { admins: new Set(), operators } }) })
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://edge-a.example', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, clock.nowMs())
  const run = (line: string, surface: 'console' | 'slack' = 'console') =>
    runLine(bot.context({ name: 'ann', role: 'admin', ...(surface === 'slack' && { id: 'U0ANN' }) }, surface), line)
  return { bot, run, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('role grant', () => {
  test.each([
    ['admin user=U024BE7LH channel=C024BE91L', 'The role admin cannot be limited to a channel.'],
    ['operator user=U024BE7LH channel=C024BE91L', undefined],
    ['admin user=U024BE7LH zone=zone-1', undefined],
    ['operator user=U024BE7LH zone=zone-1 store=edge-a', 'A role is for a zone or for a store.'],
  ])('%s is refused: %p', async (words, text) => {
    using it = open()
    const view = await it.run(`role grant ${words}`)
    expect([view.outcome, text ?? view.text]).toEqual([text === undefined ? 'done' : 'failed', view.text])
    expect(it.bot.roles.list()).toHaveLength(text === undefined ? 1 : 0)
  })

  test('takes a person, a group and a channel as Slack writes them', async () => {
    using it = open()
    await it.run('role grant operator user=<@U024BE7LH|ada> channel=<#C024BE91L|ops>')
    await it.run('role grant uploader group=<!subteam^S0614TZR7|@storage>')
    expect(it.bot.roles.list()).toMatchObject([{ subject: 'group:S0614TZR7' }, { subject: 'user:U024BE7LH', channel: 'C024BE91L' }])
  })
})

test('role revoke names the roles that stay, and those of the environment', async () => {
  using it = open(new Set(['U024BE7LH']))
  await it.run('role grant uploader user=U024BE7LH zone=zone-1')
  await it.run('role grant viewer user=U024BE7LH store=edge-a')
  const { notes } = await it.run('role revoke user=U024BE7LH zone=zone-1')
  expect(notes.toSorted()).toEqual(['Still operator for: whole fleet, from the environment.', 'Still viewer for: store edge-a.'])
})

describe('the code for an admin', () => {
  test('is made in the console only, and only for the person who asks', async () => {
    using it = open()
    expect((await it.run('role code', 'slack')).text).toBe('Codes are made in the console only.')
    expect((await it.run('role code')).isPrivate).toBe(true)
  })

  test('makes the person who claims it in Slack an admin', async () => {
    using it = open()
    const { code } = (await it.run('role code')).json as { readonly code: string }
    expect((await it.run('role claim AAAA-AAAA-AAAA', 'slack')).text).toBe('This is not the code.')
    expect((await it.run(`role claim ${code}`, 'slack')).title).toBe('ann is an admin')
    expect(it.bot.roles.list()).toMatchObject([{ subject: 'user:U0ANN', role: 'admin' }])
  })
})
