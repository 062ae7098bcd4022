// The form of a command, made from its declaration: one field for each target, option and flag. A modal in Slack and a page in a browser show the same fields, and
// what a person fills in becomes the line that they could have typed.

import type { Command, CommandInput, OptionSpec, TargetSpec } from './command.ts'
import type { CommandForm, FormField, FormValues, Subject } from '../../protocol/views/form-field.ts'
import { findTerm } from './help/terms/terms.ts'
import { quoteOption, quoteWord } from '../views/quote.ts'

/** Subjects of which the bot knows the names. */
const PICKED: ReadonlySet<Subject> = new Set(['policy', 'store', 'image', 'deleted-image', 'any-image', 'task', 'zone'])
/** Labels of targets that the usage line shortens to a letter. */
const SUBJECT_LABELS: Partial<Record<Subject, string>> = {
  policy: 'Policy',
  store: 'Store',
  image: 'Image',
  'deleted-image': 'Image',
  'any-image': 'Image',
  task: 'Task',
  upload: 'Upload',
  schedule: 'Schedule',
  zone: 'Zone',
}
/** Labels of options whose key is no word. */
const SPELLED: Readonly<Record<string, string>> = { url: 'URL', os: 'Operating system', cpus: 'CPUs', cloudInit: 'Cloud-init' }

/** Returns the form of a command. Files of this machine are not in it: only the console reads them. */
export function formOf(command: Command): CommandForm {
  const { noun, verb, targets, options, flags, form } = command
  const fields = [
    ...targets.filter(({ subject }) => subject !== 'path').map((target) => targetField(command, target)),
    ...Object.entries(options).map(([key, option]) => optionField(command, key, option)),
    ...Object.entries(flags).map(([flag, about]) => flagField(flag, about)),
  ].filter(({ key }) => !form?.without?.includes(key))
  const name = `${noun} ${verb}`.trim()
  return {
    command: name,
    title: form?.title ?? upperFirst(name),
    submit: form?.submit ?? upperFirst(verb === '' ? noun : verb),
    fields: [...fields.filter((field) => field.isRequired), ...fields.filter((field) => !field.isRequired)],
  }
}

/**
 * Returns the line that runs a command with these values, as if it had been typed. Empty values are left out; a value that is the same as in `before` is left out
 * too, and an option that was emptied is given as empty. A field without a value stays as it was.
 */
export function lineOf(command: Command, values: FormValues, before: FormValues = {}): string {
  const { noun, verb, targets, options, flags } = command
  const words = [noun, verb].filter((word) => word !== '')
  const given = targets.map(({ name }) => listOf(values[name]))
  const last = given.findLastIndex((list) => list.length > 0)
  // An empty target before a given one keeps its place, so that the others do not take it.
  for (const list of given.slice(0, last + 1)) words.push(...(list.length === 0 ? [''] : list).map(quoteWord))
  for (const key of Object.keys(options)) {
    const value = textOf(values[key])
    if (values[key] === undefined || value === textOf(before[key])) continue
    words.push(value === '' ? `${key}=""` : quoteOption(key, value))
  }
  for (const flag of Object.keys(flags)) if (textOf(values[`--${flag}`]) === 'true') words.push(`--${flag}`)
  return words.join(' ')
}

/** Returns what a parsed line gives the fields; secrets are left out. */
export function valuesOf(
  command: Command,
  { targets, options, flags }: Pick<CommandInput, 'targets' | 'options' | 'flags'>,
): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {}
  for (const [i, target] of command.targets.entries()) {
    const given = target.many ? targets.slice(i) : targets.slice(i, i + 1)
    if (given.length > 0 && !target.secret) values[target.name] = target.many ? given : (given[0] ?? '')
    if (target.many) break
  }
  for (const [key, value] of Object.entries(options)) if (value !== undefined && !command.options[key]?.secret) values[key] = value
  for (const flag of flags) values[`--${flag}`] = 'true'
  return values
}

/**
 * Returns the key of the field that a refusal is about: the option that its first words name, or the field whose value it repeats in quotes. Undefined for a refusal
 * of the whole.
 */
export function fieldRefused(fields: readonly FormField[], values: FormValues, detail: string): string | undefined {
  const named = /^(?:\w[\w-]* \w[\w-]* needs )?([a-z][\w-]*)(?:=|: )/i.exec(detail)?.[1]
  if (fields.some(({ key }) => key === named)) return named
  const repeated = fields.filter(({ key, isSecret }) => !isSecret && listOf(values[key]).some((value) => detail.includes(`"${value}"`)))
  // The longest value is the most certain one.
  return repeated.toSorted((a, b) => textOf(values[b.key]).length - textOf(values[a.key]).length)[0]?.key
}

function targetField({ noun, verb }: Command, { name, about, subject, optional, many, secret, choices }: TargetSpec): FormField {
  const label = SUBJECT_LABELS[subject] ?? upperFirst(name.replaceAll('"', '').toLowerCase())
  return {
    key: name,
    label,
    hint: hintOf(about, { noun, verb, label }),
    kind: choices ? 'choice' : PICKED.has(subject) ? 'pick' : 'text',
    subject,
    choices: choices ?? [],
    example: undefined,
    isRequired: !optional,
    isSecret: secret ?? false,
    isMany: many ?? false,
  }
}

function optionField({ noun, verb }: Command, key: string, option: OptionSpec): FormField {
  const { about, value, subject = 'text', secret, isRequired, isMany } = option
  const choices = option.choices ?? (value === 'true|false' || value === 'on|off' ? value.split('|') : [])
  const label = option.label ?? labelOf(key)
  return {
    key,
    label,
    hint: hintOf(about, { noun, verb, label }),
    kind: choices.length > 0 ? 'choice' : PICKED.has(subject) ? 'pick' : 'text',
    subject,
    choices,
    example: choices.length === 0 && /[a-z\d]/.test(value) ? value.replaceAll('"', '').replaceAll('|', ' or ') : undefined,
    isRequired: isRequired ?? false,
    isSecret: secret ?? false,
    isMany: isMany ?? false,
  }
}

function flagField(flag: string, about: string): FormField {
  const common = { subject: 'text', choices: [], example: undefined, isRequired: false, isSecret: false, isMany: false } as const
  return { key: `--${flag}`, label: labelOf(flag), hint: sentence(about), kind: 'switch', ...common }
}

/** `sync-hours` is `Sync hours`, `mediaGroup` is `Media group`. */
function labelOf(key: string): string {
  return (
    SPELLED[key] ??
    upperFirst(
      key
        .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
        .replaceAll('-', ' ')
        .toLowerCase(),
    )
  )
}

/** What the declaration says; where that only repeats the label, what help says of the column or field of this name. */
function hintOf(about: string, { noun, verb, label }: { readonly noun: string; readonly verb: string; readonly label: string }): string {
  const means = about.toLowerCase() === label.toLowerCase() ? findTerm(noun, verb, label)?.term.means : undefined
  return sentence(means ?? about)
}

function sentence(about: string): string {
  return /[.!?]$/.test(about) ? upperFirst(about) : `${upperFirst(about)}.`
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function listOf(value: FormValues[string]): readonly string[] {
  return (typeof value === 'string' ? [value] : (value ?? [])).map((one) => one.trim()).filter((one) => one !== '')
}

function textOf(value: FormValues[string]): string {
  return listOf(value).join(',')
}
