// Whose sessions of the page `web list` shows and `web revoke` ends, and which links end with them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import type { Role } from '../../../../protocol/access.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Ann, Bob and the console have a session and an unused link each. */
function open() {
  const bot = openBot('', { clock: createManualClock(), database: openMemoryDatabase() })
  const begin = (id: string, name: string) => ({
    session: bot.page.sessions.begin({ id, name }, 'Firefox').session.id,
    link: bot.page.links.issue({ id, name }).secret,
  })
  const [ann, bob, console] = [begin('U0ANN', 'ann'), begin('U0BOB', 'bob'), begin('', 'root')]
  const run = (line: string, role: Role = 'viewer', surface: 'slack' | 'console' | 'page' = 'slack') =>
    runLine(bot.context({ name: 'ann', role, ...(surface === 'console' ? {} : { id: 'U0ANN' }) }, surface), line)
  const left = () => bot.page.sessions.list().map(({ id }) => id)
  const links = () => [ann, bob, console].map(({ link }) => bot.page.links.find(link) !== undefined)
  return { bot, ann, bob, console, run, left, links, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('web list', () => {
  test('shows a person the own sessions', async () => {
    using it = open()
    expect((await it.run('web list')).json).toMatchObject({ items: [{ id: it.ann.session, person: 'ann', slackId: 'U0ANN' }] })
  })

  test('shows an admin all of them, and which are of the console', async () => {
    using it = open()
    const view = await it.run('web list', 'admin')
    expect(view.rows.map(({ cells }) => cells['person'])).toEqual(['root (console)', 'bob', 'ann'])
    expect(view.json).toMatchObject({ items: [{ slackId: null }, { slackId: 'U0BOB' }, { slackId: 'U0ANN' }] })
  })
})

describe('web revoke', () => {
  test('ends the session that is named, and no link', async () => {
    using it = open()
    expect((await it.run(`web revoke ${it.ann.session}`)).text).toBe('The session of ann ended.')
    expect([it.left(), it.links()]).toEqual([
      [it.console.session, it.bob.session],
      [true, true, true],
    ])
  })

  test('does not know the session of somebody else', async () => {
    using it = open()
    expect(await it.run(`web revoke ${it.bob.session}`)).toMatchObject({ outcome: 'failed', text: `There is no session "${it.bob.session}".` })
    expect(it.left()).toHaveLength(3)
    expect((await it.run(`web revoke ${it.bob.session}`, 'admin')).text).toBe('The session of bob ended.')
  })

  test('all ends the own sessions and unused links', async () => {
    using it = open()
    expect((await it.run('web revoke all')).text).toBe('1 session ended, and links that were not used yet.')
    expect([it.left(), it.links()]).toEqual([
      [it.console.session, it.bob.session],
      [false, true, true],
    ])
    expect((await it.run('web revoke all')).text).toBe('0 sessions ended, and links that were not used yet.')
  })

  test('all of an admin ends everything', async () => {
    using it = open()
    await it.run('web revoke all', 'admin')
    expect([it.left(), it.links()]).toEqual([[], [false, false, false]])
  })
})

test('the page makes no links into itself', async () => {
  using it = open()
  expect((await it.run('web', 'admin', 'page')).text).toBe('The page makes no links into itself.')
})
