// What the audit log has of commands. A write is recorded before it runs, so that it is in the log even if the bot is killed; how it ended follows.

import { errorText } from '../../protocol/errors.ts'
import type { AuditDraft } from '../audit/audit.ts'
import type { View } from '../../protocol/views/view.ts'
import type { Command, CommandContext, CommandInput } from './command.ts'
import { quoteWord } from '../views/quote.ts'
import type { Parsed } from './parse.ts'

/** A command and its target without secrets. */
export type Described = Pick<AuditDraft, 'command' | 'target' | 'effect'>

/** Describes a parsed line. Nothing of a line that was not understood is shown: any word of it may be a secret. */
export function describeParsed(parsed: Parsed): Described {
  if (parsed.kind === 'unclear') return { command: '(not understood)', target: '', effect: 'read' }
  return describeCommand(parsed.command, parsed.input)
}

function describeCommand(command: Command, input: CommandInput): Described {
  const shown = (key: string, value: string): string => command.options[key]?.shown?.(value) ?? value
  const options = Object.entries(input.options).map(([key, value]) => `${key}=${command.options[key]?.secret ? '***' : quoteWord(shown(key, value ?? ''))}`)
  return {
    command: [
      spelled(command),
      ...input.targets.map((word, i) => (command.targets[i]?.secret ? '***' : quoteWord(word))),
      ...options,
      ...[...input.flags].map((flag) => `--${flag}`),
    ].join(' '),
    target: input.targets.filter((_word, i) => !command.targets[i]?.secret).join(' ') || (input.options['store'] ?? input.options['name'] ?? ''),
    effect: command.effect,
  }
}

/** Appends a row about something this actor asked for. Throws when the log cannot be written. */
export function recordAsked(context: CommandContext, described: Described, outcome: string, detail: string, begunSeq = 0): number {
  const { audit, clock, actor, surface, channel = '', via = 'typed' } = context
  return audit.append({ ...described, timeMs: clock.nowMs(), actor: actor.name, role: actor.role, surface, channel, via, outcome, detail, begunSeq })
}

/** A command whose end is still to be recorded; or the error, when the log cannot be written and the command must not run. */
export type Recording = { readonly end: (view: View) => View } | { readonly error: unknown }

/** Begins to record a command. Only what changes something gets a row before it runs. */
export function beginRecording(context: CommandContext, command: Command, input: CommandInput): Recording {
  const described = describeCommand(command, input)
  let begunSeq = 0
  try {
    if (changesSomething(command, input))
      begunSeq = recordAsked(context, described, 'begun', 'No end was recorded: the command is in progress, or the bot was stopped.')
  } catch (error) {
    return { error }
  }
  return { end: (view) => recordEnd(context, { ...described, begunSeq }, view) }
}

/** Records how a command ended. A log that cannot be written does not take the answer from the person who asked. */
export function recordEnd(context: CommandContext, { begunSeq = 0, ...described }: Described & { readonly begunSeq?: number }, view: View): View {
  try {
    const outcome = view.confirm || view.form ? 'asked' : view.outcome
    const isSecret = view.isPrivate && described.effect === 'read' && outcome === 'done'
    recordAsked(context, isSecret ? { ...described, effect: 'reveal' } : described, outcome, detailOf(view, outcome), begunSeq)
    return view
  } catch (error) {
    return { ...view, notes: [...view.notes, `The audit log cannot be written: ${errorText(error)}. Check the disk of the bot.`] }
  }
}

function detailOf(view: View, outcome: string): string {
  if (outcome === 'unclear') return ''
  return outcome === 'done' || outcome === 'asked' ? view.title : view.text
}

/** Whether a command may change something when it runs, and does not just ask for a name. */
export function changesSomething({ effect, destroysWith }: Command, input: CommandInput): boolean {
  if (effect !== 'destroy') return effect === 'write'
  return input.confirm.length > 0 || (destroysWith !== undefined && !input.flags.has(destroysWith))
}

/** The name of a command: `store list`. */
export function spelled(command: Command): string {
  return `${command.noun} ${command.verb}`.trim()
}
