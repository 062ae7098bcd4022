// Runs one line of the console: follows its tasks and prints the answer. A terminal, a pipe and a single command differ only in how
// the given screen prints and asks.

import type { CommandContext } from '../commands/command.ts'
import { lineOf } from '../commands/form.ts'
import type { FormField } from '../../protocol/views/form-field.ts'
import { parseWords } from '../commands/parse.ts'
import { exitCode, runParsed } from '../commands/run.ts'
import { followTasks } from '../commands/task/task-view.ts'
import { splitLine } from '../commands/line.ts'
import { quoteWord } from '../views/quote.ts'
import type { Word } from '../commands/line.ts'
import { renderJson } from '../views/json.ts'
import { renderProgress, renderTerminal } from '../views/terminal.ts'
import type { View } from '../../protocol/views/view.ts'
import { plainText } from '../../protocol/views/phrases.ts'

export interface Screen {
  print(text: string): void
  /** Columns of a terminal; undefined when nothing is wrapped or overwritten. */
  readonly width: number | undefined
  readonly color: boolean
  /** Asks a person; absent when there is none. Resolves with undefined when the person does not answer. */
  readonly ask?: (question: string, options?: { readonly secret?: boolean }) => Promise<string | undefined>
}

/** Runs the words of one line, prints the answer and returns the exit code. */
export async function runConsoleLine(context: CommandContext, screen: Screen, words: readonly Word[]): Promise<number> {
  const parsed = parseWords(context.commands, stripName(words))
  const isJson = parsed.common.has('json')
  const canDraw = screen.width !== undefined && !isJson
  let isDrawn = false
  const draw = (view: View): void => {
    if (!canDraw) return
    isDrawn = true
    screen.print(`\r\u001b[2K${renderProgress(view, screen.width ?? 80)}`)
  }
  const live: CommandContext = { ...context, onInterim: draw, isWaiting: !parsed.common.has('no-wait') }
  let view = await runParsed(live, parsed)
  if (!isJson && screen.ask) view = await complete(live, screen, view)
  if (!parsed.common.has('no-wait') && view.outcome === 'done') view = await follow(live, view, draw)
  if (isDrawn) screen.print('\r\u001b[2K')
  screen.print(`${isJson ? renderJson(view) : renderTerminal(view, { width: screen.width, color: screen.color, nowMs: context.clock.nowMs() })}\n`)
  return exitCode(view.outcome)
}

/** `slipway store list`, `/slipway store list` and `/store list` are `store list`. */
function stripName(words: readonly Word[]): readonly Word[] {
  const [first, ...rest] = words
  if (!first) return words
  if (first.text === 'slipway' || first.text === '/slipway') return rest
  return first.text.startsWith('/') && !first.text.slice(1).includes('/') ? [{ ...first, text: first.text.slice(1) }, ...rest] : words
}

async function follow(context: CommandContext, begun: View, draw: (view: View) => void): Promise<View> {
  let last = begun
  try {
    for await (const view of followTasks(context, begun, context.signal)) {
      last = view
      draw(view)
    }
  } catch (error) {
    if (!context.signal?.aborted) throw error
    return { ...last, notes: [...last.notes, 'No longer waiting: the task continues in the store. task list shows it.'] }
  }
  return last
}

/** Asks the questions of a form, or for the name that confirms a destructive command. */
async function complete(context: CommandContext, screen: Screen, first: View): Promise<View> {
  let view = first
  if (view.form && screen.ask) {
    const { form } = view
    const values: Record<string, string | readonly string[] | undefined> = { ...form.values }
    screen.print(`${plainText(view.title)}. An empty answer to a required question cancels.\n`)
    for (const field of form.fields.filter(({ key, kind }) => kind !== 'switch' && values[key] === undefined)) {
      const answer = await screen.ask(`${question(field)}: `, { secret: field.isSecret })
      if (answer === undefined || (answer === '' && field.isRequired)) return { ...view, notes: ['Nothing was done.'] }
      values[field.key] = answer
    }
    const command = context.commands.find(({ noun, verb }) => `${noun} ${verb}` === form.command)
    if (!command) throw new Error(`there is no command ${form.command}`)
    view = await runParsed(context, parseWords(context.commands, splitLine(lineOf(command, values)) ?? []))
  }
  // When the plan changes while the name is typed, the question is asked again, but not endlessly.
  for (let tries = 0; view.confirm && screen.ask && tries < 3; tries++) {
    screen.print(`${renderTerminal(view, { width: screen.width, color: screen.color, nowMs: context.clock.nowMs() })}\n`)
    const typed = await screen.ask('Name: ')
    if (typed === undefined || typed === '') {
      const { confirm: _, ...rest } = view
      return { ...rest, text: 'Nothing was changed.', fields: [] }
    }
    const line = `${view.confirm.command} --confirm ${quoteWord(typed)}`
    view = await runParsed(context, parseWords(context.commands, splitLine(line) ?? []))
  }
  return view
}

function question({ label, hint, isRequired }: FormField): string {
  return `${label} (${hint.replace(/\.$/, '')}${isRequired ? '' : '; optional'})`
}
