// When a command answers with its form, and the View of it: in Slack when nothing but its targets is given, everywhere when it lacks what it needs. The page has the
// forms of all commands at addresses of their own.

import { formatTime } from '../../protocol/time.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { View } from '../../protocol/views/view.ts'
import type { Command, CommandContext, CommandInput } from './command.ts'
import { formOf, lineOf, valuesOf } from './form.ts'

type Given = Pick<CommandInput, 'targets' | 'options' | 'flags'>

/** Returns whether a command that was given this opens its form instead of running: it has one, and no option or flag was given in Slack. */
export function opensForm({ surface }: Pick<CommandContext, 'surface'>, { form }: Command, { options, flags }: Given): boolean {
  return form !== undefined && surface === 'slack' && Object.keys(options).length === 0 && flags.size === 0
}

/** Returns the form of a command as its answer. What was given is filled in, but for secrets; targets that were given are no longer asked for. */
export function askedForm(context: CommandContext, command: Command, given: Given): View {
  const asOfMs = context.clock.nowMs()
  const form = formOf(command)
  const values = valuesOf(command, given)
  const line = lineOf(command, values)
  const before = command.form?.now?.(context, given.targets) ?? {}
  const targets = new Set(command.targets.map(({ name }) => name))
  const fields = form.fields.filter(({ key }) => !targets.has(key) || values[key] === undefined)
  const required = fields.filter(({ key, isRequired }) => isRequired && (values[key] === undefined || values[key] === ''))
  const missing = required.map(({ key }) => (targets.has(key) ? key : `${key}=`))
  const detail = missing.length > 0 ? `${form.command} needs ${missing.join(', ')}.` : `${form.command} needs something to do.`
  const spelled = required.map(({ key }) => (targets.has(key) ? key : `${key}=${command.options[key]?.value ?? ''}`))
  return makeView({
    outcome: 'unclear',
    title: form.title,
    text: detail,
    tone: 'warning',
    fields: spelled.length > 0 ? [{ label: 'Next', value: [line, ...spelled].join(' ') }] : [],
    form: { ...form, fields, values, before, line },
    asOfMs,
    json: {
      error: { type: 'urn:slipway:problem:invalid-input', title: 'Invalid input', status: 400, detail, action: 'Add the missing options.' },
      asOf: formatTime(asOfMs),
    },
  })
}
