// What a person can do with a store or an image: every command of the table that takes it as its first target and that the person may run.

/** @jsxImportSource hono/jsx */

import type { Command, CommandContext } from '../commands/command.ts'
import { permit } from '../commands/permit.ts'
import { spelled } from '../commands/record.ts'
import type { Html, RowAction } from '../../protocol/views/html/html.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import { statusWord } from '../../protocol/views/phrases.ts'
import type { Row, View } from '../../protocol/views/view.ts'
import { pathOf } from './command-words.ts'
import { NAMED_PLACES } from './places.ts'
import type { NamedPlace } from './places.ts'
import { addressOf, isOpenTo } from './tabs.tsx'

interface OfferedParts {
  readonly context: CommandContext
  readonly place: NamedPlace
  readonly name: string
  /** What the place says of the thing. */
  readonly view: View | undefined
}

/** What a person can do with one thing, on its page. */
export function Offered({ context, place, name, view }: OfferedParts): Html {
  const actions = actionsOn(context, place, { name, status: view?.fields.find(({ label }) => label === 'Status')?.value })
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
  return place && name !== undefined ? actionsOn(context, place, { name, status: cells['status'] }) : []
}

interface OfferedAction extends RowAction {
  readonly title?: string
}

/** What commands for an image in the recycle bin take. */
const DELETED: readonly Subject[] = ['deleted-image', 'any-image']

/** A store or an image, and its status as its row or its page says it. */
interface Thing {
  readonly name: string
  readonly status: string | undefined
}

function actionsOn(context: CommandContext, place: NamedPlace, { name, status }: Thing): OfferedAction[] {
  const subjects: readonly Subject[] = status === statusWord('deleted') ? DELETED : [place.subject]
  const input = { targets: [name], options: {}, flags: new Set<string>(), confirm: [], plan: undefined }
  const commands = context.commands.filter((command) => {
    const [first, ...others] = command.targets
    const isMeant = first !== undefined && subjects.includes(first.subject) && others.every(({ optional }) => optional) && spelled(command) !== place.shows
    return isMeant && permit(context, command, input).kind === 'permitted'
  })
  const tabs = place.tabs.filter((tab) => tab.needs !== undefined && isOpenTo(context, place, name, tab))
  return [
    ...tabs.map((tab) => ({ label: tab.label, href: addressOf(place, name, tab), isDanger: false })),
    ...commands.map((command) => ({ label: spelled(command), href: pathOf(command, [name]), isDanger: command.effect === 'destroy', title: command.summary })),
  ]
}
