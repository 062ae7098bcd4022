// Decides what people may do in Slack; no other file does. The role of a person follows from the grants of the bot, the groups of the person, and the channel. For
// buttons and modals, expiry, earlier use and role are checked first; only then is the button or modal spent, so a refused press does not use it up.

import type { Role } from '../../protocol/access.ts'
import { roleIncludes } from '../../protocol/access.ts'
import { permit } from '../commands/permit.ts'
import { roleOf } from '../access/role-of.ts'
import type { Roles } from '../access/roles.ts'
import type { CommandActor, CommandContext } from '../commands/command.ts'
import { parseLine } from '../commands/run.ts'
import type { OpenBot } from '../open.ts'
import type { Press } from '../views/blocks.ts'
import type { Buttons } from './buttons.ts'
import type { Exchange } from './exchange.ts'
import type { Groups } from './groups.ts'
import type { OpenModal, OpenModals } from './open-modals.ts'

/** Why a press or a submission is refused. */
export type Denial = { readonly kind: 'expired' } | { readonly kind: 'used' } | { readonly kind: 'forbidden'; readonly needs: Role; readonly has: Role }

/** Who asks, and where. */
export type Asker = Pick<Exchange, 'user' | 'userName' | 'channel'>

export interface Authority {
  /** Asks Slack for the groups that grants name, unless their members are known and recent. Called before a decision. */
  refresh(): Promise<void>
  /** The person with the roles that count in the channel. */
  actorOf(asker: Asker): CommandActor
  /** Decides on a pressed button; an allowed press of a single-use button spends it. */
  press(id: string, asker: Asker): { readonly kind: 'press'; readonly press: Press } | Denial
  /** Decides on a submitted modal, for the channel in which it was opened; an allowed submission spends it. */
  submit(id: string, asker: Asker): { readonly kind: 'submit'; readonly modal: OpenModal } | Denial
}

export interface AuthorityDeps {
  readonly bot: Pick<OpenBot, 'context'>
  readonly roles: Pick<Roles, 'list' | 'groups'>
  readonly groups: Groups
  readonly buttons: Pick<Buttons, 'find' | 'spend'>
  readonly modals: Pick<OpenModals, 'find' | 'spend'>
}

/** Creates the authority of one workspace. */
export function createAuthority({ bot, roles, groups, buttons, modals }: AuthorityDeps): Authority {
  const actorOf = ({ user, userName, channel }: Asker): CommandActor => {
    const person = { user, groups: groups.groupsOf(user) }
    const grants = roles.list()
    return {
      id: user,
      name: `${userName} (${user})`,
      role: roleOf(grants, person, { channel }),
      roleIn: (store) => roleOf(grants, person, { channel, zone: store.zone, store: store.name }),
    }
  }
  const forbidden = (asker: Asker, line: string, needs: Role): Denial | undefined => {
    const context: CommandContext = bot.context(actorOf(asker), 'slack')
    const parsed = parseLine(context, line)
    const { role } = context.actor
    const { command, input } = parsed.kind === 'command' ? parsed : (parsed.lacks ?? {})
    if (!command || !input) return roleIncludes(role, needs) ? undefined : { kind: 'forbidden', needs, has: role }
    const permission = permit(context, command, input, needs)
    return permission.kind === 'permitted' ? undefined : { kind: 'forbidden', needs, has: permission.has }
  }
  return {
    refresh: () => groups.refresh(roles.groups()),
    actorOf,
    press(id, asker) {
      const button = buttons.find(id)
      if (!button) return { kind: 'expired' }
      if (button.isSingleUse && button.isSpent) return { kind: 'used' }
      const denial = forbidden(asker, button.press.command, button.press.role)
      if (denial) return denial
      // Two people may press at the same time: only one of them spends the button.
      if (button.isSingleUse && !buttons.spend(id)) return { kind: 'used' }
      return { kind: 'press', press: button.press }
    },
    submit(id, asker) {
      const modal = modals.find(id)
      if (modal?.user !== asker.user) return { kind: 'expired' }
      const denial = forbidden({ ...asker, channel: modal.channel }, modal.command, modal.role)
      if (denial) return denial
      return modals.spend(id) ? { kind: 'submit', modal } : { kind: 'used' }
    },
  }
}
