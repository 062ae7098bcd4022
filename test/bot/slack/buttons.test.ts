// The stored buttons: they expire, and a single-use button is spent once.

import { describe, expect, test } from 'bun:test'
import { createAuthority } from '../../../bot/slack/authorise.ts'
import { BUTTON_LIFE_MS, createButtons } from '../../../bot/slack/buttons.ts'
import type { Buttons } from '../../../bot/slack/buttons.ts'
import { createOpenModals } from '../../../bot/slack/open-modals.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import type { Press } from '../../../bot/views/blocks.ts'
import { openTestBot } from '../fixture.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const CANCEL: Press = { command: 'task cancel tsk_1', page: 0, role: 'operator' }

/** Runs on the buttons of a bot of its own. */
async function withButtons(run: (buttons: Buttons, clock: ReturnType<typeof createManualClock>, again: () => Buttons) => void): Promise<void> {
  await using folder = await createTemporaryFolder()
  using database = openDatabase(folder.path)
  const clock = createManualClock()
  run(createButtons(database, clock), clock, () => createButtons(database, clock))
}

describe('a button', () => {
  test('is found for a day, and not afterwards', () =>
    withButtons((buttons, clock) => {
      expect(BUTTON_LIFE_MS).toBe(86_400_000)
      const id = buttons.register(CANCEL, false)
      clock.advance(BUTTON_LIFE_MS)
      expect(buttons.find(id)).toEqual({ press: CANCEL, isSingleUse: false, isSpent: false })
      clock.advance(1)
      expect(buttons.find(id)).toBeUndefined()
      expect(buttons.find('another')).toBeUndefined()
    }))

  test('says what it opens, and which page it shows', () =>
    withButtons((buttons) => {
      const opening: Press = { command: 'store delete edge-a', page: 3, role: 'admin', opens: 'modal' }
      expect(buttons.find(buttons.register(opening, false))?.press).toEqual(opening)
      expect(buttons.find(buttons.register(CANCEL, false))?.press).not.toHaveProperty('opens')
    }))

  test('is spent once', () =>
    withButtons((buttons, _clock, again) => {
      const [id, other] = [buttons.register(CANCEL, true), buttons.register(CANCEL, true)]
      expect([buttons.spend(id), buttons.spend(id), again().spend(id)]).toEqual([true, false, false])
      expect(buttons.find(id)?.isSpent).toBe(true)
      expect(buttons.find(other)?.isSpent).toBe(false)
      expect([buttons.spend('another'), buttons.spend(other)]).toEqual([false, true])
    }))
})

describe('stored buttons and modals', () => {
  test('that have expired are deleted with every hundredth button, and with every modal', async () => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    const clock = createManualClock()
    const [buttons, modals] = [createButtons(database, clock), createOpenModals(database, clock)]
    const count = (table: 'buttons' | 'modals'): unknown => database.query(`SELECT count(*) AS count FROM ${table}`).get()
    const modal = { command: 'x', role: 'admin', name: '', channel: 'C1', user: 'U1' } as const
    for (let i = 0; i < 99; i++) buttons.register(CANCEL, false)
    modals.register(modal)
    clock.advance(BUTTON_LIFE_MS + 1)
    buttons.register(CANCEL, false)
    expect(count('buttons')).toEqual({ count: 100 })
    buttons.register(CANCEL, false)
    expect(count('buttons')).toEqual({ count: 2 })
    modals.register(modal)
    expect(count('modals')).toEqual({ count: 1 })
  })

  test.each([
    ['buttons', 20_000],
    ['modals', 2_000],
  ] as const)('of the table %s are at most %d', async (table, max) => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    const clock = createManualClock()
    const columns = table === 'buttons' ? "'x', 'admin', 9e15" : "'x', 'admin', '', 'C1', 'U1', 9e15"
    const names = table === 'buttons' ? 'id, command, role, expires_ms' : 'id, command, role, name, channel, user, expires_ms'
    database.run(
      `INSERT INTO ${table} (${names}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${max + 1}) SELECT 'id ' || i, ${columns} FROM n`,
    )
    if (table === 'buttons') createButtons(database, clock).register(CANCEL, false)
    else createOpenModals(database, clock).register({ command: 'x', role: 'admin', name: '', channel: 'C1', user: 'U1' })
    // The oldest was deleted before the new one was stored.
    expect(database.query(`SELECT count(*) AS count, min(rowid) AS first FROM ${table}`).get()).toEqual({ count: max + 1, first: 2 })
  })
})

describe('a press', () => {
  const deciding = async (run: (press: (id: string, user: string) => string, buttons: Buttons, meanwhile: { press: () => void }) => void): Promise<void> => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    using bot = openTestBot(folder.path, clock, { operators: new Set(['UOPER']), admins: new Set() })
    const { database, roles } = bot
    const buttons = createButtons(database, clock)
    const meanwhile = { press: (): void => {} }
    const slow: Pick<Buttons, 'find' | 'spend'> = {
      find(id) {
        const found = buttons.find(id)
        meanwhile.press()
        return found
      },
      spend: (id) => buttons.spend(id),
    }
    const groups = { refresh: async () => {}, groupsOf: () => new Set<string>() }
    const authority = createAuthority({ bot, roles, groups, buttons: slow, modals: createOpenModals(database, clock) })
    run((id, user) => authority.press(id, { user, userName: user, channel: 'C1' }).kind, buttons, meanwhile)
  }

  test('of a single-use button is accepted once, and only with its role', () =>
    deciding((press, buttons) => {
      const id = buttons.register(CANCEL, true)
      expect(['UVIEW', 'UOPER', 'UOPER', 'UVIEW'].map((user) => press(id, user))).toEqual(['forbidden', 'press', 'used', 'used'])
      const lasting = buttons.register(CANCEL, false)
      expect(['UVIEW', 'UOPER', 'UOPER'].map((user) => press(lasting, user))).toEqual(['forbidden', 'press', 'press'])
    }))

  test('is refused when another process accepts one in between', () =>
    deciding((press, buttons, meanwhile) => {
      const id = buttons.register(CANCEL, true)
      meanwhile.press = () => void buttons.spend(id)
      expect(press(id, 'UOPER')).toBe('used')
    }))
})
