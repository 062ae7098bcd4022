// What a person can do with a store or an image: every command of the table that takes it as its first target and that the person may run.

/** @jsxImportSource hono/jsx */

import type { Command, CommandContext } from '../commands/command.ts'
import { permit } from '../commands/permit.ts'
import { spelled } from '../commands/record.ts'
import type { Html, RowAction } from '../../protocol/views/html/html.ts'
import type { Row } from '../../protocol/views/view.ts'
import { pathOf } from './command-words.ts'
import { NAMED_PLACES } from './places.ts'
import type { NamedPlace } from './places.ts'
import { addressOf, isOpenTo } from './tabs.tsx'

/** What a person can do with one thing, on its page. */
export function Offered({ context, place, name }: { readonly context: CommandContext; readonly place: NamedPlace; readonly name: string }): Html {
  const actions = actionsOn(context, place, name)
  if (actions.length === 0) return <></>
  return (
    <section aria-labelledby="offered">
      <h2 id="offered">What you can do</h2>
      <ul class="actions">
        {actions.map(({ label, href, isDanger, title }) => (
          <li>
            <a class={`button ${isDanger ? 'danger' : ''}`} href={href} {...(title === undefined ? {} : { title })}>
              {label}
            </a>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** What a person can do with what a row of a list names; nothing in other tables. */
export function rowActions(context: CommandContext, { noun, verb }: Pick<Command, 'noun' | 'verb'>, { cells }: Row): readonly RowAction[] {
  const place = verb === 'list' ? NAMED_PLACES.find(({ subject }) => subject === noun) : undefined
  const name = noun === 'store' ? cells['name'] : cells['id']
  return place && name !== undefined ? actionsOn(context, place, name) : []
}

interface OfferedAction extends RowAction {
  readonly title?: string
}

function actionsOn(context: CommandContext, place: NamedPlace, name: string): OfferedAction[] {
  const input = { targets: [name], options: {}, flags: new Set<string>(), confirm: [], plan: undefined }
  const commands = context.commands.filter((command) => {
    const [first, ...others] = command.targets
    const isMeant = first?.subject === place.subject && others.every(({ optional }) => optional) && spelled(command) !== place.shows
    return isMeant && permit(context, command, input).kind === 'permitted'
  })
  const tabs = place.tabs.filter((tab) => tab.needs !== undefined && isOpenTo(context, place, name, tab))
  return [
    ...tabs.map((tab) => ({ label: tab.label, href: addressOf(place, name, tab), isDanger: false })),
    ...commands.map((command) => ({ label: spelled(command), href: pathOf(command, [name]), isDanger: command.effect === 'destroy', title: command.summary })),
  ]
}
