// Decides who may press buttons and submit modals; no other file does. Expiry, earlier use and role are checked first; only then is the
// button or modal spent, so a refused press does not use it up.

import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import type { BotConfig } from '../config.ts'
import type { Press } from '../views/blocks.ts'
import type { Buttons } from './buttons.ts'
import type { OpenModal, OpenModals } from './open-modals.ts'

/** Why a press or a submission is refused. */
export type Denial = { readonly kind: 'expired' } | { readonly kind: 'used' } | { readonly kind: 'forbidden'; readonly needs: Role; readonly has: Role }

export interface Authority {
  /** The role of a person, by Slack id. */
  roleOf(user: string): Role
  /** Decides on a pressed button; an allowed press of a single-use button spends it. */
  press(id: string, user: string): { readonly kind: 'press'; readonly press: Press } | Denial
  /** Decides on a submitted modal; an allowed submission spends it. */
  submit(id: string, user: string): { readonly kind: 'submit'; readonly modal: OpenModal } | Denial
}

export interface AuthorityDeps {
  readonly buttons: Pick<Buttons, 'find' | 'spend'>
  readonly modals: Pick<OpenModals, 'find' | 'spend'>
  /** Slack ids of admins and operators; everyone else is a viewer. */
  readonly config: Pick<BotConfig, 'admins' | 'operators'>
}

/** Creates the authority of one workspace. */
export function createAuthority({ buttons, modals, config }: AuthorityDeps): Authority {
  const roleOf = (user: string): Role => (config.admins.has(user) ? 'admin' : config.operators.has(user) ? 'operator' : 'viewer')
  const forbidden = (user: string, needs: Role): Denial | undefined => {
    const has = roleOf(user)
    return roleIncludes(has, needs) ? undefined : { kind: 'forbidden', needs, has }
  }
  return {
    roleOf,
    press(id, user) {
      const button = buttons.find(id)
      if (!button) return { kind: 'expired' }
      if (button.isSingleUse && button.isSpent) return { kind: 'used' }
      const denial = forbidden(user, button.press.role)
      if (denial) return denial
      // Two people may press at the same time: only one of them spends the button.
      if (button.isSingleUse && !buttons.spend(id)) return { kind: 'used' }
      return { kind: 'press', press: button.press }
    },
    submit(id, user) {
      const modal = modals.find(id)
      if (modal?.user !== user) return { kind: 'expired' }
      const denial = forbidden(user, modal.role)
      if (denial) return denial
      return modals.spend(id) ? { kind: 'submit', modal } : { kind: 'used' }
    },
  }
}
