// The page of an agent, for a person with a browser and without a bot: health, images, uploads, tasks and events. It only reads, works without JavaScript, and
// is rendered here from the same Views as the page of the bot. A token that was entered once becomes a session.

/** @jsxImportSource hono/jsx */

import { z } from 'zod'
import { eventSchema, severitySchema } from '../../../protocol/event.ts'
import { imageSchema } from '../../../protocol/images/image.ts'
import { pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { uploadSchema } from '../../../protocol/upload.ts'
import type { Html } from '../../../protocol/views/html/html.ts'
import { PAGE_ICON, PAGE_STYLE } from '../../../protocol/views/html/page-style.ts'
import { ViewSection } from '../../../protocol/views/html/view.tsx'
import type { View } from '../../../protocol/views/view.ts'
import { PAGE_LIFE_MS } from '../../access/page-sessions.ts'
import type { PageSessions } from '../../access/page-sessions.ts'
import type { Clock } from '../../contract/runtime.ts'
import { relativeHref } from '../page/addresses.ts'
import { createEntryLimit } from '../page/entry-limit.ts'
import { ENTER_PATH, NEXT_FIELD, placeOf, refusalPage, TOKEN_FIELD } from '../page/entry-page.tsx'
import { given, htmlOptions, listWindow } from '../page/html-options.ts'
import { imageList, imageListQuery } from '../page/image-list.tsx'
import { FORM_TOKEN_FIELD, ICON_PATH, LEAVE_PATH, Page, pageAnswer, PlainPage, STYLE_PATH } from '../page/layout.tsx'
import { overview } from '../page/overview.tsx'
import { FORM_MEDIA_TYPE, readForm, requireOwnForm } from '../page/own-form.ts'
import { createOwnRoutes } from '../page/own-routes.ts'
import { readSessionCookie, sessionCookieName, writeSessionCookie } from '../page/session-cookie.ts'
import { eventsView, imageView, tasksView, uploadsView } from '../page/views.ts'
import { CREDENTIAL_LENGTH_MAX } from '../middleware/authenticate.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'
import { eventIdSchema } from './events.ts'
import { taskCursorSchema } from './tasks.ts'
import { uploadCursorSchema } from './uploads/uploads.ts'

/** Rows that a list reads; an older part of the list has its own address. */
const LIST_ROWS = '500'
/** Seconds for which browsers keep the stylesheet and the icon. */
const ASSET_SECONDS = 300
const WORDS_LENGTH_MAX = 200

export interface PageRoutesDeps {
  readonly storeId: string
  readonly storeName: () => string
  readonly sessions: PageSessions
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>
  /** All routes of the agent, which the page reads. */
  readonly routes: () => readonly Route[]
}

/** Fields of the address of a list that say which of its rows are shown. */
const listQuery = z.object({
  _find: z.string().max(WORDS_LENGTH_MAX).optional(),
  _sort: z.string().max(WORDS_LENGTH_MAX).optional(),
  _order: z.string().max(WORDS_LENGTH_MAX).optional(),
  _page: z.string().max(WORDS_LENGTH_MAX).optional(),
})
const eventQuery = listQuery.extend({ cursor: eventIdSchema.optional(), severity: z.enum(['', ...severitySchema.options]).optional() })
const paramsSchema = z.object({ id: z.string().min(1).max(255) })
const HTML = { 200: { description: 'The page', mediaType: 'text/html' } }

/** Returns the routes of the page. */
export function pageRoutes(deps: PageRoutesDeps): Route[] {
  const { sessions, clock } = deps
  const cookie = sessionCookieName(deps.storeId)
  const own = createOwnRoutes(deps.routes)
  const access = { role: 'viewer', cookie } as const
  const shared = { method: 'GET', access, refusalPage, answers: HTML } as const

  /** Answers with a page of somebody who has entered a token. */
  const show = async ({ request, url, actor }: Pick<RouteContext, 'request' | 'url' | 'actor'>, title: string, content: Html): Promise<Response> => {
    const secret = request.headers.has('authorization') ? undefined : readSessionCookie(request, cookie)
    const formToken = secret === undefined ? undefined : await sessions.formToken(secret)
    return pageAnswer(<Page frame={{ title, path: url.pathname, actor, formToken }}>{content}</Page>)
  }
  /** Answers with a list and the address of its older part. */
  const showList = (context: Pick<RouteContext, 'request' | 'url' | 'actor'>, view: View, query: z.infer<typeof listQuery>, next: string | null) => {
    const path = context.url.pathname
    const older = new URLSearchParams({ ...given({ ...query, _page: undefined }), ...(next === null ? {} : { cursor: next }) })
    return show(
      context,
      view.title,
      <>
        <ViewSection view={view} options={htmlOptions({ path, nowMs: clock.nowMs(), level: 1, window: () => listWindow(view, path, query) })} />
        <nav class="pager" aria-label={`More of ${view.title}`}>
          <a href={relativeHref(path, path)}>Load again</a> {next === null ? '' : <a href={`${relativeHref(path, path)}?${older.toString()}`}>Older</a>}
        </nav>
      </>,
    )
  }

  return [
    route({
      ...shared,
      path: '/',
      htmlOnly: true,
      summary: 'Shows the page of the store to a browser: health, and the newest uploads, tasks and events',
      description: 'Clients that do not ask for `text/html` get 404: this address is for people.',
      problems: ['not-found'],
      query: listQuery.pick({ _sort: true, _order: true }),
      run: async (context) => show(context, deps.storeName(), await overview(own, context, context.query, clock.nowMs())),
    }),
    route({
      ...shared,
      path: '/page/images',
      summary: 'Shows images as a page, with a filter',
      query: imageListQuery,
      run: async (context) => show(context, 'Images', await imageList(own, context, context.query, clock.nowMs())),
    }),
    route({
      ...shared,
      path: '/page/images/:id',
      summary: 'Shows one image as a page',
      problems: ['conflict', 'origin-unreachable', 'limit-reached'],
      params: paramsSchema,
      async run(context) {
        const image = await own.read(context, imageSchema, '/v1/images/:id', { params: context.params })
        const view = imageView(image, clock.nowMs())
        const options = htmlOptions({ path: '/page/images/id', nowMs: clock.nowMs(), level: 1, window: () => listWindow(view, '/page/images/id', {}) })
        return show(context, image.name, <ViewSection view={view} options={options} />)
      },
    }),
    route({
      ...shared,
      path: '/page/uploads',
      summary: 'Shows uploads in progress as a page',
      query: listQuery.extend({ cursor: uploadCursorSchema.optional() }),
      async run(context) {
        const { cursor } = context.query
        const { items, next } = await own.read(context, pageSchema(uploadSchema), '/v1/uploads', { query: { limit: LIST_ROWS, cursor } })
        return showList(context, uploadsView(items, clock.nowMs()), context.query, next)
      },
    }),
    route({
      ...shared,
      path: '/page/tasks',
      summary: 'Shows tasks as a page',
      query: listQuery.extend({ cursor: taskCursorSchema.optional() }),
      async run(context) {
        const { cursor } = context.query
        const { items, next } = await own.read(context, pageSchema(taskSchema), '/v1/tasks', { query: { limit: LIST_ROWS, cursor } })
        return showList(context, tasksView(items, deps.storeName(), clock.nowMs()), context.query, next)
      },
    }),
    route({
      ...shared,
      path: '/page/events',
      summary: 'Shows events as a page',
      query: eventQuery,
      async run(context) {
        const { cursor, severity } = context.query
        const { items, next } = await own.read(context, pageSchema(eventSchema), '/v1/events', { query: { limit: LIST_ROWS, cursor, severity } })
        return showList(context, eventsView(items, clock.nowMs()), context.query, next)
      },
    }),
    ...sessionRoutes(deps, cookie),
    asset(STYLE_PATH, 'text/css; charset=utf-8', PAGE_STYLE),
    asset(ICON_PATH, 'image/svg+xml', PAGE_ICON),
  ]
}

/** The forms that begin and end a session. */
function sessionRoutes({ sessions, clock }: PageRoutesDeps, cookie: string): Route[] {
  const limit = createEntryLimit(clock)
  const bodies = { [FORM_MEDIA_TYPE]: 'The fields of the form' }
  return [
    route({
      method: 'POST',
      path: ENTER_PATH,
      access: 'public',
      refusalPage,
      bodies,
      summary: 'Begins a session of the page with a token',
      description: 'The session is a cookie that only the page accepts. Too many wrong tokens from one address are refused for a minute.',
      problems: ['forbidden', 'limit-reached'],
      answers: { 303: { description: 'The session has begun; leads to the page' } },
      async run({ request, url, remoteAddress = 'unknown' }) {
        requireOwnForm(request)
        const form = await readForm(request)
        const token = form.get(TOKEN_FIELD)?.trim() ?? ''
        if (token === '') throw problem('invalid-input', 'The form has no token.', { action: 'Enter a token.' })
        limit.begin(remoteAddress)
        const secret = token.length > CREDENTIAL_LENGTH_MAX ? undefined : await sessions.begin(token)
        if (secret === undefined)
          throw problem('unauthenticated', 'The token is unknown or has expired.', {}, { headers: { 'WWW-Authenticate': 'Bearer realm="slipway"' } })
        limit.succeed(remoteAddress)
        const headers = {
          Location: relativeHref(url.pathname, placeOf(form.get(NEXT_FIELD) ?? '/')),
          'Set-Cookie': writeSessionCookie(request, cookie, secret, PAGE_LIFE_MS / 1000),
          'Cache-Control': 'no-store',
        }
        return new Response(null, { status: 303, headers })
      },
    }),
    route({
      method: 'POST',
      path: LEAVE_PATH,
      access: { role: 'viewer', cookie },
      refusalPage,
      bodies,
      summary: 'Ends a session of the page',
      problems: ['forbidden'],
      answers: HTML,
      async run({ request, url }) {
        requireOwnForm(request)
        const form = await readForm(request)
        const secret = readSessionCookie(request, cookie)
        if (secret !== undefined && !(await sessions.end(secret, form.get(FORM_TOKEN_FIELD) ?? '')))
          throw problem('forbidden', 'This form does not come from a page of this session. Nothing was done.', {
            action: 'Load the page again and log out there.',
          })
        const answer = pageAnswer(
          <PlainPage title="Logged out" path={url.pathname}>
            <h1>Logged out</h1>
            <p>The session has ended. The token is still valid.</p>
            <p>
              <a href={relativeHref(url.pathname, '/')}>Enter again</a>
            </p>
          </PlainPage>,
        )
        answer.headers.set('Set-Cookie', writeSessionCookie(request, cookie, '', 0))
        return answer
      },
    }),
  ]
}

function asset(path: string, mediaType: string, text: string): Route {
  return route({
    method: 'GET',
    path,
    access: 'public',
    summary: `Serves the ${mediaType.startsWith('text/css') ? 'stylesheet' : 'icon'} of the page`,
    answers: { 200: { description: 'The file', mediaType: mediaType.replace(/;.*/, '') } },
    run: () => new Response(text, { headers: { 'Content-Type': mediaType, 'Cache-Control': `public, max-age=${ASSET_SECONDS}` } }),
  })
}
