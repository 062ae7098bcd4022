// What the routes of the page share about a request: the session, its person, and the context in which commands run.

import type { Context } from 'hono'
import { permit } from '../commands/permit.ts'
import { changesSomething } from '../commands/record.ts'
import type { Command, CommandActor, CommandContext } from '../commands/command.ts'
import { parseLine } from '../commands/run.ts'
import type { PageSession } from '../entry/page-sessions.ts'
import { NAMED_PLACES } from './places.ts'
import type { View } from '../../protocol/views/view.ts'
import type { HtmlOptions, ShownAction } from '../../protocol/views/html/html.ts'
import type { Marks } from './live/marks.ts'
import { hrefOf, pathOf, postOf } from './command-words.ts'
import { fileHref } from './file-href.ts'
import { rowActions } from './offered.tsx'
import { rowWindow } from '../../protocol/views/html/row-window.ts'

/** A request of somebody who is logged in. */
export interface PageVariables {
  readonly session: PageSession
  readonly actor: CommandActor
  readonly context: CommandContext
  /** Proves that a form comes from a page of this session. */
  readonly token: string
  readonly marks: Marks
}

export type PageContext = Context<{ Variables: PageVariables }>

/** What rendering needs to know of a request, or of the page that a stream follows. */
export interface Look {
  readonly context: CommandContext
  /** The address of the page. */
  readonly url: URL
  readonly token: string
  makeOnce(): string
}

/** The look of a request. The address of a page that answers a form cannot be asked for again with GET, so its fields are left out. */
export function lookOf(c: PageContext): Look {
  const url = new URL(c.req.url)
  if (c.req.method === 'POST') url.search = ''
  return { context: { ...c.get('context'), signal: c.req.raw.signal }, url, token: c.get('token'), makeOnce: () => crypto.randomUUID() }
}

/** Ids whose form says what they name. */
const ID_NOUNS: Readonly<Record<string, string>> = { img: 'image', tsk: 'task', upl: 'upload' }

/** How Views are rendered for a look. `command` is the one that answered. */
export function htmlOptions(
  look: Look,
  view: View,
  command: Pick<Command, 'noun' | 'verb'>,
  more: Pick<HtmlOptions, 'level' | 'nameError' | 'seriesHref' | 'choice'>,
): HtmlOptions {
  const { context, url, token, makeOnce } = look
  const { commands } = context
  const { noun } = command
  return {
    ...more,
    nowMs: context.clock.nowMs(),
    token,
    makeOnce,
    window: () => rowWindow(view, url.pathname, url.searchParams),
    cellHref: (label, key, text, row) => cellHref(context, { noun, label, key, text, id: row?.cells['id'] }),
    fileHref: (file) => fileHref(context, file),
    rowActions: (row) => rowActions(context, command, row),
    action: ({ command: line, role }) => actionOf(context, line, role),
    post: (line) => postOf(commands, line),
  }
}

interface Cell {
  readonly noun: string
  readonly label: string
  readonly key: string
  readonly text: string
  /** The id in the same row. */
  readonly id: string | undefined
}

/** The address of what a cell names, if there is one. */
function cellHref(context: CommandContext, { noun, label, key, text, id }: Cell): string | undefined {
  const prefixed = /^(img|tsk|upl)_\w+$/.exec(text)?.[1]
  if (prefixed !== undefined) return showHref(context, ID_NOUNS[prefixed] ?? '', text)
  if (key === 'store' || label === 'Store' || (noun === 'store' && key === 'name'))
    return context.fleet.registry.find(text) ? showHref(context, 'store', text) : undefined
  if (key === 'zone' || label === 'Zone' || (noun === 'zone' && key === 'name'))
    return context.zones.list().some(({ name }) => name === text) ? showHref(context, 'zone', text) : undefined
  if (noun === 'policy' && key === 'name') return showHref(context, noun, text)
  if (key === 'name' && id !== undefined && id !== text) return cellHref(context, { noun, label: '', key: 'id', text: id, id })
  return key === 'id' ? showHref(context, noun, text) : undefined
}

/** The address that shows one thing of a noun; undefined when no command does. */
export function showHref({ commands }: Pick<CommandContext, 'commands'>, noun: string, name: string): string | undefined {
  const place = NAMED_PLACES.find(({ shows }) => shows === `${noun} show`)
  if (place && name !== '.' && name !== '..') return `${place.path}${encodeURIComponent(name)}`
  const command = commands.find((candidate) => candidate.noun === noun && candidate.verb === 'show')
  return command && pathOf(command, [name])
}

/** Where a command line of an answer leads: to a page if it only looks, or asks for a name; else to a form that runs it. */
function actionOf(context: CommandContext, line: string, role: Parameters<HtmlOptions['action']>[0]['role']): ShownAction | undefined {
  const parsed = parseLine(context, line)
  if (parsed.kind === 'unclear') return undefined
  const { command, input } = parsed
  if (permit(context, command, input).kind === 'refused' || permit(context, command, input, role).kind === 'refused') return undefined
  if (!changesSomething(command, input)) return { kind: 'link', href: hrefOf(command, input) }
  return { kind: 'post', target: { path: pathOf(command, input.targets), fields: postOf(context.commands, line)?.fields ?? [] } }
}
