// A command as a page: a look runs at once, everything else shows its form first and runs when the form is sent. It passes the same parser, role check, plan and audit
// log as a line of the console.

/** @jsxImportSource hono/jsx */

import { mayRun } from '../commands/permit.ts'
import { valuesOf } from '../commands/form.ts'
import type { FormValues } from '../../protocol/views/form-field.ts'
import type { CommandContext } from '../commands/command.ts'
import type { Parsed } from '../commands/parse.ts'
import { changesSomething, spelled } from '../commands/record.ts'
import { parseLine, runParsed } from '../commands/run.ts'
import { CONFIRM_FIELD } from '../../protocol/views/html/forms.tsx'
import type { Html } from '../../protocol/views/html/html.ts'
import { Notes, ViewSection } from '../../protocol/views/html/view.tsx'
import { Words } from '../../protocol/views/html/words.tsx'
import type { View } from '../../protocol/views/view.ts'
import { CHART_LOADS } from './charts/assets.ts'
import { chosenIn } from './choose.ts'
import type { ChosenRefusal } from './choose.ts'
import { CommandForm, isShareable } from './command-form.tsx'
import { HelpPanel } from './help-panel.tsx'
import { hrefOf, parseRequest, pathOf, targetsOf, seriesHrefOf } from './command-words.ts'
import type { CommandRequest } from './command-words.ts'
import { Page } from './layout.tsx'
import { isMoving, partsAt, Section, showParts } from './parts.tsx'
import type { Part, ShownPart } from './parts.tsx'
import { htmlOptions, lookOf } from './session-context.ts'
import type { Look, PageContext } from './session-context.ts'

/** Answers a request for a page of a command. */
export async function showCommand(c: PageContext, request: CommandRequest): Promise<Response> {
  const { command } = request
  const context = c.get('context')
  const chosen = chosenIn(request)
  if (chosen?.kind === 'address') return c.redirect(chosen.href, 303)
  const parsed = parseRequest(context.commands, request)
  const isLook = parsed.kind === 'command' && !changesSomething(command, parsed.input)
  if (!isLook && !mayRun(context, command)) return answer(c, request, { status: 403 })
  if (chosen) return answer(c, request, { status: 422, form: { values: {}, error: chosen.text, ways: chosen.ways } })
  // What a form asks for gets the address that it would have had as a link, so that the address can be shared.
  const named = command.targets.some(({ name }) => request.fields.some(([field, value]) => field === name && value.trim() !== ''))
  if (named && isShareable(command)) {
    const path = pathOf(command, targetsOf(request))
    if (!path.includes('?')) return c.redirect(withQuery(path, request), 303)
  }
  const lacksTarget = parsed.kind === 'unclear' && request.fields.length === 0
  if (!isLook) return answer(c, request, { status: 200, form: lacksTarget ? { values: {} } : formState(parsed, request) })
  const view = await runParsed({ ...context, signal: c.req.raw.signal }, parsed)
  return answer(c, request, { status: statusOf(view), view, ...(hasForm(request) ? { form: formState(parsed, request) } : {}) })
}

/** Runs a command whose form was sent. */
export async function runCommandForm(c: PageContext, request: CommandRequest): Promise<Response> {
  const { command } = request
  const context = c.get('context')
  const typed = request.fields.some(([name]) => name === CONFIRM_FIELD)
  const asked: CommandContext = { ...context, via: typed ? 'confirmation' : 'form' }
  const parsed = parseRequest(context.commands, request)
  // Whoever may not run the command learns that, and not how to spell it.
  if (parsed.kind === 'unclear' && !mayRun(context, command)) return answer(c, request, { status: 403 })
  const view = await runParsed(asked, parsed)
  if (typed && view.outcome === 'refused' && !view.confirm && parsed.kind === 'command') {
    // The name was another one: the plan is shown again, with the reason beside the input.
    const again = await runParsed(context, { ...parsed, input: { ...parsed.input, confirm: [], plan: undefined } })
    if (again.confirm) return answer(c, request, { status: 422, view: again, nameError: view.text })
  }
  const needsForm = view.outcome === 'unclear' || (view.outcome === 'failed' && hasForm(request))
  return answer(c, request, { status: statusOf(view), view, ...(needsForm && !view.form ? { form: { ...formState(parsed, request), error: view.text } } : {}) })
}

interface FormState {
  readonly values: FormValues
  readonly error?: string | undefined
  /** What leads on instead. */
  readonly ways?: ChosenRefusal['ways']
}

interface Answer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 502
  readonly view?: View
  /** The form below, or instead of, an answer. */
  readonly form?: FormState
  readonly nameError?: string
}

