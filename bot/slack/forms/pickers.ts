// The options of pickers, in messages and in forms: what the bot itself knows, for the person who searches. Slack waits three seconds for them.

import type { PlainTextOption } from '@slack/types'
import type { CommandContext } from '../../commands/command.ts'
import { formOf } from '../../commands/form.ts'
import type { FormValues } from '../../../protocol/views/form-field.ts'
import { parseLine } from '../../commands/run.ts'
import { suggest } from '../../commands/suggest.ts'
import type { Wanted } from '../../commands/suggest.ts'
import type { OpenBot } from '../../open.ts'
import { limitText, OPTION_TEXT_MAX, OPTION_VALUE_MAX, SELECT_OPTIONS_MAX } from '../../views/slack-limits.ts'
import { plainText, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { Asker, Authority } from '../authorise.ts'
import type { Buttons } from '../buttons.ts'
import type { OpenModals } from '../open-modals.ts'

/** A picker in a message, by the opaque id of what a choice does; or a field of a form, with what is filled in. */
export type PickerPlace = { readonly button: string } | { readonly modal: string; readonly key: string; readonly filled: FormValues }

export interface Pickers {
  /** Returns the options for what was typed; none for a picker that is unknown, has expired, or whose command the person may not run. */
  options(place: PickerPlace, typed: string, asker: Asker): Promise<PlainTextOption[]>
}

export interface PickersDeps {
  readonly bot: Pick<OpenBot, 'context'>
  readonly authority: Pick<Authority, 'refresh' | 'actorOf'>
  readonly buttons: Pick<Buttons, 'find'>
  readonly modals: Pick<OpenModals, 'find'>
}

/** Creates the pickers of one workspace. */
export function createPickers({ bot, authority, buttons, modals }: PickersDeps): Pickers {
  return {
    async options(place, typed, asker) {
      await authority.refresh()
      const contextIn = (channel: string): CommandContext => ({ ...bot.context(authority.actorOf({ ...asker, channel }), 'slack'), channel })
      if ('button' in place) {
        const picks = buttons.find(place.button)?.press
        const context = contextIn(asker.channel)
        const parsed = picks && parseLine(context, picks.command)
        const command = parsed?.kind === 'command' ? parsed.command : parsed?.lacks?.command
        return picks?.picks && command ? optionsOf(context, { command, subject: picks.picks.subject, typed }) : []
      }
      const modal = modals.find(place.modal)
      if (modal?.user !== asker.user) return []
      const context = contextIn(modal.channel)
      const command = context.commands.find(({ noun, verb }) => `${noun} ${verb}`.trim() === modal.command)
      const field = command && formOf(command).fields.find(({ key }) => key === place.key)
      if (!command || field?.kind !== 'pick') return []
      // A store outside the zone that was chosen is not offered.
      const { zone } = place.filled
      const isOfZone = field.subject === 'store' && typeof zone === 'string' && zone !== ''
      return optionsOf(context, { command, subject: field.subject, typed, ...(isOfZone ? { zone } : {}) })
    },
  }
}

async function optionsOf(context: CommandContext, wanted: Wanted): Promise<PlainTextOption[]> {
  const found = await suggest(context, wanted)
  return found
    .filter(({ value }) => value.length > 0 && value.length <= OPTION_VALUE_MAX)
    .slice(0, SELECT_OPTIONS_MAX)
    .map(({ value, label }) => ({ text: { type: 'plain_text', text: limitText(plainText(label), OPTION_TEXT_MAX) || UNKNOWN, emoji: false }, value }))
}
