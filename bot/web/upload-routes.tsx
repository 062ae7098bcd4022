// The upload page of a store: files are chosen in Uppy's Dashboard, and each one that is sent gets an upload link of its own, made by the command `image upload`. From
// then on the upload is that of a link, so it goes on when the session ends.

/** @jsxImportSource hono/jsx */

import type { Hono } from 'hono'
import { makeProblem } from '../../protocol/problems.ts'
import type { Problem, ProblemCode } from '../../protocol/problems.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { Words } from '../../protocol/views/html/words.tsx'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { Command, CommandContext } from '../commands/command.ts'
import { permit } from '../commands/permit.ts'
import { spelled } from '../commands/record.ts'
import { runParsed } from '../commands/run.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { TOKEN_FIELD } from '../../protocol/views/html/forms.tsx'
import { hrefOf, parseRequest } from './command-words.ts'
import { readForm, SECURITY_HEADERS } from './guard.ts'
import { Page } from './layout.tsx'
import type { PageLoads } from './layout.tsx'
import { NAMED_PLACES } from './places.ts'
import { Tabs } from './tabs.tsx'
import type { PageContext, PageVariables } from './session-context.ts'

/** Most files that are chosen at once: all links of a store's token together may have 100 unfinished uploads. */
const FILES_MAX = 20
/** How long the link of a file waits for its upload, which the script begins at once. */
const LINK_LIFE = '10m'
/** The length of a file in bytes: as many digits as a safe integer has. */
const LENGTH = /^\d{1,15}$/
const COMMAND = 'image upload'
const PATH = '/stores/:name/upload'

/** Adds the routes. `loads` returns the addresses of Uppy, which only this page loads. */
export function addUploads(app: Hono<{ Variables: PageVariables }>, loads: () => Promise<PageLoads>): void {
  app.get(PATH, (c) => showUploads(c, loads))
  app.post(PATH, (c) => makeLink(c))
}

/** The store to which the person of a request may upload; or why not. */
type Target = { readonly kind: 'store'; readonly store: StoreRecord; readonly command: Command } | { readonly kind: 'refused'; readonly problem: Problem }

function targetOf(context: CommandContext, name: string): Target {
  const command = context.commands.find((candidate) => spelled(candidate) === COMMAND)
  const store = context.fleet.registry.find(name)
  if (!command || !store) {
    const action = 'Open the stores and choose one.'
    return { kind: 'refused', problem: makeProblem('not-found', `There is no store ${name}.`, { action }) }
  }
  const permission = permit(context, command, { ...NOTHING, options: { store: name } })
  if (permission.kind === 'permitted') return { kind: 'store', store, command }
  const detail = `Uploads to ${store.name} need the role ${command.role}; you have ${permission.has}.`
  return { kind: 'refused', problem: makeProblem('forbidden', detail, { action: 'Ask an admin of the bot to give you the role.' }) }
}

const NOTHING = { targets: [], options: {}, flags: new Set<string>(), confirm: [], plan: undefined }

async function showUploads(c: PageContext, loads: () => Promise<PageLoads>): Promise<Response> {
  const name = c.req.param('name') ?? ''
  const target = targetOf(c.get('context'), name)
  const path = pathOf(target.kind === 'store' ? target.store.name : name)
  const frame = { title: `Upload to ${name}`, path, actor: c.get('actor'), token: c.get('token') }
  if (target.kind === 'refused') {
    const { title, detail, action, status } = target.problem
    return c.html(
      <Page frame={{ ...frame, title }}>
        <h1>{title}</h1>
        <p>
          <Words text={`${detail} ${action}`} />
        </p>
        <p>
          <a href="/stores">Stores</a>
        </p>
      </Page>,
      status === 403 ? 403 : 404,
    )
  }
  const { store } = target
  return c.html(
    <Page frame={{ ...frame, loads: await loads() }}>
      <UploadTabs c={c} store={store} />
      <Uploader store={store} token={c.get('token')} linkHref={hrefOf(target.command, { ...NOTHING, options: { store: store.name } })} />
    </Page>,
    200,
    { 'Content-Security-Policy': policyFor(new URL(store.url).origin) },
  )
}