async function answer(c: PageContext, request: CommandRequest, { status, view, form, nameError }: Answer): Promise<Response> {
  const { command } = request
  const context = c.get('context')
  const title = view?.title ?? spelled(command)
  const look = lookOf(c)
  const live = view && (await liveAnswer(look, { command, view, values: {} }, c.req.method))
  const options = { token: c.get('token'), makeOnce: () => crypto.randomUUID() }
  const asked = view?.charts?.length ? parseRequest(context.commands, request) : undefined
  const seriesHref = asked?.kind === 'command' ? seriesHrefOf(asked.command, asked.input) : undefined
  const frame = {
    title,
    path: pathOf(command, request.targets),
    actor: c.get('actor'),
    token: c.get('token'),
    ...(seriesHref === undefined ? {} : { loads: CHART_LOADS }),
    ...(live ? { live: { address: live.url.pathname + live.url.search, mark: '' } } : {}),
  }
  const isAllowed = mayRun(context, command)
  return c.html(
    <Page frame={frame}>
      {live ? (
        <>
          <Section look={look} part={live.part} />
          <Notes notes={live.notes} />
        </>
      ) : view ? (
        <ViewSection view={view} options={htmlOptions(look, view, command, { level: 1, nameError, seriesHref })} />
      ) : (
        <Heading title={title} summary={command.summary} />
      )}
      {view ? <HelpPanel view={view} command={command} /> : ''}
      {view === undefined && form?.error !== undefined ? <Complaint text={form.error} /> : ''}
      {form?.ways?.length ? <Ways ways={form.ways} /> : ''}
      {isAllowed ? '' : <Refusal context={context} role={command.role} />}
      {form && isAllowed ? (
        <Folded isOpen={view === undefined || form.error !== undefined} summary={view ? `Change what ${spelled(command)} is asked` : undefined}>
          <CommandForm command={command} context={context} values={form.values} options={options} error={form.error} />
        </Folded>
      ) : (
        ''
      )}
    </Page>,
    status,
  )
}

interface LiveAnswer {
  /** What the page looks at again. */
  readonly url: URL
  readonly part: ShownPart
  /** What the part does not say. */
  readonly notes: readonly string[]
}

/**
 * Returns an answer that goes on as a part that changes by itself; undefined for all others: what a look costs is known for places, and not for every
 * command. The answer of a form cannot be asked for again, so what watches its work takes its place.
 */
async function liveAnswer(look: Look, answered: Part, method: string): Promise<LiveAnswer | undefined> {
  const { view } = answered
  if (view.isPrivate || !isMoving(view)) return undefined
  if (method === 'GET') {
    const [part] = await showParts(look, [answered])
    return part && { url: look.url, part, notes: [] }
  }
  const watched = view.watch === undefined ? undefined : parseLine(look.context, view.watch)
  if (watched?.kind !== 'command') return undefined
  const url = new URL(hrefOf(watched.command, watched.input), look.url)
  const there = { ...look, url }
  const [part] = await showParts(there, (await partsAt(there)) ?? [])
  return part && { url: there.url, part, notes: view.notes }
}

function Heading({ title, summary }: { readonly title: string; readonly summary: string }): Html {
  return (
    <>
      <h1>{title}</h1>
      <p class="text">{summary}.</p>
    </>
  )
}

function Complaint({ text }: { readonly text: string }): Html {
  return (
    <p class="error">
      <Words text={text} />
    </p>
  )
}

function Ways({ ways }: { readonly ways: ChosenRefusal['ways'] }): Html {
  return (
    <ul class="actions">
      {ways.map(({ label, href }) => (
        <li>
          <a class="button" href={href}>
            <Words text={label} />
          </a>
        </li>
      ))}
    </ul>
  )
}

function Refusal({ context: { actor }, role }: { readonly context: CommandContext; readonly role: string }): Html {
  return <Complaint text={`This needs the role ${role}; you have ${actor.role}. Ask an admin of the bot to run it or to give you the role.`} />
}

/** A part that can be opened, unless it is all that the page shows. */
function Folded({ isOpen, summary, children }: { readonly isOpen: boolean; readonly summary: string | undefined; readonly children: Html }): Html {
  if (summary === undefined) return children
  return (
    <details open={isOpen}>
      <summary>{summary}</summary>
      {children}
    </details>
  )
}

/** What the fields of the form begin with: what the request gave, without secrets. */
function formState(parsed: Parsed, request: CommandRequest): FormState {
  const { command, fields } = request
  if (parsed.kind === 'command') return { values: valuesOf(command, parsed.input) }
  const given: Record<string, string> = {}
  for (const [i, target] of targetsOf(request).entries()) {
    const spec = command.targets[i] ?? command.targets.at(-1)
    if (spec && !spec.secret) given[spec.name] = given[spec.name] === undefined ? target : `${given[spec.name]}\n${target}`
  }
  for (const [name, value] of fields) if (!(command.options[name]?.secret ?? false) && (name in command.options || name.startsWith('--'))) given[name] = value
  const isComplaint = fields.some(([name, value]) => !name.startsWith('_') && value !== '')
  return { values: given, ...(isComplaint ? { error: `${parsed.detail} ${parsed.action}` } : {}) }
}

/** Whether a command has a form worth showing: options, flags, or targets that were not given in the address. */
function hasForm({ command }: CommandRequest): boolean {
  return Object.keys(command.options).length + Object.keys(command.flags).length + command.targets.length > 0
}

/** The status for programs; people read the answer. */
function statusOf(view: View): Answer['status'] {
  if (view.outcome === 'done' || view.confirm || view.form) return 200
  if (view.outcome === 'unclear') return 422
  const json = view.json as { error?: { status?: number } } | null
  const status = json?.error?.status
  if (status === 400 || status === 403 || status === 404 || status === 409 || status === 422) return status
  return view.outcome === 'refused' ? 409 : 502
}

function withQuery(path: string, { command, fields }: CommandRequest): string {
  const rest = fields
    .filter(([name, value]) => value !== '' && !command.targets.some((target) => target.name === name))
    .map(([name, value]): [string, string] => [name, value])
  return rest.length === 0 ? path : `${path}?${new URLSearchParams(rest).toString()}`
}
