// Signing in with Slack: a whole flow with a Slack that issues real tokens, and every way in which it must not let somebody in.

import { describe, expect, test } from 'bun:test'
import { createSlackSignIn } from '../../../bot/web/sign-in/slack-sign-in.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { FakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { SIGN_IN_APP } from '../../support/clients/fake-slack/sign-in.ts'
import { openTestPage } from './fixture.ts'
import type { TestPage } from './fixture.ts'

const PUBLIC = 'https://slipway.example'
const HOST = 'slipway.example'
const CALLBACK = `${PUBLIC}/enter/slack/callback`

interface SignInTest extends AsyncDisposable {
  readonly slack: FakeSlack
  readonly page: TestPage
  /** Asks the page as a browser that keeps cookies and follows nothing. */
  get(address: string): Promise<{ readonly status: number; readonly text: string; readonly location: string; readonly retryAfter: string | null }>
  readonly cookies: Map<string, string>
}

function openSignIn(clientSecret: string = SIGN_IN_APP.clientSecret): SignInTest {
  const slack = createFakeSlack({ signInRedirect: CALLBACK })
  const page = openTestPage({
    publicUrl: PUBLIC,
    signIn: (deps) =>
      createSlackSignIn(
        { clientId: SIGN_IN_APP.clientId, clientSecret, issuer: new URL(slack.apiUrl).origin },
        { ...deps, workspace: () => Promise.resolve('T1') },
      ),
  })
  const cookies = new Map<string, string>()
  return {
    slack,
    page,
    cookies,
    async get(address) {
      const { pathname, search } = new URL(address, PUBLIC)
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const answer = await page.request(pathname + search, { host: HOST, headers: { cookie }, redirect: 'manual' })
      for (const line of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (/Max-Age=0/.test(line)) cookies.delete(name)
        else cookies.set(name, value)
      }
      return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') ?? '', retryAfter: answer.headers.get('retry-after') }
    },
    async [Symbol.asyncDispose]() {
      page[Symbol.dispose]()
      await slack[Symbol.asyncDispose]()
    },
  }
}

/** Goes to Slack and returns the address with which Slack sends the browser back. */
async function visitSlack(it: SignInTest, path = '/enter/slack'): Promise<string> {
  return it.slack.signIn.visit((await it.get(path)).location)
}

test('who asks for a place without a session signs in with Slack and comes to that place, as themselves', async () => {
  await using it = openSignIn()
  const asked = await it.get('/stores?sort=name')
  expect([asked.status, /href="([^"]*)">\s*Sign in with Slack/.exec(asked.text)?.[1]]).toEqual([401, '/enter/slack?to=%2Fstores%3Fsort%3Dname'])
  const begun = await it.get('/enter/slack?to=%2Fstores%3Fsort%3Dname')
  const { searchParams } = new URL(begun.location)
  expect([begun.status, searchParams.get('scope'), searchParams.get('redirect_uri'), searchParams.get('team')]).toEqual([302, 'openid profile', CALLBACK, 'T1'])
  const entered = await it.get(await it.slack.signIn.visit(begun.location))
  expect([entered.status, entered.location]).toEqual([303, '/stores?sort=name'])
  expect([...it.cookies.keys()]).toEqual(['__Host-slipway'])
  const stores = await it.get(entered.location)
  expect([stores.status, stores.text.includes('ann (U024BE7LH)'), stores.text.includes('(viewer)')]).toEqual([200, true, true])
  const rows = it.page.bot.audit.list({ limit: 5, reads: true })
  expect(rows.map(({ actor, surface, command, outcome, detail }) => [actor, surface, command, outcome, detail])).toContainEqual([
    ...['ann (U024BE7LH)', 'page', 'web', 'done', 'Signed in with Slack.'],
  ])
})

test.each([
  // Signing in, the home page, a form for operators, a plan for admins, and home after the session was revoked.
  ['viewer', [303, 200, 403, 403, 401]],
  ['uploader', [303, 200, 403, 403, 401]],
  ['operator', [303, 200, 200, 403, 401]],
  ['admin', [303, 200, 200, 404, 401]],
] as const)('who signs in has the role of a person of Slack: %s', async (role, statuses) => {
  await using it = openSignIn()
  it.page.bot.roles.grant({ subject: 'user:U024BE7LH', role, zone: '', store: '', channel: '' }, 'test', it.page.clock.nowMs())
  const seen: number[] = [(await it.get(await visitSlack(it))).status]
  for (const place of ['/', '/c/alert/silence/none?for=2h', '/c/store/delete/none']) seen.push((await it.get(place)).status)
  for (const { id } of it.page.bot.page.sessions.list()) it.page.bot.page.sessions.revoke(id)
  seen.push((await it.get('/')).status)
  expect<readonly number[]>(seen).toEqual(statuses)
})

