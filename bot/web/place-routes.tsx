// The places of the page: home, lists, one store, one image, the search and the index of commands. Each is made of commands that only look.

/** @jsxImportSource hono/jsx */

import type { Hono } from 'hono'
import { permit } from '../commands/permit.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { valuesOf } from '../commands/form.ts'
import { quoteWord } from '../views/quote.ts'
import { parseLine, runParsed } from '../commands/run.ts'
import { spelled } from '../commands/record.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { ViewSection } from '../../protocol/views/html/view.tsx'
import { Words } from '../../protocol/views/html/words.tsx'
import { isEnded } from '../../protocol/views/phrases.ts'
import type { View } from '../../protocol/views/view.ts'
import { CommandForm } from './command-form.tsx'
import { parseRequest, pathOf } from './command-words.ts'
import { HelpPanel } from './help-panel.tsx'
import { Page } from './layout.tsx'
import { NAMED_PLACES, PLACES, SEARCHED } from './places.ts'
import type { NamedPlace, Place, PlacePart } from './places.ts'
import { ROWS_PER_PAGE } from '../../protocol/views/html/row-window.ts'
import { htmlOptions } from './session-context.ts'
import type { PageContext, PageVariables } from './session-context.ts'
import { addressOf, isOpenTo, Tabs } from './tabs.tsx'

/** Longest text of a search in characters. */
const SEARCH_LENGTH_MAX = 200

/** Adds the routes of the places. */
export function addPlaces(app: Hono<{ Variables: PageVariables }>): void {
  for (const place of PLACES) app.get(place.path, (c) => showPlace(c, place))
  for (const place of NAMED_PLACES) {
    app.get(`${place.path}:name`, (c) => showNamed(c, place, ''))
    app.get(`${place.path}:name/:tab`, (c) => showNamed(c, place, c.req.param('tab')))
  }
  app.get('/search', (c) => showSearch(c))
  app.get('/c', (c) => showIndex(c))
}

interface Part {
  readonly command: Command
  readonly view: View
  /** What the filter form of a list begins with. */
  readonly values: ReturnType<typeof valuesOf>
}

/** Runs the command of a part; fields of the address that it takes as options narrow it. */
async function runPart(c: PageContext, { line, defaults = {} }: PlacePart, name: string | undefined, hasQuery: boolean): Promise<Part> {
  const context = { ...c.get('context'), signal: c.req.raw.signal }
  const fixed = parseLine(context, name === undefined ? line : line.replace('{}', () => quoteWord(name)))
  if (fixed.kind === 'unclear') throw new Error(`a place has the line "${line}": ${fixed.detail}`)
  const { command, input } = fixed
  const fields = hasQuery ? [...new URL(c.req.url).searchParams].filter(([key]) => !(key in input.options)) : []
  const given = Object.entries(input.options).map(([key, value]): [string, string] => [key, value ?? ''])
  const usual = Object.entries(defaults).filter(([key]) => !fields.some(([field, value]) => field === key && value !== ''))
  const parsed = parseRequest(context.commands, { command, targets: input.targets, fields: [...given, ...usual, ...fields] })
  const values = parsed.kind === 'command' ? valuesOf(command, parsed.input) : valuesOf(command, input)
  return { command, view: await runParsed(context, parsed), values }
}

async function showPlace(c: PageContext, place: Place): Promise<Response> {
  const parts = await Promise.all(place.parts.map((part) => runPart(c, part, undefined, place.parts.length === 1)))
  const [only] = parts.length === 1 ? parts : []
  return c.html(
    <Page frame={frameOf(c, place.label, place.path, parts)}>
      {only ? '' : <h1>{place.label}</h1>}
      {parts.map((part) => (
        <Section c={c} part={part} level={only ? 1 : 2} />
      ))}
      {only ? <Narrow c={c} part={only} path={place.path} /> : ''}
    </Page>,
  )
}

async function showNamed(c: PageContext, place: NamedPlace, slug: string): Promise<Response> {
  const tab = place.tabs.find((candidate) => candidate.slug === slug)
  if (!tab) return c.notFound()
  const name = c.req.param('name') ?? ''
  const parts = await Promise.all(tab.parts.map((part) => runPart(c, part, name, true)))
  const path = addressOf(place, name, tab)
  return c.html(
    <Page frame={frameOf(c, `${name}: ${tab.label}`, path, parts)}>
      {place.tabs.length > 1 ? <Tabs context={c.get('context')} place={place} name={name} current={tab} /> : ''}
      {parts.map((part, i) => (
        <Section c={c} part={part} level={i === 0 ? 1 : 2} />
      ))}
      {tab.slug === '' ? <Offered context={c.get('context')} place={place} name={name} /> : ''}
    </Page>,
  )
}

