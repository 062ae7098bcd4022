// What a person fills in of a command, without layout: the fields of its form, and their values.

/** What a word names; completion and pickers use it. */
export type Subject = 'policy' | 'store' | 'image' | 'deleted-image' | 'any-image' | 'task' | 'upload' | 'schedule' | 'zone' | 'noun' | 'verb' | 'path' | 'text'

/**
 * How a field is filled in: `text` is typed, `choice` is one of `choices`, `switch` is on or off, and `pick` is searched for among what the bot knows of its
 * `subject`. A text may also be typed into a `pick`.
 */
export type FieldKind = 'text' | 'choice' | 'switch' | 'pick'

/** One field of a form. */
export interface FormField {
  /** The name of the option (`zone`), the target (`S`) or the flag (`--dry-run`), as in the usage line; unique in a form. */
  readonly key: string
  readonly label: string
  /** What it is for, as a sentence. */
  readonly hint: string
  readonly kind: FieldKind
  readonly subject: Subject
  /** Values of a `choice`, else empty. */
  readonly choices: readonly string[]
  /** What a value looks like, such as `50GB`; undefined when the hint says it. */
  readonly example: string | undefined
  readonly isRequired: boolean
  /** Is never shown again after it was filled in. */
  readonly isSecret: boolean
  /** Takes several values. */
  readonly isMany: boolean
}

/** The form of a command. */
export interface CommandForm {
  /** `store add`. */
  readonly command: string
  readonly title: string
  readonly submit: string
  readonly fields: readonly FormField[]
}

/** What a person filled in, by the keys of the fields. A switch that is on is `true`. */
export type FormValues = Readonly<Record<string, string | readonly string[] | undefined>>
