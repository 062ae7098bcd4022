// Who may press a button and submit a modal; a refused press does not use the button up.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createAuthority } from '../../../bot/slack/authorise.ts'
import { createButtons } from '../../../bot/slack/buttons.ts'
import { createOpenModals, MODAL_LIFE_MS } from '../../../bot/slack/open-modals.ts'
import { openTestBot } from '../fixture.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import type { Role } from '../../../protocol/access.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { until } from '../../support/until.ts'
import { ADMIN, seen, startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OPERATOR = { user: 'UOPER' }
const VIEWER = { user: 'UVIEW' }

describe('roles', () => {
  /** Who may do what needs a role, written by hand. */
  const TABLE: Record<string, readonly [Role, Record<Role, boolean>]> = {
    UVIEW: ['viewer', { viewer: true, uploader: false, operator: false, admin: false }],
    UOPER: ['operator', { viewer: true, uploader: true, operator: true, admin: false }],
    UADMIN: ['admin', { viewer: true, uploader: true, operator: true, admin: true }],
    // Named in both lists.
    UBOTH: ['admin', { viewer: true, uploader: true, operator: true, admin: true }],
    // A part of the id of an admin.
    UADMI: ['viewer', { viewer: true, uploader: false, operator: false, admin: false }],
  }

  test.each(Object.keys(TABLE))('of %s are those of the table, for presses and submissions', async (user) => {
    const [role, allowed] = TABLE[user] ?? ['viewer', {}]
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    using bot = openTestBot(folder.path, clock, { operators: new Set(['UOPER', 'UBOTH']), admins: new Set(['UADMIN', 'UBOTH']) })
    const { database, roles } = bot
    const [buttons, modals] = [createButtons(database, clock), createOpenModals(database, clock)]
    const groups = { refresh: async () => {}, groupsOf: () => new Set<string>() }
    const authority = createAuthority({ bot, roles, groups, buttons, modals })
    const asker = { user, userName: 'someone', channel: 'C1' }
    expect(authority.actorOf(asker)).toMatchObject({ id: user, name: `someone (${user})`, role })
    for (const [needs, isAllowed] of Object.entries(allowed) as [Role, boolean][]) {
      const denial = { kind: 'forbidden' as const, needs, has: role }
      const pressed = authority.press(buttons.register({ command: 'store list', page: 0, role: needs }, true), asker)
      expect(pressed).toEqual(isAllowed ? { kind: 'press', press: { command: 'store list', page: 0, role: needs } } : denial)
      // Also for a line that is no command any more.
      const outdated = authority.press(buttons.register({ command: 'store vanish', page: 0, role: needs }, true), asker)
      expect(outdated).toEqual(isAllowed ? { kind: 'press', press: { command: 'store vanish', page: 0, role: needs } } : denial)
      const modal = { command: 'store delete edge-a', role: needs, name: 'edge-a', channel: 'C1', user }
      expect(authority.submit(modals.register(modal), asker)).toEqual(isAllowed ? { kind: 'submit', modal } : denial)
    }
  })
})

describe('a stored modal', () => {
  const MODAL = { command: 'store delete edge-a', role: 'admin', name: 'edge-a', channel: 'C1', user: 'UADMIN' } as const

  test('is found for an hour by its id, and submitted once', async () => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    const clock = createManualClock()
    const modals = createOpenModals(database, clock)
    expect(MODAL_LIFE_MS).toBe(3_600_000)
    const [late, early] = [modals.register(MODAL), modals.register(MODAL)]
    clock.advance(MODAL_LIFE_MS)
    expect([modals.find(late), modals.find('another')]).toEqual([MODAL, undefined])
    expect([modals.spend(early), modals.spend(early), modals.spend('another')]).toEqual([true, false, false])
    expect([modals.find(early), modals.find(late)]).toEqual([undefined, MODAL])
    clock.advance(1)
    expect(modals.find(late)).toBeUndefined()
  })
})

describe('a press', () => {
  test('that is refused does not use up the button', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanup edge-a', OPERATOR)
    const card = await seen(it.slack, 'post')
    await it.slack.press(card, 'Cancel', VIEWER)
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    await it.slack.press(card, 'Cancel', OPERATOR)
    await until('the task is cancelled', () => [...it.agent.tasks.values()].some(({ state }) => state === 'cancelled'))
  })

  test('of a write is accepted once', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanup edge-a', OPERATOR)
    const card = await seen(it.slack, 'post')
    await it.slack.press(card, 'Cancel', OPERATOR)
    await it.slack.press(card, 'Cancel', OPERATOR)
    expect(visibleText(await seen(it.slack, 'response'))).toContain('used already')
  })

  test('of a suggested write needs the role of the command before it is spent', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanp edge-a —share')
    const unclear = await seen(it.slack, 'response')
    const label = 'store cleanup edge-a'
    await it.slack.press(unclear, label, VIEWER)
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    expect(it.agent.tasks.size).toBe(0)
    await it.slack.press(unclear, label, OPERATOR)
    await seen(it.slack, 'post')
    expect(it.agent.tasks.size).toBe(1)
  })
})

describe('a confirmation', () => {
  const question = (it: Awaited<ReturnType<typeof startSlackBot>>) =>
    until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))

  test('is accepted only from the person who opened it', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await question(it)
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, OPERATOR)
    expect(visibleText(await seen(it.slack, 'post'))).toContain('expired')
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test('still checks the typed name after a restart of the bot', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await question(it)
    await it.connection[Symbol.asyncDispose]()
    await using _again = await it.connect()
    await until('the bot is connected again', () => it.slack.socketCount === 1)
    const wrong = await it.slack.submit(modal.view ?? {}, { name: 'edge-b' }, ADMIN)
    expect(wrong.body).toMatchObject({ response_action: 'errors' })
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    await until('the store is removed', () => it.bot.fleet.registry.find('edge-a') === undefined)
  })
})