function frameOf(c: PageContext, title: string, path: string, parts: readonly Part[]) {
  const isMoving = parts.some(({ view }) => view.progress.some(({ task }) => !isEnded(task.state)))
  return { title, path, actor: c.get('actor'), token: c.get('token'), isMoving }
}

function Section({ c, part, level }: { readonly c: PageContext; readonly part: Part; readonly level: 1 | 2 }): Html {
  const { view, command } = part
  return (
    <>
      <ViewSection view={view} options={htmlOptions(c, view, command.noun, { level })} />
      <HelpPanel view={view} command={command} />
    </>
  )
}

/** The options of a list as a form, which leads to an address that can be shared. */
function Narrow({ c, part, path }: { readonly c: PageContext; readonly part: Part; readonly path: string }): Html {
  const { command, values, view } = part
  if (Object.keys(command.options).length === 0) return <></>
  const options = { token: c.get('token'), makeOnce: () => '' }
  return (
    <details open={view.outcome !== 'done'}>
      <summary>Narrow the list</summary>
      <CommandForm
        command={command}
        context={c.get('context')}
        values={values}
        options={options}
        path={path}
        error={view.outcome === 'done' ? undefined : view.text}
      />
    </details>
  )
}

/** Every command that takes one of these as its first target, and that the person may run. */
function Offered({ context, place, name }: { readonly context: CommandContext; readonly place: NamedPlace; readonly name: string }): Html {
  const commands = context.commands.filter((command) => {
    const [first, ...others] = command.targets
    const input = { targets: [name], options: {}, flags: new Set<string>(), confirm: [], plan: undefined }
    const isMeant = first?.subject === place.subject && others.every(({ optional }) => optional) && spelled(command) !== place.shows
    return isMeant && permit(context, command, input).kind === 'permitted'
  })
  const tabs = place.tabs.filter((tab) => tab.needs !== undefined && isOpenTo(context, place, name, tab))
  if (commands.length + tabs.length === 0) return <></>
  return (
    <section aria-labelledby="offered">
      <h2 id="offered">What you can do</h2>
      <ul class="actions">
        {tabs.map((tab) => (
          <li>
            <a class="button" href={addressOf(place, name, tab)}>
              {tab.label}
            </a>
          </li>
        ))}
        {commands.map((command) => (
          <li>
            <a class={`button ${command.effect === 'destroy' ? 'danger' : ''}`} href={pathOf(command, [name])} title={command.summary}>
              {spelled(command)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Rows of stores, images and tasks that have the words. */
async function showSearch(c: PageContext): Promise<Response> {
  const text = (c.req.query('q') ?? '').trim().slice(0, SEARCH_LENGTH_MAX)
  const parts = text === '' ? [] : await Promise.all(SEARCHED.map((line) => runPart(c, { line }, text, false)))
  const words = text.toLowerCase().split(/\s+/)
  const found = parts.map((part) => {
    const rows = part.view.rows.filter((row) => words.every((word) => Object.values(row.cells).join(' ').toLowerCase().includes(word)))
    const shown = rows.slice(0, ROWS_PER_PAGE)
    const view: View = { ...part.view, rows: shown, actions: [], fields: [], text: rows.length === 0 ? 'Nothing found.' : `${rows.length} found.` }
    return { ...part, view }
  })
  return c.html(
    <Page frame={{ ...frameOf(c, 'Search', '/search', []), search: text }}>
      <h1>
        {text === '' ? (
          'Search'
        ) : (
          <>
            Search for <Words text={text} />
          </>
        )}
      </h1>
      {text === '' ? <p>Write a part of a name, a zone, a state or an id.</p> : ''}
      {found.map((part) => (
        <Section c={c} part={part} level={2} />
      ))}
    </Page>,
  )
}

/** Every command that the person may run, by noun. */
function showIndex(c: PageContext): Response | Promise<Response> {
  const context = c.get('context')
  const input = { targets: [], options: {}, flags: new Set<string>(), confirm: [], plan: undefined }
  const allowed = context.commands.filter((command) => permit(context, command, input).kind === 'permitted')
  return c.html(
    <Page frame={frameOf(c, 'Commands', '/c', [])}>
      <h1>Commands</h1>
      <p>The same commands as in the console and in Slack.</p>
      {[...Map.groupBy(allowed, ({ noun }) => noun)].map(([noun, commands]) => (
        <section>
          <h2>{noun}</h2>
          <ul>
            {commands.map((command) => (
              <li>
                <a href={pathOf(command, [])}>{spelled(command)}</a>: {command.summary}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </Page>,
  )
}
