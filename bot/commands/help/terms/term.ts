// Explanations of what Views show: columns, fields and checks. `help NOUN VERB WORD` prints one.

/** What a column, a field or a check means. */
export interface Term {
  /** One or two sentences. */
  readonly means: string
  /** Absent for words, names and ids. */
  readonly unit?: string
  /** What it shows when nothing is wrong; absent when every value is normal. */
  readonly normal?: string
  /** What to do when it is not normal. */
  readonly action?: string
}

/** Explanations by the label that the person reads. `VERB LABEL` is one that a command of the noun uses in another sense. */
export type Terms = Readonly<Record<string, Term>>
