// Buttons of home tabs. A home tab is published again and again with the same buttons: each is registered once and used again, so that homes that
// many people look at displace no button of a card.

import type { Clock } from '../../system/clock.ts'
import type { Press } from '../../views/blocks.ts'
import { BUTTON_LIFE_MS } from '../buttons.ts'
import type { Buttons } from '../buttons.ts'

/** How long a registered button is used again, in milliseconds: one that a person sees has at least an hour left. */
const REUSE_MS = BUTTON_LIFE_MS - 3_600_000
/** Most buttons that are remembered; the oldest are forgotten first. */
export const REUSED_MAX = 5_000

/** Creates the registration of buttons that are used again until they expire or are spent. */
export function createReusedButtons(buttons: Pick<Buttons, 'register' | 'find'>, clock: Pick<Clock, 'nowMs'>): Pick<Buttons, 'register'> {
  const known = new Map<string, { readonly id: string; readonly untilMs: number }>()
  return {
    register(press: Press, isSingleUse: boolean) {
      const nowMs = clock.nowMs()
      const key = JSON.stringify([press.command, press.page, press.role, press.opens, isSingleUse])
      const found = known.get(key)
      const kept = found && found.untilMs > nowMs ? buttons.find(found.id) : undefined
      if (found && kept && !kept.isSpent) return found.id
      const id = buttons.register(press, isSingleUse)
      known.delete(key)
      known.set(key, { id, untilMs: nowMs + REUSE_MS })
      for (const oldest of known.keys()) {
        if (known.size <= REUSED_MAX) break
        known.delete(oldest)
      }
      return id
    },
  }
}
