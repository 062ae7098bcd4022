// The stored buttons: they expire, and a single-use button is spent once.

import { describe, expect, test } from 'bun:test'
import { createAuthority } from '../../../bot/slack/authorise.ts'
import { BUTTON_LIFE_MS, createButtons } from '../../../bot/slack/buttons.ts'
import type { Buttons } from '../../../bot/slack/buttons.ts'
import { createOpenModals } from '../../../bot/slack/open-modals.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import type { Press } from '../../../bot/views/blocks.ts'
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

  test('is spent once', () =>
    withButtons((buttons, _clock, again) => {
      const [id, other] = [buttons.register(CANCEL, true), buttons.register(CANCEL, true)]
      expect([buttons.spend(id), buttons.spend(id), again().spend(id)]).toEqual([true, false, false])
      expect(buttons.find(id)?.isSpent).toBe(true)
      expect(buttons.find(other)?.isSpent).toBe(false)
      expect([buttons.spend('another'), buttons.spend(other)]).toEqual([false, true])
    }))
})

describe('a press', () => {
  const deciding = async (run: (press: (id: string, user: string) => string, buttons: Buttons, meanwhile: { press: () => void }) => void): Promise<void> => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    const clock = createManualClock()
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
    const config = { operators: new Set(['UOPER']), admins: new Set<string>() }
    const authority = createAuthority({ buttons: slow, modals: createOpenModals(database, clock), config })
    run((id, user) => authority.press(id, user).kind, buttons, meanwhile)
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
