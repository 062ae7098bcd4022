// Several rows of a place, chosen by their boxes, for the commands that take several. The boxes lead to the address of the command with the ids as its targets: there the
// command shows its form or its one plan, and checks role and ids like those of any line.

import type { Choice, ChoiceButton } from '../../protocol/views/html/html.ts'
import { ROWS_PER_PAGE } from '../../protocol/views/html/row-window.ts'
import { plural, statusWord } from '../../protocol/views/phrases.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import type { Row } from '../../protocol/views/view.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { mayRun } from '../commands/permit.ts'
import type { CommandRequest } from './command-words.ts'
import { hrefOf, pathOf } from './command-words.ts'
import type { Part } from './parts.tsx'

/** Name of the boxes. */
const CHOSEN_FIELD = '_chosen'
/** The only targets that boxes give. */
const IMAGE_ID = /^img_[0-9A-Za-z]{1,64}$/

/** The boxes and buttons of a part; undefined when its rows are not chosen, or when the person may run nothing on them. */
export function choiceOf(context: CommandContext, { chooses, view, values }: Pick<Part, 'chooses' | 'view' | 'values'>): Choice | undefined {
  if (chooses === undefined) return undefined
  const rows = view.rows.filter((row) => valueOf(row) !== undefined)
  const deleted = rows.filter((row) => row.cells['status'] === statusWord('deleted')).length
  const subjects = new Set<Subject>(rows.length === 0 ? [] : ['any-image'])
  if (deleted > 0) subjects.add('deleted-image')
  if (deleted < rows.length) subjects.add('image')
  const store = typeof values['store'] === 'string' ? values['store'] : undefined
  const buttons = context.commands.filter((command) => takesSeveral(command, subjects) && mayRun(context, command)).map((command) => buttonOf(command, store))
  return buttons.length === 0 ? undefined : { field: CHOSEN_FIELD, valueOf, buttons }
}

function valueOf({ cells }: Row): ReturnType<Choice['valueOf']> {
  const { id = '', name = id, store = '' } = cells
  return IMAGE_ID.test(id) ? { value: id, name, key: `${encodeURIComponent(store)}-${id}` } : undefined
}

function takesSeveral({ effect, targets: [first, ...others] }: Command, subjects: ReadonlySet<Subject>): boolean {
  return effect !== 'read' && first?.many === true && subjects.has(first.subject) && others.every(({ optional }) => optional)
}

/** The rows of one store mean its copies: the command is told so by the option that it has for that. */
function buttonOf(command: Command, store: string | undefined): ChoiceButton {
  const key = ['store', 'from'].find((option) => option in command.options)
  return {
    label: command.verb.charAt(0).toUpperCase() + command.verb.slice(1),
    about: command.summary,
    path: pathOf(command, []),
    isDanger: command.effect === 'destroy',
    field: key !== undefined && store !== undefined && store !== '' ? [key, store] : undefined,
  }
}

/** What the boxes of a request lead to, or why they lead nowhere. */
export type Chosen = { readonly kind: 'address'; readonly href: string } | { readonly kind: 'refused'; readonly text: string }

/** Reads the boxes of a request; undefined for one that comes from no boxes. */
export function chosenIn({ command, fields }: Pick<CommandRequest, 'command' | 'fields'>): Chosen | undefined {
  const given = fields.flatMap(([name, value]) => (name === CHOSEN_FIELD ? [value] : []))
  if (given.length === 0) return undefined
  const ids = [...new Set(given.filter((value) => value !== ''))]
  const refused = (text: string): Chosen => ({ kind: 'refused', text })
  if (ids.length === 0)
    return refused('Nothing was chosen, so there is nothing to do. Go back and check the box of each image that you mean, or name them here.')
  if (ids.length > ROWS_PER_PAGE)
    return refused(`${plural(ids.length, 'image')} were chosen; at most ${ROWS_PER_PAGE} can be, which is one page of a list. Go back and choose fewer.`)
  if (!ids.every((id) => IMAGE_ID.test(id))) return refused('What was chosen is not the id of an image. Go back, load the list again and choose again.')
  const options = Object.fromEntries(fields.filter(([name, value]) => name in command.options && value !== ''))
  return { kind: 'address', href: hrefOf(command, { targets: ids, options, flags: new Set(), confirm: [], plan: undefined }) }
}
