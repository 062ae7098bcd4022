// Renders Views as Slack messages. Each button is registered with the role that its command needs, and with whether it can be used once
// or repeatedly.

import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import type { CommandContext } from '../commands/command.ts'
import { parseLine } from '../commands/run.ts'
import type { Clock } from '../system/clock.ts'
import { codeSection, renderMessage } from '../views/blocks.ts'
import type { Press, SlackMessage } from '../views/blocks.ts'
import type { View } from '../../protocol/views/view.ts'
import { plainJson } from '../../protocol/views/phrases.ts'
import type { Buttons } from './buttons.ts'

export interface MessageDeps {
  readonly commands: CommandContext['commands']
  readonly clock: Pick<Clock, 'nowMs'>
  readonly buttons: Pick<Buttons, 'register'>
}

/** Renders a View with its buttons; `command` is the line that it answers, empty for none. */
export type RenderView = (view: View, command?: string, page?: number) => SlackMessage

/** Creates the renderer of one workspace. */
export function createRenderer(deps: MessageDeps): RenderView {
  const register = createRegister(deps)
  return (view, command = '', page = 0) => renderMessage(view, { nowMs: deps.clock.nowMs(), page, command, register })
}

/** Creates the function that stores what a button does and returns its opaque id. */
export function createRegister({ commands, buttons }: Pick<MessageDeps, 'commands' | 'buttons'>): (press: Press) => string {
  return (press) => {
    const parsed = parseLine({ commands }, press.command)
    const command = parsed.kind === 'command' ? parsed.command : parsed.lacks?.command
    // A button that opens the confirmation of a destructive command changes nothing by itself and can be pressed again; each choice of a picker is another one.
    const isSingleUse = press.opens === undefined && press.picks === undefined && command?.effect === 'write' && !command.isRepeatable
    return buttons.register({ ...press, role: higherRole(press.role, command?.role ?? press.role) }, isSingleUse)
  }
}

/** The JSON of a View in a code block. */
export function jsonMessage(view: View): SlackMessage {
  return { text: view.title, blocks: [codeSection(plainJson(JSON.stringify(view.json, null, 1)))] }
}

function higherRole(one: Role, other: Role): Role {
  return roleIncludes(one, other) ? one : other
}
