// What a command answers, free of any layout. Block Kit, terminal and JSON are made from the same View, so that an
// operator reads the same facts wherever the question was asked.

import type { Role } from '../../protocol/access.ts'
import type { Task } from '../../protocol/task.ts'

/** How a command ended: `unclear` was not understood and did nothing, `refused` did nothing, `failed` may have begun. */
export type Outcome = 'done' | 'refused' | 'failed' | 'unclear'

/** How a fact is to be felt. Every renderer shows it as a glyph beside words, never by colour alone. */
export type Tone = 'good' | 'warning' | 'bad' | 'plain'

export interface Column {
  readonly key: string
  readonly label: string
  readonly align?: 'right'
  /** Names, ids and addresses: never broken over lines, so that they can be copied. */
  readonly isWhole?: true
  /** Left out of a table that is too wide for the terminal, the last such column first. */
  readonly isMinor?: true
}

export interface Row {
  readonly tone?: Tone
  /** Text by column key. */
  readonly cells: Readonly<Record<string, string>>
}

export interface Field {
  readonly label: string
  readonly value: string
  readonly tone?: Tone
}

/** A command that makes sense next: a button in Slack, a suggestion in the console. */
export interface Action {
  readonly label: string
  readonly command: string
  readonly role: Role
  readonly style?: 'primary' | 'danger'
}

export interface ChecklistItem {
  readonly label: string
  readonly passed: boolean
  /** What was found; for one that did not pass also what to do. */
  readonly detail: string
}

/** A destroying command that waits for the typed name. */
export interface Confirm {
  /** What has to be typed. */
  readonly name: string
  readonly question: string
  readonly checklist: readonly ChecklistItem[]
  /** The command that does it once `--confirm NAME` is added; carries the fingerprint of the plan that was shown. */
  readonly command: string
}

export interface FormInput {
  readonly key: string
  readonly label: string
  readonly hint: string
  readonly required: boolean
  readonly secret?: boolean
  readonly initial?: string
}

/** Input that a command lacks. The answers are added to the command as `key=value`. */
export interface Form {
  readonly command: string
  readonly submit: string
  readonly inputs: readonly FormInput[]
}

/** A running task and the store it runs in. */
export interface FollowedTask {
  readonly store: string
  readonly task: Task
}

export interface View {
  readonly outcome: Outcome
  readonly title: string
  /** One sentence: what happened, or why not. */
  readonly text: string
  readonly tone: Tone
  readonly fields: readonly Field[]
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  readonly progress: readonly FollowedTask[]
  readonly actions: readonly Action[]
  readonly notes: readonly string[]
  /** Holds a secret such as a link: shown to the one who asked, never to a channel. */
  readonly isPrivate: boolean
  readonly form?: Form
  readonly confirm?: Confirm
  /** When the oldest fact in it was true, in milliseconds since 1970. */
  readonly asOfMs: number
  /** The facts as JSON: what `--json` prints. */
  readonly json: unknown
}

export type ViewDraft = Partial<View> & Pick<View, 'title' | 'asOfMs' | 'json'>

/** A View with everything left out filled in. */
export function makeView(draft: ViewDraft): View {
  return { outcome: 'done', text: '', tone: 'plain', fields: [], columns: [], rows: [], progress: [], actions: [], notes: [], isPrivate: false, ...draft }
}
