// Routes of signing in with Slack: one leads to Slack, the other is where Slack sends the browser back. Nothing is changed before Slack has said who it is.

/** @jsxImportSource hono/jsx */

import type { Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { z } from 'zod'
import type { PagePerson } from '../../entry/entry-links.ts'
import { SIGNED_IN_PATH } from '../../commands/slack/app-manifest.ts'
import { PlainPage } from '../layout.tsx'
import type { PageVariables } from '../session-context.ts'
import { placeWithin } from './place-within.ts'
import type { SignInRefusal, SlackSignIn } from './slack-sign-in.ts'

export const SIGN_IN_PATH = '/enter/slack'

/** What the browser keeps until it comes back. Its prefix keeps other hosts of the domain from setting it. */
const COOKIE = 'slipway-sign-in'
/** How long somebody may take at Slack, in seconds. */
const KEPT_S = 600

const Kept = z.object({ state: z.string(), nonce: z.string(), to: z.string() })

export interface SignInRoutes {
  readonly signIn: SlackSignIn
  /** The origin to which Slack sends people back; it has TLS. */
  readonly publicUrl: string
  /** Whether a request was addressed to `publicUrl`. */
  readonly isPublic: (c: Context) => boolean
  /** Begins a session, and records who entered. */
  enter(c: Context, person: PagePerson): Promise<void>
}

/** Adds the routes. */
export function addSignIn(app: Hono<{ Variables: PageVariables }>, { signIn, publicUrl, isPublic, enter }: SignInRoutes): void {
  app.get(SIGN_IN_PATH, async (c) => {
    const to = placeWithin(c.req.query('to'))
    // The cookie belongs to the origin to which Slack sends the browser back.
    if (!isPublic(c)) return c.redirect(`${publicUrl}${signInHref(to)}`)
    const begun = await signIn.begin(publicUrl + SIGNED_IN_PATH)
    if (begun.kind === 'refused') return refuse(c, begun.why, to)
    const kept = Buffer.from(JSON.stringify({ ...begun.kept, to })).toString('base64url')
    setCookie(c, COOKIE, kept, { httpOnly: true, sameSite: 'Lax', path: '/', secure: true, prefix: 'host', maxAge: KEPT_S })
    return c.redirect(begun.url)
  })
  app.get(SIGNED_IN_PATH, async (c) => {
    const { to, ...kept } = readKept(getCookie(c, COOKIE, 'host')) ?? { to: '/' }
    deleteCookie(c, COOKIE, { prefix: 'host', secure: true, path: '/' })
    const callback = new URL(publicUrl + SIGNED_IN_PATH)
    callback.search = new URL(c.req.url).search
    const end = await signIn.finish(callback, 'state' in kept ? kept : undefined)
    if (end.kind === 'refused') return refuse(c, end.why, placeWithin(to))
    await enter(c, end.person)
    return c.redirect(placeWithin(to), 303)
  })
}

/** The address that begins to sign in and ends at `to`. */
export function signInHref(to: string): string {
  return to === '/' ? SIGN_IN_PATH : `${SIGN_IN_PATH}?${new URLSearchParams({ to }).toString()}`
}

/** Reads the cookie; undefined when it is not what this bot sets. */
function readKept(cookie: string | undefined): z.infer<typeof Kept> | undefined {
  try {
    return Kept.safeParse(JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString())).data
  } catch {
    return undefined
  }
}

const REFUSALS: Readonly<Record<SignInRefusal, { readonly status: 400 | 403 | 429 | 502; readonly title: string; readonly text: string }>> = {
  cancelled: { status: 403, title: 'Not signed in', text: 'Slack was told not to sign you in. Sign in again to enter.' },
  stale: {
    status: 400,
    title: 'Not signed in',
    text: 'This sign-in was started more than ten minutes ago, in another browser, or was already used. Sign in again. If it fails again, let the browser keep the cookies of this page.',
  },
  'other-workspace': {
    status: 403,
    title: 'Another workspace',
    text: 'You signed in to a Slack workspace in which this bot is not installed. Sign in again and choose the workspace of the bot.',
  },
  'not-accepted': { status: 403, title: 'Not signed in', text: 'Slack did not confirm who you are. Sign in again.' },
  settings: {
    status: 502,
    title: 'Slack refuses the settings of the bot',
    text: 'Whoever runs the bot finds the reason in its log. Until it is fixed, run the command web in Slack and open the link that it prints.',
  },
  unreachable: {
    status: 502,
    title: 'Slack does not answer',
    text: 'Try again in a minute. Whoever runs the bot can enter without Slack: the command web in the console prints a link.',
  },
  busy: { status: 429, title: 'Too many sign-ins', text: 'Too many people are signing in. Try again in a minute, or run the command web in Slack.' },
}

function refuse(c: Context, why: SignInRefusal, to: string): Response | Promise<Response> {
  const { status, title, text } = REFUSALS[why]
  if (status === 429) c.header('Retry-After', '60')
  return c.html(
    <PlainPage title={title}>
      <h1>{title}</h1>
      <p>{text}</p>
      <p>
        <a class="button" href={signInHref(to)}>
          Sign in with Slack
        </a>
      </p>
    </PlainPage>,
    status,
  )
}
