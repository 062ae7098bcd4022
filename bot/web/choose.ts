// Several rows of a place, chosen by their boxes, for the commands that take several. A row is a copy of an image in a store. The boxes lead to the address of the
// command with the ids as its targets, and with the store when all chosen copies lie in one: there the command shows its form or its one plan, and checks role and ids
// like those of any line.

import type { Choice, ChoiceButton } from '../../protocol/views/html/html.ts'
import { ROWS_PER_PAGE } from '../../protocol/views/html/row-window.ts'
import { plural, statusWord } from '../../protocol/views/phrases.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { mayRun } from '../commands/permit.ts'
import type { CommandRequest } from './command-words.ts'
import { hrefOf, pathOf } from './command-words.ts'
import type { Part } from './parts.tsx'

/** Name of the boxes. */
const CHOSEN_FIELD = '_chosen'
/** The only targets that boxes give. */
const IMAGE_ID = /^img_[0-9A-Za-z]{1,64}$/
/** Ends the value of a copy of which the list has another one: its id alone does not say which one is meant. */
const OF_SEVERAL = '!'
/** An id, the store of the copy, and whether the list has another copy. */
const VALUE = /^(img_[0-9A-Za-z]{1,64})@([^@!]{0,256})(!?)$/

/** The boxes and buttons of a part; undefined when its rows are not chosen, or when the person may run nothing on them. */
export function choiceOf(context: CommandContext, { chooses, view }: Pick<Part, 'chooses' | 'view'>): Choice | undefined {
  if (chooses === undefined) return undefined
  const copies = Map.groupBy(view.rows, ({ cells }) => cells['id'] ?? '')
  const valueOf: Choice['valueOf'] = ({ cells }) => {
    const { id = '', name = id, store = '' } = cells
    if (!IMAGE_ID.test(id)) return undefined
    const isOneOfSeveral = (copies.get(id)?.length ?? 0) > 1
    return { value: `${id}@${store}${isOneOfSeveral ? OF_SEVERAL : ''}`, name, key: `${encodeURIComponent(store)}-${id}` }
  }
  const rows = view.rows.filter((row) => valueOf(row) !== undefined)
  const deleted = rows.filter((row) => row.cells['status'] === statusWord('deleted')).length
  const subjects = new Set<Subject>(rows.length === 0 ? [] : ['any-image'])
  if (deleted > 0) subjects.add('deleted-image')
  if (deleted < rows.length) subjects.add('image')
  const buttons = context.commands.filter((command) => takesSeveral(command, subjects) && mayRun(context, command)).map(buttonOf)
  return buttons.length === 0 ? undefined : { field: CHOSEN_FIELD, valueOf, buttons }
}

function takesSeveral({ effect, targets: [first, ...others] }: Command, subjects: ReadonlySet<Subject>): boolean {
  return effect !== 'read' && first?.many === true && subjects.has(first.subject) && others.every(({ optional }) => optional)
}

function buttonOf(command: Command): ChoiceButton {
  return {
    label: command.verb.charAt(0).toUpperCase() + command.verb.slice(1),
    about: command.summary,
    path: pathOf(command, []),
    isDanger: command.effect === 'destroy',
  }
}

/** What the boxes of a request lead to, or why they lead nowhere. */
export type Chosen = { readonly kind: 'address'; readonly href: string } | ChosenRefusal

export interface ChosenRefusal {
  readonly kind: 'refused'
  readonly text: string
  /** What can be done instead: the copies of one store each. */
  readonly ways: readonly { readonly label: string; readonly href: string }[]
}

/** Reads the boxes of a request; undefined for one that comes from no boxes. */
export function chosenIn({ command, fields }: Pick<CommandRequest, 'command' | 'fields'>): Chosen | undefined {
  const given = fields.flatMap(([name, value]) => (name === CHOSEN_FIELD ? [value] : []))
  if (given.length === 0) return undefined
  const values = [...new Set(given.filter((value) => value !== ''))]
  const refused = (text: string, ways: ChosenRefusal['ways'] = []): Chosen => ({ kind: 'refused', text, ways })
  if (values.length === 0)
    return refused('Nothing was chosen, so there is nothing to do. Go back and check the box of each image that you mean, or name them here.')
  if (values.length > ROWS_PER_PAGE)
    return refused(`${plural(values.length, 'image')} were chosen; at most ${ROWS_PER_PAGE} can be, which is one page of a list. Go back and choose fewer.`)
  const copies = values.flatMap((value) => {
    const [, id = '', store = '', several = ''] = VALUE.exec(value) ?? []
    return id === '' ? [] : [{ id, store, isOneOfSeveral: several !== '' }]
  })
  if (copies.length < values.length) return refused('What was chosen is not the id of an image. Go back, load the list again and choose again.')
  const own = Object.fromEntries(fields.filter(([name, value]) => name in command.options && value !== ''))
  const hrefTo = (ids: readonly string[], options: Readonly<Record<string, string>>): string =>
    hrefOf(command, { targets: [...new Set(ids)], options: { ...own, ...options }, flags: new Set(), confirm: [], plan: undefined })
  const idsOf = (some: typeof copies): string[] => some.map(({ id }) => id)
  // The option by which the command is told whose copy is meant.
  const key = ['store', 'from'].find((option) => option in command.options)
  const byStore = Map.groupBy(copies, ({ store }) => store)
  const [store = ''] = byStore.keys()
  if (key === undefined || store === '') return { kind: 'address', href: hrefTo(idsOf(copies), {}) }
  if (byStore.size === 1) return { kind: 'address', href: hrefTo(idsOf(copies), { [key]: store }) }
  if (!copies.some(({ isOneOfSeveral }) => isOneOfSeveral)) return { kind: 'address', href: hrefTo(idsOf(copies), {}) }
  return refused(
    `The chosen copies lie in ${plural(byStore.size, 'store')}, and some of these images have copies in several. Choose whose copies are meant; nothing was changed.`,
    [...byStore].map(([name, some]) => ({ label: `${plural(some.length, 'image')} in ${name}`, href: hrefTo(idsOf(some), { [key]: name }) })),
  )
}
