// The places of the page: home, lists, one store, one image, the search and the index of commands. Each is made of commands that only look.

/** @jsxImportSource hono/jsx */

import type { Hono } from 'hono'
import { permit } from '../commands/permit.ts'
import { spelled } from '../commands/record.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { ViewSection } from '../../protocol/views/html/view.tsx'
import { Words } from '../../protocol/views/html/words.tsx'
import type { View } from '../../protocol/views/view.ts'
import { CHART_LOADS } from './charts/assets.ts'
import { CommandForm } from './command-form.tsx'
import { pathOf } from './command-words.ts'
import { HelpPanel } from './help-panel.tsx'
import { Page } from './layout.tsx'
import { Offered } from './offered.tsx'
import { scopeOf } from './live/scope.ts'
import { isMoving, partsAt, runPart, Section, showParts } from './parts.tsx'
import type { Part } from './parts.tsx'
import { placeAt } from './place-at.ts'
import { NAMED_PLACES, PLACES, SEARCHED } from './places.ts'
import { ROWS_PER_PAGE } from '../../protocol/views/html/row-window.ts'
import { htmlOptions, lookOf } from './session-context.ts'
import type { PageContext, PageVariables } from './session-context.ts'
import { addressOf, Tabs } from './tabs.tsx'

/** Longest text of a search in characters. */
const SEARCH_LENGTH_MAX = 200

/** Adds the routes of the places. */
export function addPlaces(app: Hono<{ Variables: PageVariables }>): void {
  for (const { path } of PLACES) app.get(path, (c) => showAt(c))
  for (const { path } of NAMED_PLACES) {
    app.get(`${path}:name`, (c) => showAt(c))
    app.get(`${path}:name/:tab`, (c) => showAt(c))
  }
  app.get('/search', (c) => showSearch(c))
  app.get('/c', (c) => showIndex(c))
}

/** Shows the place of the address. What is known before it looks is its mark: whatever changes meanwhile is news for the live page. */
async function showAt(c: PageContext): Promise<Response> {
  const look = lookOf(c)
  const at = placeAt(look.url.pathname)
  const mark = c.get('marks').of(scopeOf(look.url))
  const parts = at && (await partsAt(look))
  if (!at || !parts) return c.notFound()
  const shown = await showParts(look, parts)
  const isMarked = !parts.some(({ view }) => isMoving(view))
  const [only] = parts.length === 1 ? parts : []
  const name = at.kind === 'named' ? at.name : undefined
  const title = at.kind === 'named' ? `${at.name}: ${at.tab.label}` : at.place.label
  const path = at.kind === 'named' ? addressOf(at.place, at.name, at.tab) : at.place.path
  return c.html(
    <Page frame={{ ...frameOf(c, title, path), ...loadsOf(parts), live: { address: look.url.pathname + look.url.search, mark: isMarked ? mark : '' } }}>
      {at.kind === 'named' && at.place.tabs.length > 1 ? <Tabs context={look.context} place={at.place} name={at.name} current={at.tab} /> : ''}
      {at.kind === 'list' && !only ? <h1>{title}</h1> : ''}
      {shown.map((part, i) => (
        <>
          <Section look={look} part={part} />
          {parts[i] ? <HelpPanel {...parts[i]} /> : ''}
        </>
      ))}
      {at.kind === 'list' && only ? <Narrow c={c} part={only} path={path} /> : ''}
      {at.kind === 'named' && at.tab.slug === '' && name !== undefined ? (
        <Offered context={c.get('context')} place={at.place} name={name} view={parts[0]?.view} />
      ) : (
        ''
      )}
    </Page>,
  )
}

function loadsOf(parts: readonly Part[]) {
  return parts.some(({ view }) => view.charts?.length) ? { loads: CHART_LOADS } : {}
}

function frameOf(c: PageContext, title: string, path: string) {
  return { title, path, actor: c.get('actor'), token: c.get('token') }
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

/** Rows of stores, images and tasks that have the words. */
async function showSearch(c: PageContext): Promise<Response> {
  const look = lookOf(c)
  const text = (c.req.query('q') ?? '').trim().slice(0, SEARCH_LENGTH_MAX)
  const parts = text === '' ? [] : await Promise.all(SEARCHED.map((line) => runPart(look, { line }, text, false)))
  const words = text.toLowerCase().split(/\s+/)
  const found = parts.map((part) => {
    const rows = part.view.rows.filter((row) => words.every((word) => Object.values(row.cells).join(' ').toLowerCase().includes(word)))
    const shown = rows.slice(0, ROWS_PER_PAGE)
    const view: View = { ...part.view, rows: shown, actions: [], fields: [], text: rows.length === 0 ? 'Nothing found.' : `${rows.length} found.` }
    return { ...part, view }
  })
  return c.html(
    <Page frame={{ ...frameOf(c, 'Search', '/search'), search: text }}>
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
        <ViewSection view={part.view} options={htmlOptions(look, part.view, part.command, { level: 2 })} />
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
    <Page frame={frameOf(c, 'Commands', '/c')}>
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
