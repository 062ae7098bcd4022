// Runs one line: parses it, checks the role, runs the command and records it in the audit log. The answer is always a View;
// only a bug throws.

import { errorText } from '../../protocol/errors.ts'
import { makeProblem, ProblemError } from '../../protocol/problems.ts'
import type { Problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { mayRun, permit } from './permit.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { Outcome, View } from '../../protocol/views/view.ts'
import { askedForm, opensForm } from './asked-form.ts'
import type { Command, CommandContext, CommandInput } from './command.ts'
import { formOf, lineOf, valuesOf } from './form.ts'
import { splitLine } from './line.ts'
import { parseWords } from './parse.ts'
import type { Parsed } from './parse.ts'
import { beginRecording, describeParsed, recordEnd, spelled } from './record.ts'

/** Parses a line by the table of commands. */
export function parseLine(context: Pick<CommandContext, 'commands'>, line: string): Parsed {
  const words = splitLine(line)
  if (words) return parseWords(context.commands, words)
  return { kind: 'unclear', detail: 'A quote is not closed.', action: 'Close it, or leave it out.', suggestion: undefined, common: new Set() }
}

/** Runs a parsed line. */
export async function runParsed(context: CommandContext, parsed: Parsed): Promise<View> {
  if (parsed.kind === 'unclear') {
    const view = unclearView(context, parsed)
    const isForm = parsed.lacks !== undefined && view.form !== undefined
    return recordEnd(context, isForm ? { command: spelled(parsed.lacks.command), target: '', effect: 'read' } : describeParsed(parsed), view)
  }
  const { command, input } = parsed
  const permission = permit(context, command, input)
  if (permission.kind === 'refused') {
    const where = permission.where === undefined ? '' : ` in ${permission.where}`
    const detail = `${spelled(command)} needs the role ${command.role}${where}; ${context.actor.name} has ${permission.has}.`
    return recordEnd(
      context,
      describeParsed(parsed),
      problemView(context, makeProblem('forbidden', detail, { action: 'Ask an admin of the bot to run it or to give you the role.' }), 'refused'),
    )
  }
  const recording = beginRecording(context, command, input)
  if ('error' in recording) return problemView(context, unrecorded(recording.error), 'failed')
  return recording.end(await runCommand(permission.context, command, input))
}

async function runCommand(context: CommandContext, command: Command, input: CommandInput): Promise<View> {
  try {
    return opensForm(context, command, input) ? askedForm(context, command, input) : await command.run(context, input)
  } catch (error) {
    if (context.signal?.aborted)
      return problemView(context, makeProblem('cancelled', `${spelled(command)} was interrupted.`, { action: 'Run it again to continue.' }), 'failed')
    if (error instanceof ProblemError) return withPicker(command, input, problemView(context, error.problem, 'failed'), error.problem)
    return problemView(context, makeProblem('internal', `${spelled(command)} failed: ${errorText(error)}`), 'failed')
  }
}

/** The answer to a line that was not understood: with the form of its command, or a picker for the target that it lacks, for those who may run it. */
function unclearView(context: CommandContext, { detail, action, suggestion, lacks }: Parsed & { readonly kind: 'unclear' }): View {
  const view = problemView(context, { ...makeProblem('invalid-input', detail), title: 'Not understood', action }, 'unclear', suggestion)
  if (!lacks || !mayRun(context, lacks.command)) return view
  const { command, target, input, line } = lacks
  if (opensForm(context, command, input)) return askedForm(context, command, input)
  const field = formOf(command).fields.find(({ key }) => key === target.name)
  return field?.kind === 'pick' && !hasSecret(command, input)
    ? { ...view, picker: { label: field.label, subject: field.subject, command: line, key: '' } }
    : view
}

/** Adds a picker for the store to the refusal of a command that did not say which store it means. */
function withPicker(command: Command, input: CommandInput, view: View, { needs }: Problem & { readonly needs?: unknown }): View {
  if (needs !== 'store' || hasSecret(command, input)) return view
  const isTarget = command.targets[input.targets.length]?.subject === 'store'
  if (!isTarget && command.options['store'] === undefined) return view
  return { ...view, picker: { label: 'Store', subject: 'store', command: lineOf(command, valuesOf(command, input)), key: isTarget ? '' : 'store' } }
}

/** Whether a line has a secret, so that it must not be kept for a later choice. */
function hasSecret({ targets, options }: Command, input: CommandInput): boolean {
  return Object.keys(input.options).some((key) => options[key]?.secret ?? options[key]?.shown) || input.targets.some((_word, i) => targets[i]?.secret)
}

function unrecorded(error: unknown): Problem {
  return makeProblem('internal', `The audit log cannot be written: ${errorText(error)}. Nothing was changed.`, {
    title: 'Not recorded',
    action: 'Check the disk of the bot and its home folder, then run the command again.',
  })
}

/** Parses and runs a line. */
export function runLine(context: CommandContext, line: string): Promise<View> {
  return runParsed(context, parseLine(context, line))
}

/** A problem as an answer: what failed, why, and the next step. */
export function problemView(context: Pick<CommandContext, 'clock'>, problem: Problem, outcome: Outcome, suggestion?: string): View {
  const asOfMs = context.clock.nowMs()
  return makeView({
    outcome,
    title: problem.title,
    text: problem.detail,
    tone: outcome === 'unclear' ? 'warning' : 'bad',
    fields: [{ label: 'Next', value: problem.action }, ...(problem.requestId === undefined ? [] : [{ label: 'Request', value: problem.requestId }])],
    actions: suggestion === undefined ? [] : [{ label: suggestion, command: suggestion, role: 'viewer' }],
    asOfMs,
    json: { error: problem, asOf: formatTime(asOfMs) },
  })
}

/** The exit code of the console for an outcome. */
export function exitCode(outcome: Outcome): number {
  switch (outcome) {
    case 'done':
      return 0
    case 'refused':
    case 'failed':
      return 1
    case 'unclear':
      return 2
  }
}