function UploadTabs({ c, store }: { readonly c: PageContext; readonly store: StoreRecord }): Html {
  const place = NAMED_PLACES.find(({ subject }) => subject === 'store')
  const tab = place?.tabs.find(({ slug }) => slug === 'upload')
  return place && tab ? <Tabs context={c.get('context')} place={place} name={store.name} current={tab} /> : <></>
}

function Uploader({ store, token, linkHref }: { readonly store: StoreRecord; readonly token: string; readonly linkHref: string }): Html {
  const { name, stoppedSinceMs } = store
  return (
    <>
      <h1>
        Upload to <Words text={name} />
      </h1>
      <p id="sentence" role="status">
        {stoppedSinceMs === null
          ? 'Choose files, or drop them here.'
          : `${name} has not answered since ${formatAt(stoppedSinceMs)}. An upload begins when it answers again.`}
      </p>
      <noscript>
        <p>This page needs JavaScript to read files. Without it, make a link, and upload with curl.</p>
      </noscript>
      <div id="uploader" data-links={pathOf(name)} data-token={token} data-store={name} data-files-max={FILES_MAX}></div>
      <ul id="results" class="notes" aria-live="polite" aria-label="Files"></ul>
      <p>
        Each file becomes an image with the name of the file. With the pencil of a file you give the image another name, or the digest that the file must have.
        You can close the page: choose the same file again, and its upload continues where it stopped.
      </p>
      <p>
        For a file on another machine, or of another person: <a href={linkHref}>make an upload link</a>.
      </p>
    </>
  )
}

/** Makes the link for one file. Only the script of the page asks for it. */
async function makeLink(c: PageContext): Promise<Response> {
  const fields = await readForm(c)
  if (typeof fields === 'number') return refuse(fields === 413 ? 'payload-too-large' : 'invalid-input', 'This is not a form of the page.')
  const given = (name: string): string => fields.find(([field]) => field === name)?.[1] ?? ''
  if (given(TOKEN_FIELD) !== c.get('token')) return refuse('forbidden', 'The form does not belong to this session.', 'Load the page again.')
  const context: CommandContext = { ...c.get('context'), signal: c.req.raw.signal, via: 'form' }
  const target = targetOf(context, c.req.param('name') ?? '')
  if (target.kind === 'refused') return answerProblem(target.problem)
  const length = given('length')
  if (!LENGTH.test(length)) return refuse('invalid-input', 'The length of the file is not a number of bytes.')
  const order = { store: target.store.name, name: given('name').trim(), digest: given('digest').trim(), for: LINK_LIFE, max: `${Math.max(1, Number(length))}B` }
  const view = await runParsed(context, parseRequest(context.commands, { command: target.command, targets: [], fields: Object.entries(order) }))
  const made = view.json as { readonly page?: string; readonly error?: Problem }
  if (made.page !== undefined)
    return Response.json({ uploads: `${new URL(made.page).pathname}/files` }, { status: 201, headers: { 'Cache-Control': 'no-store' } })
  return made.error
    ? answerProblem(made.error)
    : refuse('internal', 'The bot does not serve its page any more.', 'Start the service, then open the page again.')
}

function refuse(code: ProblemCode, detail: string, action?: string): Response {
  return answerProblem(makeProblem(code, detail, action === undefined ? {} : { action }))
}

function answerProblem(problem: Problem): Response {
  return Response.json(problem, { status: problem.status, headers: { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' } })
}

function pathOf(name: string): string {
  return `/stores/${encodeURIComponent(name)}/upload`
}

/** The policy of the page: besides the bot, its script talks to the agent. Uppy shows the icons of files as images in their own addresses. */
function policyFor(agent: string): string {
  return (SECURITY_HEADERS['Content-Security-Policy'] ?? '')
    .replace("connect-src 'self'", `connect-src 'self' ${agent}`)
    .replace("img-src 'self'", "img-src 'self' data: blob:")
}
