// Parts of a page: commands that only look, their answers, and the HTML of each. A live page gets the HTML of a part again when it has changed.

/** @jsxImportSource hono/jsx */

import { html, raw } from 'hono/html'
import { valuesOf } from '../commands/form.ts'
import type { Command } from '../commands/command.ts'
import type { Parsed } from '../commands/parse.ts'
import { parseLine, runParsed } from '../commands/run.ts'
import { quoteWord } from '../views/quote.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { wantedRows } from '../../protocol/views/html/row-window.ts'
import { ViewSection } from '../../protocol/views/html/view.tsx'
import { isEnded } from '../../protocol/views/phrases.ts'
import { taskStateSchema } from '../../protocol/task.ts'
import type { View } from '../../protocol/views/view.ts'
import { choiceOf } from './choose.ts'
import { parseRequest, requestAt, seriesHrefOf } from './command-words.ts'
import { placeAt } from './place-at.ts'
import type { PlacePart } from './places.ts'
import { htmlOptions } from './session-context.ts'
import type { Look } from './session-context.ts'

/** A command that only looks, and its answer. */
export interface Part {
  readonly command: Command
  readonly view: View
  /** What the filter form of a list begins with. */
  readonly values: ReturnType<typeof valuesOf>
  /** Address of the series of its charts. */
  readonly seriesHref?: string | undefined
  readonly chooses?: PlacePart['chooses'] | undefined
}

/** The HTML of a part. It is the same for every session: the token of its forms and the numbers that make them run once are filled in with `fillIn`. */
export interface ShownPart {
  readonly id: string
  readonly html: string
  /** The line with the age of the facts, which is the last of the HTML. */
  readonly age: string
  /** Differs when anything but the age differs. */
  readonly version: string
  readonly view: View
}

/** States of tasks that go on. */
const GOING_ON: ReadonlySet<string> = new Set(taskStateSchema.options.filter((state) => !isEnded(state)))
/** Stand for the token and for the numbers of forms. Nobody can guess them, so no name of an image contains them. */
const TOKEN_MARK = `token-${crypto.randomUUID()}`
const ONCE_MARK = `once-${crypto.randomUUID()}`
const AGE_TAG = '<p class="age">'

/** Runs the command of a part; fields of the address that it takes as options narrow it. */
export async function runPart(look: Look, { line, defaults = {}, chooses }: PlacePart, name: string | undefined, hasQuery: boolean): Promise<Part> {
  const { context, url } = look
  const fixed = parseLine(context, name === undefined ? line : line.replace('{}', () => quoteWord(name)))
  if (fixed.kind === 'unclear') throw new Error(`a place has the line "${line}": ${fixed.detail}`)
  const { command, input } = fixed
  const fields = hasQuery ? [...url.searchParams].filter(([key]) => !(key in input.options)) : []
  const given = Object.entries(input.options).map(([key, value]): [string, string] => [key, value ?? ''])
  const usual = Object.entries(defaults).filter(([key]) => !fields.some(([field, value]) => field === key && value !== ''))
  const parsed = parseRequest(context.commands, { command, targets: input.targets, fields: [...given, ...usual, ...fields] })
  const values = parsed.kind === 'command' ? valuesOf(command, parsed.input) : valuesOf(command, input)
  const shown = hasQuery ? { ...context, rows: wantedRows(url.searchParams) } : context
  return { command, view: await runParsed(shown, parsed), values, chooses, ...seriesOf(parsed) }
}

/** Runs everything that an address shows: a place, or a command that only looks. Undefined for an address that shows neither. */
export async function partsAt(look: Look): Promise<Part[] | undefined> {
  const { context, url } = look
  const at = placeAt(url.pathname)
  if (at) {
    const name = at.kind === 'named' ? at.name : undefined
    return Promise.all(at.parts.map((part) => runPart(look, part, name, at.kind === 'named' || at.parts.length === 1)))
  }
  const request = requestAt(context.commands, url.pathname, [...url.searchParams])
  const parsed = request && parseRequest(context.commands, request)
  if (parsed?.kind !== 'command' || parsed.command.effect !== 'read') return undefined
  return [{ command: parsed.command, view: await runParsed(context, parsed), values: {}, ...seriesOf(parsed) }]
}

function seriesOf(parsed: Parsed): Pick<Part, 'seriesHref'> {
  return parsed.kind === 'command' ? { seriesHref: seriesHrefOf(parsed.command, parsed.input) } : {}
}

/** Renders the parts of a page. The heading of the first one is that of the page, unless the place has one of its own. */
export function showParts(look: Look, parts: readonly Part[]): Promise<ShownPart[]> {
  const isTitled = parts.length > 1 && placeAt(look.url.pathname)?.kind === 'list'
  return Promise.all(parts.map((part, i) => showPart(look, part, i, i > 0 || isTitled ? 2 : 1)))
}

async function showPart(look: Look, part: Part, index: number, level: 1 | 2): Promise<ShownPart> {
  const { view, command, seriesHref } = part
  const options = {
    ...htmlOptions(look, view, command, { level, seriesHref, choice: choiceOf(look.context, part) }),
    token: TOKEN_MARK,
    makeOnce: () => ONCE_MARK,
  }
  const text: string = await html`${<ViewSection view={view} options={options} />}`
  const end = text.lastIndexOf(AGE_TAG)
  return { id: `part-${index}`, html: text, age: text.slice(end, text.indexOf('</p>', end) + '</p>'.length), version: versionOf(text.slice(0, end)), view }
}

/** The HTML for one session. */
export function fillIn(text: string, { token, makeOnce }: Pick<Look, 'token' | 'makeOnce'>): string {
  return text.replaceAll(TOKEN_MARK, () => token).replaceAll(ONCE_MARK, () => makeOnce())
}

/** A part in its page. */
export function Section({ look, part }: { readonly look: Look; readonly part: ShownPart }): Html {
  return (
    <>
      <div id={`${part.id}-problem`} role="status" />
      <div id={part.id} data-part={part.version}>
        {raw(fillIn(part.html, look))}
      </div>
    </>
  )
}

/** Whether a View shows work that goes on: what a command watches, bars of tasks, or rows of tasks and uploads. */
export function isMoving({ watch, progress, bars = [], columns, rows }: View): boolean {
  if (watch !== undefined || [...progress, ...bars].some(({ task }) => !isEnded(task.state))) return true
  return columns.some(({ key }) => key === 'progress') && rows.some(({ cells }) => GOING_ON.has(cells['state'] ?? '') || cells['state'] === 'uploading')
}

function versionOf(text: string): string {
  return Bun.hash(text).toString(36)
}
