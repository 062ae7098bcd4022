// The page as an application of Hono: what every request passes, the entry, the places, and every command of the table at `/c/<noun>/<verb>/<target…>`.

/** @jsxImportSource hono/jsx */

import { Hono } from 'hono'
import type { Context } from 'hono'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { CONFIRM_FIELD, ONCE_FIELD, TOKEN_FIELD } from '../../protocol/views/html/forms.tsx'
import { CHART_ASSETS } from './charts/assets.ts'
import { addSeries } from './charts/series-routes.ts'
import { runCommandForm, showCommand } from './command-page.tsx'
import { requestAt } from './command-words.ts'
import { compressed } from './compressed.ts'
import { addEntry, beginSession, leave, LoggedOut, sessionSecret } from './entry-routes.tsx'
import { addFiles } from './file-routes.ts'
import { guard, ownOrigin, readForm } from './guard.ts'
import { ASSETS, PlainPage } from './layout.tsx'
import type { PageLoads } from './layout.tsx'
import { createAskedMemory } from './live/asked-memory.ts'
import { createLive } from './live/live.ts'
import { addLive } from './live/live-routes.ts'
import { createMarks } from './live/marks.ts'
import { createOnce } from './once.ts'
import type { PagePerson } from '../entry/entry-links.ts'
import { actorOf } from './person.ts'
import type { PeopleGroups } from './person.ts'
import { addPlaces } from './place-routes.tsx'
import type { PageVariables } from './session-context.ts'
import { placeWithin } from './sign-in/place-within.ts'
import { addSignIn } from './sign-in/sign-in-routes.tsx'
import type { SlackSignIn } from './sign-in/slack-sign-in.ts'
import { addUploads } from './upload-routes.tsx'

/** Commands of the page that run at the same time. Each may ask every store. */
export const RUNNING_MAX = 32
/** Seconds after which a browser that came too early should try again. */
const BUSY_SECONDS = 5

/** Uploads of browsers. */
export interface PageUploads {
  /** Answers requests for pages of upload links and for their uploads, which need no session, and for the files of upload pages. */
  answer(request: Request): Response | Promise<Response>
  /** Returns what upload pages load. */
  loads(): Promise<PageLoads>
}

export interface PageAppDeps {
  readonly uploads: PageUploads
  readonly bot: Pick<OpenBot, 'context' | 'page' | 'roles' | 'clock' | 'database'>
  readonly groups: PeopleGroups
  readonly log: Log
  /** Origin under which a proxy serves the page. */
  readonly publicUrl: string | undefined
  /** Lets people of Slack enter without a link; needs a public origin with TLS. */
  readonly signIn?: SlackSignIn
  /** Ends the streams of live pages, because the service stops. */
  readonly stopping?: AbortSignal
}

