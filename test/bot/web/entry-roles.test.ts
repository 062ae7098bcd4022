// Every way in and out of the page for nobody and for each role: links, signing in with Slack, logging out, and the sessions of oneself and of others. The table is
// written by hand.

import { describe, expect, test } from 'bun:test'
import { ROLES } from '../../../protocol/access.ts'
import { createSlackSignIn } from '../../../bot/web/sign-in/slack-sign-in.ts'
import { CONSOLE, openTestPage } from './fixture.ts'
import type { TestPage } from './fixture.ts'

const PUBLIC = 'https://slipway.example'
const OTHER = { id: 'U0OTHER', name: 'other (U0OTHER)' }

/** A request, and what nobody, a viewer, an uploader, an operator and an admin get. Words in capitals stand for a link or a session of the test. */
const TABLE: readonly (readonly [request: string, nobody: number, ...roles: readonly number[]])[] = [
  ['GET /enter/UNUSED', 200, 200, 200, 200, 200],
  ['POST /enter/UNUSED', 303, 303, 303, 303, 303],
  ['GET /enter/USED', 410, 410, 410, 410, 410],
  ['POST /enter/USED', 410, 410, 410, 410, 410],
  ['GET /enter/EXPIRED', 410, 410, 410, 410, 410],
  ['POST /enter/EXPIRED', 410, 410, 410, 410, 410],
  ['GET /enter/REVOKED', 410, 410, 410, 410, 410],
  ['POST /enter/REVOKED', 410, 410, 410, 410, 410],
  ['GET /enter/slack', 302, 302, 302, 302, 302],
  ['GET /enter/slack?to=/images', 302, 302, 302, 302, 302],
  ['POST /enter/slack', 410, 410, 410, 410, 410],
  ['GET /enter/slack/callback', 400, 400, 400, 400, 400],
  ['GET /enter/slack/callback?code=x&state=y', 400, 400, 400, 400, 400],
  ['POST /enter/slack/callback', 401, 404, 404, 404, 404],
  ['GET /leave', 401, 404, 404, 404, 404],
  ['POST /leave', 401, 200, 200, 200, 200],
  ['GET /c/web', 401, 400, 400, 400, 400],
  ['GET /c/web/list', 401, 200, 200, 200, 200],
  ['GET /c/web/revoke', 401, 200, 200, 200, 200],
  ['GET /c/web/revoke/OWN', 401, 200, 200, 200, 200],
  ['GET /c/web/revoke/OTHER', 401, 200, 200, 200, 200],
  ['POST /c/web/revoke/OWN', 401, 200, 200, 200, 200],
  ['POST /c/web/revoke/OTHER', 401, 404, 404, 404, 200],
  ['POST /c/web/revoke/none', 401, 404, 404, 404, 404],
  ['POST /c/web/revoke/all', 401, 200, 200, 200, 200],
]
/** What ends the session of somebody else. */
const ENDS_OTHERS = new Set(['admin POST /c/web/revoke/OTHER', 'admin POST /c/web/revoke/all'])

function open(): TestPage {
  // Nothing listens there: no request of the table may reach Slack.
  const access = { clientId: '1.2', clientSecret: 's', issuer: 'http://127.0.0.1:1' }
  return openTestPage({ publicUrl: PUBLIC, signIn: (deps) => createSlackSignIn(access, { ...deps, workspace: () => Promise.reject(new Error('away')) }) })
}

/** Makes the links and the other session, and returns what the words of the table stand for. */
async function prepare(page: TestPage): Promise<Readonly<Record<string, string>>> {
  const { links, sessions } = page.bot.page
  const expired = links.issue(CONSOLE).secret
  page.clock.advance(600_000)
  const revoked = links.issue(OTHER).secret
  links.revoke({ id: OTHER.id })
  const used = links.issue(CONSOLE).secret
  links.use(used)
  return { UNUSED: links.issue(CONSOLE).secret, USED: used, EXPIRED: expired, REVOKED: revoked, OTHER: sessions.begin(OTHER, '').session.id }
}

describe('entering, leaving and sessions', () => {
  test.each(['nobody', ...ROLES] as const)('are for %s as the table says', async (who) => {
    const wrong: unknown[] = []
    for (const [request, ...statuses] of TABLE) {
      using page = open()
      const words = await prepare(page)
      const visitor = who === 'nobody' ? undefined : await page.enterAs(who)
      const own = page.bot.page.sessions.list().find(({ person }) => person.id !== OTHER.id)?.id ?? 'ses_none'
      const [method = '', written = ''] = request.split(' ')
      const path = written.replace(/[A-Z]+$/, (word) => ({ ...words, OWN: own })[word] ?? word)
      const asked = method === 'POST' ? visitor?.post(path) : visitor?.get(path)
      const { status } = await (asked ?? page.request(path, { method, redirect: 'manual' }))
      const wanted = statuses[['nobody', ...ROLES].indexOf(who)]
      if (status !== wanted) wrong.push({ request, status, wanted })
      const isLeft = page.bot.page.sessions.list().some(({ person }) => person.id === OTHER.id)
      if (isLeft === ENDS_OTHERS.has(`${who} ${request}`)) wrong.push({ request, isLeft })
    }
    expect(wrong).toEqual([])
  })
})
