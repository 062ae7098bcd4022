// Runs one line: parses it, checks the role, runs the command and records writes in the audit log. The answer is always a View;
// only a bug throws.

import { errorText } from '../../protocol/errors.ts'
import { roleIncludes } from '../../protocol/access.ts'
import { makeProblem, ProblemError } from '../../protocol/problems.ts'
import type { Problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { makeView } from '../views/view.ts'
import type { Outcome, View } from '../views/view.ts'
import type { Command, CommandContext, CommandInput } from './command.ts'
import { parseWords } from './parse.ts'
import type { Parsed } from './parse.ts'
import { quoteWord, splitLine } from './line.ts'

/** Parses a line by the table of commands. */
export function parseLine(context: Pick<CommandContext, 'commands'>, line: string): Parsed {
  const words = splitLine(line)
  if (words) return parseWords(context.commands, words)
  return { kind: 'unclear', detail: 'A quote is not closed.', action: 'Close it, or leave it out.', suggestion: undefined, common: new Set() }
}

/** Runs a parsed line. */
export async function runParsed(context: CommandContext, parsed: Parsed): Promise<View> {
  if (parsed.kind === 'unclear') {
    return problemView(
      context,
      { ...makeProblem('invalid-input', parsed.detail), title: 'Not understood', action: parsed.action },
      'unclear',
      parsed.suggestion,
    )
  }
  const { command, input } = parsed
  if (!roleIncludes(context.actor.role, command.role)) {
    const detail = `${spelled(command)} needs the role ${command.role}; ${context.actor.name} has ${context.actor.role}.`
    return record(
      context,
      command,
      input,
      problemView(context, makeProblem('forbidden', detail, { action: 'Ask an admin of the bot to run it or to give you the role.' }), 'refused'),
    )
  }
  let view: View
  try {
    view = await command.run(context, input)
  } catch (error) {
    if (context.signal?.aborted)
      view = problemView(context, makeProblem('cancelled', `${spelled(command)} was interrupted.`, { action: 'Run it again to continue.' }), 'failed')
    else if (error instanceof ProblemError) view = problemView(context, error.problem, 'failed')
    else view = problemView(context, makeProblem('internal', `${spelled(command)} failed: ${errorText(error)}`), 'failed')
  }
  return record(context, command, input, view)
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

function record(context: CommandContext, command: Command, input: CommandInput, view: View): View {
  if (command.effect === 'read' || view.confirm || view.form) return view
  const shown = (key: string, value: string): string => command.options[key]?.shown?.(value) ?? value
  const options = Object.entries(input.options).map(([key, value]) => `${key}=${command.options[key]?.secret ? '***' : quoteWord(shown(key, value ?? ''))}`)
  context.audit.append({
    timeMs: context.clock.nowMs(),
    actor: context.actor.name,
    surface: context.surface,
    command: [spelled(command), ...input.targets.map(quoteWord), ...options, ...[...input.flags].map((flag) => `--${flag}`)].join(' '),
    target: input.targets.join(' ') || (input.options['store'] ?? input.options['name'] ?? ''),
    outcome: view.outcome,
    detail: view.outcome === 'done' ? view.title : view.text,
  })
  return view
}

function spelled(command: Command): string {
  return `${command.noun} ${command.verb}`.trim()
}