/** Creates the application. */
export function createPageApp(deps: PageAppDeps): Hono<{ Variables: PageVariables }> {
  const { bot, publicUrl, log } = deps
  const app = new Hono<{ Variables: PageVariables }>()
  const isSecure = (c: Context): boolean => ownOrigin(c.req.header('host'), publicUrl)?.startsWith('https:') ?? false
  const once = createOnce()
  const marks = createMarks(bot.database, bot.roles)
  const memory = createAskedMemory()
  const live = createLive({ ...deps, marks, memory, stopping: deps.stopping })
  let running = 0

  app.use(compressed)
  app.use(guard(publicUrl))
  app.onError((error, c) => {
    log.error('a request to the page failed', { error, path: c.req.path.split('/').slice(0, 2).join('/') })
    return c.html(
      <Failed title="This failed" text="The bot could not make this page, and logged why. Try again; if it fails again, look at the log of the service." />,
      500,
    )
  })
  app.notFound((c) => c.html(<Failed title="There is nothing here" text="The address names no place of the page. Begin at the home page." />, 404))
  for (const { path, type, text } of [...ASSETS, ...CHART_ASSETS]) {
    app.get(path, (c) => c.body(text, 200, { 'Content-Type': type, 'Cache-Control': 'public, max-age=31536000, immutable' }))
  }
  const { signIn } = deps
  if (signIn && publicUrl !== undefined) addSignIn(app, { signIn, publicUrl, isPublic: isSecure, enter: (c, person) => enterBySlack(c, deps, person) })
  addEntry(app, bot.page, isSecure)
  const { uploads } = deps
  for (const path of ['/u/*', '/assets/*']) app.all(path, (c) => uploads.answer(c.req.raw))

  app.use(async (c, next) => {
    const secret = sessionSecret(c, isSecure(c))
    const session = secret === undefined ? undefined : bot.page.sessions.find(secret)
    if (secret === undefined || !session) return c.html(<LoggedOut signInTo={signIn && isSecure(c) ? placeAsked(c) : undefined} />, 401)
    if (running >= RUNNING_MAX) {
      c.header('Retry-After', String(BUSY_SECONDS))
      return c.html(<Failed title="The bot is busy" text="Too many pages are being made. Nothing was changed. Load this page again in a few seconds." />, 503)
    }
    running++
    try {
      const actor = await actorOf(session.person, bot.roles, deps.groups)
      c.set('session', session)
      c.set('actor', actor)
      c.set('context', memory.noting(bot.context(actor, 'page')))
      c.set('marks', marks)
      c.set('token', tokenOf(secret))
      await next()
      if (c.req.method === 'GET') memory.showed(session.id, new URL(c.req.url))
    } finally {
      running--
    }
    return undefined
  })

  addUploads(app, uploads.loads)
  addFiles(app)
  addPlaces(app)
  addLive(app, live)
  addSeries(app)
  app.get('/c/*', (c) => {
    const url = new URL(c.req.url)
    const request = requestAt(c.get('context').commands, url.pathname, [...url.searchParams])
    return request ? showCommand(c, request) : c.notFound()
  })
  app.post('*', async (c) => {
    const fields = await readForm(c)
    if (typeof fields === 'number') return c.html(<Failed title="The form was not read" text={FORM_REFUSALS[fields]} />, fields)
    const given = (name: string): string => fields.find(([field]) => field === name)?.[1] ?? ''
    if (given(TOKEN_FIELD) !== c.get('token'))
      return c.html(
        <Failed title="This form is not valid" text="It does not belong to this session. Nothing was changed. Load the page with the form again." />,
        403,
      )
    if (c.req.path === '/leave') return leave(c, bot.page, isSecure(c))
    const request = requestAt(c.get('context').commands, new URL(c.req.url).pathname, fields)
    if (!request) return c.notFound()
    const isNew = given(CONFIRM_FIELD) !== '' || once.use(`${c.get('session').id} ${given(ONCE_FIELD)}`)
    if (!isNew) {
      const text =
        'This form was sent already, and runs once. Nothing was done a second time. The audit log shows what it did; go back and load the page for a new form.'
      return c.html(<Failed title="Sent already" text={text} />, 409)
    }
    return runCommandForm(c, request)
  })
  return app
}

/** Begins the session of somebody whom Slack named, and records it: a link is in the audit log as the command that made it. */
async function enterBySlack(c: Context, { bot, groups }: PageAppDeps, person: PagePerson): Promise<void> {
  const actor = await actorOf(person, bot.roles, groups)
  const { audit } = bot.context(actor, 'page')
  const { name, role } = actor
  audit.append({ timeMs: bot.clock.nowMs(), actor: name, role, surface: 'page', command: 'web', target: '', outcome: 'done', detail: 'Signed in with Slack.' })
  beginSession(c, bot.page, person, true)
}

/** The place that a request without a session asked for; a form that was sent is not sent again. */
function placeAsked(c: Context): string {
  const { pathname, search } = new URL(c.req.url)
  return c.req.method === 'GET' ? placeWithin(pathname + search) : '/'
}

const FORM_REFUSALS = {
  400: 'It has too many fields. Nothing was changed.',
  413: 'It is too long. Nothing was changed. Shorten its texts.',
  415: 'It is not a form of this page. Nothing was changed.',
} as const

/** The token of a session's forms. It follows from the cookie, which another site can neither read nor guess. */
function tokenOf(secret: string): string {
  return new Bun.CryptoHasher('sha256').update(`form ${secret}`).digest('base64url')
}

function Failed({ title, text }: { readonly title: string; readonly text: string }) {
  return (
    <PlainPage title={title}>
      <h1>{title}</h1>
      <p>{text}</p>
      <p>
        <a href="/">Home</a>
      </p>
    </PlainPage>
  )
}
