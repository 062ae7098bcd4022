// How somebody enters and leaves the page. Looking at a link shows a button and uses nothing; pressing it uses the link up and begins a session.

/** @jsxImportSource hono/jsx */

import type { Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { PageEntry } from '../entry/page-entry.ts'
import { SESSION_LIFE_MS } from '../entry/page-sessions.ts'
import { Words } from '../../protocol/views/html/words.tsx'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { PagePerson } from '../entry/entry-links.ts'
import { PlainPage } from './layout.tsx'
import type { PageVariables } from './session-context.ts'
import { signInHref } from './sign-in/sign-in-routes.tsx'

/** Name of the cookie. Behind TLS its prefix keeps other hosts of the domain from setting it. */
const COOKIE = 'slipway'

/** The secret of the session in a request; undefined without one. */
export function sessionSecret(c: Context, isSecure: boolean): string | undefined {
  return isSecure ? getCookie(c, COOKIE, 'host') : getCookie(c, COOKIE)
}

/** Adds the routes of the entry. `isSecure` says whether a request came through TLS. */
export function addEntry(app: Hono<{ Variables: PageVariables }>, page: PageEntry, isSecure: (c: Context) => boolean): void {
  app.get('/enter/:secret', (c) => {
    const found = page.links.find(c.req.param('secret'))
    if (!found) return c.html(<LinkEnded />, 410)
    return c.html(
      <PlainPage title="Enter">
        <h1>Slipway</h1>
        <p>
          You enter as{' '}
          <b>
            <Words text={found.person.name} />
          </b>
          . This link works once, until <Words text={formatAt(found.expiresMs)} />.
        </p>
        <form method="post">
          <button type="submit" class="primary">
            Enter
          </button>
        </form>
      </PlainPage>,
    )
  })
  app.post('/enter/:secret', (c) => {
    const person = page.links.use(c.req.param('secret'))
    if (!person) return c.html(<LinkEnded />, 410)
    beginSession(c, page, person, isSecure(c))
    return c.redirect('/', 303)
  })
}

/** Begins a session in the browser of a request. */
export function beginSession(c: Context, page: PageEntry, person: PagePerson, isSecure: boolean): void {
  const { secret } = page.sessions.begin(person, c.req.header('user-agent') ?? '')
  const shared = { httpOnly: true, sameSite: 'Lax', path: '/', maxAge: SESSION_LIFE_MS / 1000 } as const
  if (isSecure) setCookie(c, COOKIE, secret, { ...shared, prefix: 'host', secure: true })
  else setCookie(c, COOKIE, secret, shared)
}

/** Ends the session of a request. */
export function leave(c: Context<{ Variables: PageVariables }>, page: PageEntry, isSecure: boolean): Response | Promise<Response> {
  page.sessions.revoke(c.get('session').id)
  if (isSecure) deleteCookie(c, COOKIE, { prefix: 'host', secure: true, path: '/' })
  else deleteCookie(c, COOKIE, { path: '/' })
  return c.html(
    <PlainPage title="Logged out">
      <h1>Logged out</h1>
      <p>The session has ended. For a new one, run the command web in Slack or in the console.</p>
    </PlainPage>,
  )
}

/** What somebody without a session sees. `signInTo` is the place to return to when Slack can say who it is. */
export function LoggedOut({ signInTo }: { readonly signInTo: string | undefined }) {
  return (
    <PlainPage title="Not logged in">
      <h1>Not logged in</h1>
      {signInTo === undefined ? (
        ''
      ) : (
        <p>
          <a class="button" href={signInHref(signInTo)}>
            Sign in with Slack
          </a>
        </p>
      )}
      <p>There is no session, or it has ended. Run the command web in Slack, or in the console of the bot, and open the link that it prints.</p>
    </PlainPage>
  )
}

function LinkEnded() {
  return (
    <PlainPage title="The link is not valid">
      <h1>The link is not valid</h1>
      <p>It has expired, was already used, or was not issued by this bot. Run the command web again, in Slack or in the console, and open the new link.</p>
    </PlainPage>
  )
}