test('cookies of the flow are for this host alone, and end after ten minutes', async () => {
  await using it = openSignIn()
  const answer = await it.page.request('/enter/slack', { host: HOST })
  expect(answer.headers.get('set-cookie')).toMatch(/^__Host-slipway-sign-in=[\w-]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
})

test('a request to another name of the page goes to the public one first', async () => {
  await using it = openSignIn()
  const answer = await it.page.request('/enter/slack?to=/images', { host: '127.0.0.1:8422' })
  expect([answer.status, answer.headers.get('location'), answer.headers.get('set-cookie')]).toEqual([302, `${PUBLIC}/enter/slack?to=%2Fimages`, null])
  expect((await it.page.request('/images', { host: '127.0.0.1:8422' })).text()).resolves.not.toContain('Sign in with Slack')
})

describe('nobody enters', () => {
  const refused = async (it: SignInTest, address: string, status: number, text: string): Promise<void> => {
    const answer = await it.get(address)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(text)])
    expect(it.cookies.has('__Host-slipway')).toBe(false)
    expect(it.page.bot.page.sessions.list()).toEqual([])
  }

  test('who cancelled at Slack', async () => {
    await using it = openSignIn()
    it.slack.signIn.person = undefined
    await refused(it, await visitSlack(it), 403, 'Slack was told not to sign you in.')
  })

  test('of another workspace', async () => {
    await using it = openSignIn()
    it.slack.signIn.person = { user: 'U0EVE', team: 'T2' }
    await refused(it, await visitSlack(it), 403, 'in which this bot is not installed')
  })

  test.each([
    ['with a token for another app', { aud: '9.9' }],
    ['with a token of another issuer', { iss: 'https://evil.example' }],
    ['with a token that has expired', { exp: 1_700_000_000 }],
    ['with a token of another sign-in', { nonce: 'other' }],
    ['with a token that names no user', { 'https://slack.com/user_id': undefined }],
    ['with a token that names a user of another form', { 'https://slack.com/user_id': '' }],
  ])('%s', async (_what, claims) => {
    await using it = openSignIn()
    it.slack.signIn.claims = claims
    await refused(it, await visitSlack(it), 403, 'Slack did not confirm who you are.')
  })

  test('with a token that Slack did not sign', async () => {
    await using it = openSignIn()
    it.slack.signIn.isForged = true
    await refused(it, await visitSlack(it), 403, 'Slack did not confirm who you are.')
  })

  test('with an answer that another browser began, that nobody began, or a second time', async () => {
    await using it = openSignIn()
    const back = await visitSlack(it)
    const kept = it.cookies.get('__Host-slipway-sign-in') ?? ''
    it.cookies.clear()
    await refused(it, back, 400, 'in another browser')
    it.cookies.set('__Host-slipway-sign-in', 'not-a-cookie-of-ours')
    await refused(it, back, 400, 'in another browser')
    await visitSlack(it)
    await refused(it, back, 400, 'in another browser')
    it.cookies.set('__Host-slipway-sign-in', kept)
    expect((await it.get(back)).status).toBe(303)
    it.cookies.set('__Host-slipway-sign-in', kept)
    const again = await it.get(back)
    expect([again.status, it.page.bot.page.sessions.list().length]).toEqual([403, 1])
  })

  test('with settings that Slack refuses, and the log says which', async () => {
    await using it = openSignIn('wrong')
    await refused(it, await visitSlack(it), 502, 'Whoever runs the bot finds the reason in its log.')
    expect(it.page.logged).toContain('Slack refuses the settings of signing in')
  })

  test('while Slack does not answer, and everybody who asks meanwhile costs one request', async () => {
    await using it = openSignIn()
    it.slack.signIn.isAway = true
    const answers = await Promise.all(Array.from({ length: 20 }, () => it.get('/enter/slack')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]))
    expect(it.slack.signIn.asked.length).toBe(1)
    it.slack.signIn.isAway = false
    expect((await it.get(await visitSlack(it))).status).toBe(303)
  })
})

test('at most 30 sign-ins in a minute ask Slack', async () => {
  await using it = openSignIn()
  const tokens = (): number => it.slack.signIn.asked.filter((path) => path.endsWith('token')).length
  const guess = async (): Promise<number> => {
    const state = new URL((await it.get('/enter/slack')).location).searchParams.get('state')
    return (await it.get(`/enter/slack/callback?code=guess&state=${state}`)).status
  }
  for (let i = 0; i < 30; i++) expect(await guess()).toBe(403)
  expect([await guess(), tokens()]).toEqual([429, 30])
  const { searchParams } = new URL((await it.get('/enter/slack')).location)
  expect((await it.get(`/enter/slack/callback?code=guess&state=${searchParams.get('state')}`)).retryAfter).toBe('60')
  it.page.clock.advance(60_000)
  expect([await guess(), tokens()]).toEqual([403, 31])
})

test.each([
  ['/stores/edge-a?x=1', '/stores/edge-a?x=1'],
  ['/', '/'],
  ['https://evil.example/', '/'],
  ['//evil.example/', '/'],
  ['/\\evil.example/', '/'],
  ['/\t/evil.example', '/'],
  ['/enter/slack', '/'],
  ['/leave', '/'],
  ['stores', '/'],
  [`/${'a'.repeat(999)}`, `/${'a'.repeat(999)}`],
  [`/${'a'.repeat(1000)}`, '/'],
])('after signing in, %s leads to %s', async (to, place) => {
  await using it = openSignIn()
  const entered = await it.get(await visitSlack(it, `/enter/slack?${new URLSearchParams({ to }).toString()}`))
  expect([entered.status, entered.location]).toEqual([303, place])
})

test('a name with markup and of any length is text', async () => {
  await using it = openSignIn()
  it.slack.signIn.person = { user: 'U024BE7LH', name: `<b>${'x'.repeat(500)}`, team: 'T1' }
  await it.get(await visitSlack(it))
  const { text } = await it.get('/help')
  expect(text).toContain(`&lt;b&gt;${'x'.repeat(97)} (U024BE7LH)`)
  expect(text).not.toContain('<b>xxx')
})
