// The form of a command, made from its declaration: each field with its explanation, and beside it what was wrong with its value. Secrets are never filled in again.

/** @jsxImportSource hono/jsx */

import { formOf } from '../commands/form.ts'
import type { FormField, FormValues } from '../../protocol/views/form-field.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { Hidden } from '../../protocol/views/html/forms.tsx'
import type { Html, HtmlOptions } from '../../protocol/views/html/html.ts'
import { Words } from '../../protocol/views/html/words.tsx'
import { pathOf } from './command-words.ts'

/** Most names that a field suggests: the search finds the others. */
const SUGGESTIONS_MAX = 200

export interface CommandFormProps {
  readonly command: Command
  readonly context: CommandContext
  readonly values: FormValues
  readonly options: Pick<HtmlOptions, 'token' | 'makeOnce'>
  /** Where a form that only looks leads; the address of the command without it. */
  readonly path?: string
  /** What was wrong, if its sentence names a field. */
  readonly error?: string | undefined
}

/** Whether a form has a value that must not stand in an address. */
function hasSecrets({ options, targets }: Command): boolean {
  return Object.values(options).some(({ secret, shown }) => secret ?? shown !== undefined) || targets.some(({ secret }) => secret)
}

/** Whether the form of a command leads to an address that can be shared, because the command only reads. */
export function isShareable(command: Command): boolean {
  return command.effect === 'read' && !hasSecrets(command)
}

/** The form of a command. */
export function CommandForm({ command, context, values, options, error, path = pathOf(command, []) }: CommandFormProps): Html {
  const form = formOf(command)
  const target = { path, fields: [] }
  const names = suggestionsOf(context, form.fields)
  return (
    <form method={isShareable(command) ? 'get' : 'post'} action={path} class="questions">
      {isShareable(command) ? '' : <Hidden target={target} options={options} />}
      {form.fields.map((field) => (
        <Field field={field} value={values[field.key]} error={isAbout(error, field) ? error : undefined} />
      ))}
      {[...names].map(([subject, suggested]) => (
        <datalist id={`names-${subject}`}>
          {suggested.map((name) => (
            <option value={name} />
          ))}
        </datalist>
      ))}
      <p>
        <button type="submit" class={command.effect === 'destroy' ? 'danger' : 'primary'}>
          {form.submit}
        </button>
      </p>
    </form>
  )
}

interface FieldProps {
  readonly field: FormField
  readonly value: FormValues[string]
  readonly error: string | undefined
}

function Field({ field, value, error }: FieldProps): Html {
  const id = `field-${field.key.replaceAll(/[^A-Za-z0-9-]/g, '')}`
  const about = error === undefined ? `${id}-hint` : `${id}-error ${id}-hint`
  const shared = { id, name: field.key, 'aria-describedby': about, ...(error === undefined ? {} : { 'aria-invalid': 'true' as const }) }
  const label = `${field.label}${field.isRequired || field.kind === 'switch' ? '' : ' (optional)'}`
  const hint = (
    <p class="hint" id={`${id}-hint`}>
      <Words text={`${field.hint}${field.example === undefined ? '' : ` Such as ${field.example}.`}${field.isMany ? ' One in a line.' : ''}`} />
    </p>
  )
  if (field.kind === 'switch') {
    return (
      <div class="field switch">
        <input type="checkbox" value="true" checked={value === 'true'} {...shared} /> <label for={id}>{label}</label>
        {hint}
      </div>
    )
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {hint}
      {error === undefined ? (
        ''
      ) : (
        <p class="error" id={`${id}-error`}>
          <Words text={error} />
        </p>
      )}
      <Control field={field} shared={shared} value={value} />
    </div>
  )
}

interface ControlProps {
  readonly field: FormField
  readonly shared: Readonly<Record<string, string>>
  readonly value: FormValues[string]
}

function Control({ field, shared, value }: ControlProps): Html {
  const text = field.isSecret ? '' : typeof value === 'string' ? value : (value ?? []).join('\n')
  if (field.kind === 'choice' && !field.isMany) {
    return (
      <select {...shared} required={field.isRequired}>
        <option value="" />
        {field.choices.map((choice) => (
          <option value={choice} selected={choice === text}>
            {choice}
          </option>
        ))}
      </select>
    )
  }
  if (field.isMany) {
    return (
      <textarea {...shared} rows={3} required={field.isRequired}>
        {text}
      </textarea>
    )
  }
  const list = field.kind === 'pick' ? { list: `names-${field.subject}` } : {}
  return <input {...shared} {...list} type={field.isSecret ? 'password' : 'text'} autocomplete="off" value={text} required={field.isRequired} />
}

/** Names to pick from, by subject: those that the bot knows without asking a store. */
function suggestionsOf({ fleet, zones, policies }: CommandContext, fields: readonly FormField[]): Map<string, string[]> {
  const names = (subject: string): string[] => {
    if (subject === 'store') return fleet.registry.list().map(({ name }) => name)
    if (subject === 'zone') return zones.list().map(({ name }) => name)
    return subject === 'policy' ? policies.list().map(({ name }) => name) : []
  }
  const subjects = new Set(fields.filter(({ kind }) => kind === 'pick').map(({ subject }) => subject))
  return new Map([...subjects].map((subject) => [subject, names(subject).slice(0, SUGGESTIONS_MAX)]))
}

/** Whether a refusal begins with the value of a field, as in `reserved=x is not a size.`, or names it as missing. */
function isAbout(error: string | undefined, { key }: FormField): boolean {
  return error !== undefined && (error.startsWith(`${key}=`) || error.startsWith(`${key} `) || error.includes(` needs ${key}`))
}
