// The answer of a command without layout, and what the page of an agent shows. Block Kit, terminal, HTML and JSON are rendered from the same
// View, so an operator reads the same facts everywhere.

import type { Role } from '../access.ts'
import type { Task } from '../task.ts'
import type { Chart } from './chart.ts'
import type { CommandForm, FormValues, Subject } from './form-field.ts'

/** How a command ended: `unclear` was not understood, `refused` changed nothing, `failed` may have changed something. */
export type Outcome = 'done' | 'refused' | 'failed' | 'unclear'

/** How good or bad a fact is. Every renderer shows it as a glyph next to words, never by colour alone. */
export type Tone = 'good' | 'warning' | 'bad' | 'plain'

export interface Column {
  readonly key: string
  readonly label: string
  readonly align?: 'right'
  /** Names, ids and addresses: never wrapped, so that they can be copied. */
  readonly isWhole?: true
  /** Dropped when the table is too wide for the terminal, the last such column first. */
  readonly isMinor?: true
  /** In Slack, stands beside the first cell, bare or with its label. */
  readonly beside?: 'bare' | 'labelled'
  /** A sentence: in Slack it has a line of its own. */
  readonly isLine?: true
}

export interface Row {
  readonly tone?: Tone
  /** Text by column key. */
  readonly cells: Readonly<Record<string, string>>
  /** The command that shows what the row names, where that is not the `show` of its noun: pages make a link of the first cell. */
  readonly opens?: string
  /** The file of a store that the row names, for those who may download it. */
  readonly file?: StoreFile
}

/** A file of a mount path. */
export interface StoreFile {
  readonly store: string
  readonly path: string
}

export interface Field {
  readonly label: string
  readonly value: string
  readonly tone?: Tone
  /** A sentence: in Slack it has a line of its own. */
  readonly isLine?: true
}

/** A command to run next: a button in Slack, a suggestion in the console. */
export interface Action {
  readonly label: string
  readonly command: string
  readonly role: Role
  readonly style?: 'primary' | 'danger'
}

export interface ChecklistItem {
  readonly label: string
  readonly passed: boolean
  /** What was found and, when it did not pass, what to do. */
  readonly detail: string
}

/** A destructive command that waits for the typed name. */
export interface Confirm {
  /** The text to type. */
  readonly name: string
  readonly question: string
  /** Figures of the plan: bytes, copies, duration. */
  readonly promises?: readonly { readonly label: string; readonly value: string }[]
  readonly checklist: readonly ChecklistItem[]
  /** The command to which `--confirm NAME` is added; it contains the fingerprint of the plan that was shown. */
  readonly command: string
}

/** Input that a command asks for. What is filled in becomes a line with lineOf. */
export interface Form extends CommandForm {
  /** The line that opens it, without secrets. */
  readonly line: string
  /** What the person gave before, without secrets; a target that is not among the fields cannot be changed. */
  readonly values: FormValues
  /** What options are now: one that stays the same is not given to the command. */
  readonly before: FormValues
}

/** A target or an option that a command lacks and that can be searched for among what the bot knows. */
export interface Picker {
  readonly label: string
  readonly subject: Subject
  /** The command to which the choice is added, as `key=`; as a target if `key` is empty. */
  readonly command: string
  readonly key: string
}

/** A running task and the store it runs in. */
export interface FollowedTask {
  readonly store: string
  readonly task: Task
}

/** An upload link whose upload a card in the channel follows. The card does not show the link. */
export interface FollowedLink {
  readonly store: string
  /** Id of the link, which is no secret. */
  readonly id: string
  /** Name of the image; null if the client chooses it. */
  readonly name: string | null
  readonly maxLength: number | null
  readonly expiresAt: string
  /** Who asked for the link. */
  readonly by: string
}

/** Where the rows of a View are among all, when it has those of one page only. */
export interface Cut {
  /** Rows before the first. */
  readonly offset: number
  /** Rows that have the words of the filter, of all. */
  readonly found: number
  readonly all: number
}

export interface View {
  readonly outcome: Outcome
  readonly title: string
  /** One sentence: what happened, or why nothing did. */
  readonly text: string
  readonly tone: Tone
  readonly fields: readonly Field[]
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  /** Absent when it has all rows. */
  readonly cut?: Cut
  /** Tasks that the command has started: the console and a card follow them to their end. */
  readonly progress: readonly FollowedTask[]
  /** Tasks that a page draws as bars, besides those in progress. */
  readonly bars?: readonly FollowedTask[]
  /** The line of a command that shows how work in progress goes on; absent when there is none, or no such command. */
  readonly watch?: string
  readonly actions: readonly Action[]
  readonly notes: readonly string[]
  /** Contains a secret such as a link: shown only to the person who asked. */
  readonly isPrivate: boolean
  readonly form?: Form
  readonly picker?: Picker
  readonly confirm?: Confirm
  readonly followedLink?: FollowedLink
  /** What changed over time. The rows say the same in figures. */
  readonly charts?: readonly Chart[]
  /** A text to copy: the whole output of the console, a code block in Slack. */
  readonly document?: string
  /** The time of the oldest fact in it, in milliseconds since 1970. */
  readonly asOfMs: number
  /** The facts that `--json` prints. */
  readonly json: unknown
}

export type ViewDraft = Partial<View> & { readonly [Key in 'title' | 'asOfMs' | 'json']: View[Key] }

/** Completes a View with empty values. */
export function makeView(draft: ViewDraft): View {
  return { outcome: 'done', text: '', tone: 'plain', fields: [], columns: [], rows: [], progress: [], actions: [], notes: [], isPrivate: false, ...draft }
}
