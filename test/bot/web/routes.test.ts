// Every route of the page for nobody, for each role and with a used-up session: the table is written by hand, and a test holds that it names every route there is.

import { describe, expect, test } from 'bun:test'
import { ROLES } from '../../../protocol/access.ts'
import { createSlackSignIn } from '../../../bot/web/sign-in/slack-sign-in.ts'
import { imageOf, page as listOf } from '../commands/scripted-fleet.ts'
import { openTestPage } from './fixture.ts'

const IMAGE = imageOf(1, { name: 'disk-1' })
const LINK = { id: 'lnk_1', kind: 'upload', url: `http://edge-a.example/v1/uploads?link=slu_${'a'.repeat(43)}`, expiresAt: '2026-01-01T01:00:00.000Z' }
const SCRIPTS = { 'edge-a': { 'POST /links': LINK, 'GET /images': listOf([IMAGE]), [`GET /images/${IMAGE.id}`]: IMAGE }, 'edge-b': {} }
/** Everybody with a session. */
const ALL = [200, 200, 200, 200] as const

/** The route as the application has it, a request to it, and what nobody, a viewer, an uploader, an operator and an admin get. */
const ROUTES: readonly (readonly [route: string, path: string, nobody: number, ...roles: readonly number[]])[] = [
  ['GET /', '/', 401, ...ALL],
  ['GET /stores', '/stores', 401, ...ALL],
  ['GET /images', '/images', 401, ...ALL],
  ['GET /tasks', '/tasks', 401, ...ALL],
  ['GET /uploads', '/uploads', 401, ...ALL],
  ['GET /alerts', '/alerts', 401, ...ALL],
  ['GET /audit', '/audit', 401, ...ALL],
  ['GET /help', '/help', 401, ...ALL],
  ['GET /stores/:name', '/stores/edge-a', 401, ...ALL],
  ['GET /stores/:name/:tab', '/stores/edge-a/images', 401, ...ALL],
  ['GET /stores/:name/:tab', '/stores/edge-a/nothing', 401, 404, 404, 404, 404],
  ['GET /images/:name', `/images/${IMAGE.id}`, 401, ...ALL],
  ['GET /images/:name/:tab', `/images/${IMAGE.id}/nothing`, 401, 404, 404, 404, 404],
  ['GET /stores/:name/upload', '/stores/edge-a/upload', 401, 403, 200, 200, 200],
  ['POST /stores/:name/upload', '/stores/edge-a/upload', 401, 403, 201, 201, 201],
  ['GET /stores/:name/file', '/stores/edge-a/file?path=nothing', 401, 403, 403, 404, 404],
  ['GET /series/*', '/series/store/show/edge-a?chart=used', 401, ...ALL],
  ['GET /search', '/search?q=disk', 401, ...ALL],
  ['GET /live', '/live', 401, 400, 400, 400, 400],
  ['GET /c', '/c', 401, ...ALL],
  // What a command answers to each role is in commands.test.ts, for every command.
  ['GET /c/*', '/c/store/list', 401, ...ALL],
  ['GET /c/*', '/c/image/delete/disk-1', 401, 403, 403, 200, 200],
  // The plan of an admin says what stands in the way.
  ['GET /c/*', '/c/store/delete/edge-a', 401, 403, 403, 403, 409],
  ['POST *', '/c/zone/add/zone-9', 401, 403, 403, 403, 200],
  ['POST *', '/c/alert/silence/edge-a', 401, 403, 403, 200, 200],
  ['POST *', '/nowhere', 401, 404, 404, 404, 404],
  ['POST *', '/leave', 401, ...ALL],
  ['GET /enter/:secret', `/enter/${'x'.repeat(43)}`, 410, 410, 410, 410, 410],
  ['POST /enter/:secret', `/enter/${'x'.repeat(43)}`, 410, 410, 410, 410, 410],
  // Every way in and out, with links and sessions that are good, is in entry-roles.test.ts.
  ['GET /enter/slack', '/enter/slack', 302, 302, 302, 302, 302],
  ['GET /enter/slack/callback', '/enter/slack/callback?code=x&state=y', 400, 400, 400, 400, 400],
  ['ALL /u/*', `/u/${'x'.repeat(43)}`, 403, 403, 403, 403, 403],
  ['ALL /assets/*', '/assets/none', 404, 404, 404, 404, 404],
]

/** Fields of forms that need some. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/c/alert/silence/edge-a': { for: '2h' },
  '/stores/edge-a/upload': { length: '5' },
}

/** Answers that no page of ours makes: they come from the upload gateway, whose own tests have their policy. */
const OF_GATEWAY = /^ALL \/(?:u|assets)\//

function open() {
  // Nothing listens there: no request of the table may reach Slack.
  const access = { clientId: '1.2', clientSecret: 's', issuer: 'http://127.0.0.1:1' }
  const workspace = (): Promise<string> => Promise.reject(new Error('away'))
  return openTestPage({ scripts: SCRIPTS, publicUrl: 'https://slipway.example', signIn: (deps) => createSlackSignIn(access, { ...deps, workspace }) })
}

/** Requests that are wrong in themselves, which only tells who may make a right one: the route, a request, its fields, and what viewer and admin get. */
const WRONG: readonly (readonly [request: string, fields: Readonly<Record<string, string>>, viewer: number, admin: number])[] = [
  ['POST /stores/edge-a/upload', {}, 403, 400],
  ['POST /stores/edge-a/upload', { length: '-1' }, 403, 400],
  ['GET /stores/edge-a/file', {}, 403, 404],
  [`GET /stores/edge-a/file?path=${'x'.repeat(4097)}`, {}, 403, 404],
  ['GET /c/image/delete', {}, 403, 200],
  ['GET /c/image/delete?_chosen=', {}, 403, 422],
  ['GET /c/image/delete/disk-1?nonsense=1', {}, 403, 200],
  ['POST /c/image/delete', {}, 403, 422],
  ['POST /c/zone/add/a/b/c', { description: 'x'.repeat(5000) }, 403, 422],
  ['POST /c/alert/silence/edge-a', { for: 'ever' }, 403, 400],
  ['GET /series/token/list/edge-a?nonsense=1', {}, 403, 404],
]

describe('a wrong request', () => {
  test.each([['viewer', 2] as const, ['admin', 3] as const])('of %s is answered by the role first', async (role, column) => {
    using page = open()
    const visitor = await page.enterAs(role)
    const wrong: unknown[] = []
    for (const row of WRONG) {
      const [method = '', path = ''] = row[0].split(' ')
      const { status } = method === 'POST' ? await visitor.post(path, row[1]) : await visitor.get(path)
      if (status !== row[column]) wrong.push([row[0].slice(0, 60), status, row[column]])
    }
    expect(wrong).toEqual([])
  })
})

describe('every route', () => {
  test('is in the table', () => {
    using page = open()
    const known = new Set(ROUTES.map(([route]) => route))
    // What passes every request has no end of its own, and files of the page have their content in their name.
    const real = page.routes
      .filter((route) => !/^ALL \/\*$/.test(route) && !/^GET \/assets\/(?:page|charts|uplot)-/.test(route))
      .map((route) => route.replace('POST /*', 'POST *'))
    expect([...new Set(real)].filter((route) => !known.has(route))).toEqual([])
    expect([...known].filter((route) => !real.includes(route))).toEqual([])
  })

  test.each([...ROLES])('answers %s as the table says, with headers that let nothing foreign in', async (role) => {
    using page = open()
    const wrong: unknown[] = []
    for (const [route, path, , ...roles] of ROUTES) {
      const visitor = await page.enterAs(role)
      const wanted = roles[ROLES.indexOf(role)]
      const isPost = route.startsWith('POST')
      const status = isPost ? (await visitor.post(path, FIELDS[path])).status : (await visitor.get(path)).status
      if (status !== wanted) wrong.push({ role, route, path, status, wanted })
    }
    expect(wrong).toEqual([])
  })

  test.each([
    ['nobody', ''],
    ['a cookie that was made up', `slipway=${'A'.repeat(43)}`],
    ['a cookie with a quote of SQL', "slipway=' OR 1=1 --"],
    ['a cookie for another kind of connection', `__Host-slipway=${'A'.repeat(43)}`],
  ])('tells %s to enter, asks no agent and shows nothing of the fleet', async (_who, cookie) => {
    using page = open()
    const wrong: unknown[] = []
    for (const [route, path, wanted] of ROUTES) {
      const isPost = route.startsWith('POST')
      const form = isPost ? { body: '_once=a', headers: { cookie, 'content-type': 'application/x-www-form-urlencoded' } } : { headers: { cookie } }
      const answer = await page.request(path, { method: isPost ? 'POST' : 'GET', ...form })
      const text = await answer.text()
      if (answer.status !== wanted || /edge-[ab]|disk-1/.test(text.replaceAll(path, ''))) wrong.push({ route, path, status: answer.status, wanted, text })
      if (!OF_GATEWAY.test(route) && !answer.headers.get('content-security-policy')?.includes("default-src 'none'; script-src 'self'"))
        wrong.push({ route, policy: false })
      if (!answer.headers.get('content-security-policy')?.includes("frame-ancestors 'none'")) wrong.push({ route, frames: true })
      if (answer.headers.get('cache-control') !== 'no-store') wrong.push({ route, cached: answer.headers.get('cache-control') })
    }
    expect(wrong).toEqual([])
    expect(page.asked).toEqual([])
  })

  test.each([
    ['revoked', (page: ReturnType<typeof open>) => page.bot.page.sessions.list().forEach(({ id }) => page.bot.page.sessions.revoke(id))],
    ['idle for eight hours', (page: ReturnType<typeof open>) => page.clock.advance(8 * 3_600_000)],
  ])('is closed to a session that was %s', async (_what, end) => {
    using page = open()
    const visitor = await page.enter()
    expect((await visitor.get('/')).status).toBe(200)
    end(page)
    page.asked.length = 0
    for (const [route, path, wanted] of ROUTES) {
      const status = route.startsWith('POST') ? (await visitor.post(path)).status : (await visitor.get(path)).status
      expect([route, path, status]).toEqual([route, path, wanted])
    }
    expect(page.asked).toEqual([])
  })

  test('that changes something is closed to other sites and to forms of another session', async () => {
    using page = open()
    const [visitor, other] = [await page.enter(), await page.enter()]
    const foreign = /name="_token" value="([^"]*)"/.exec((await other.get('/c')).text)?.[1] ?? ''
    page.asked.length = 0
    for (const [route, path] of ROUTES.filter(([route]) => route.startsWith('POST') && !route.includes('enter'))) {
      for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }] as Record<string, string>[])
        expect([route, path, (await visitor.post(path, {}, headers)).status]).toEqual([route, path, 403])
      for (const token of ['', foreign]) expect([route, path, (await visitor.post(path, { _token: token })).status]).toEqual([route, path, 403])
    }
    expect(page.asked).toEqual([])
    expect((await visitor.get('/')).status).toBe(200)
  })
})

describe('markup', () => {
  const NASTY = `"><img src=x onerror=alert(1)>'&<script>alert(2)</script>`

  test('in an address, a search, a filter, a form and a name stays text', async () => {
    const image = imageOf(2, { name: NASTY, description: NASTY, owner: NASTY })
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /images': listOf([image]), [`GET /images/${image.id}`]: image } } })
    const visitor = await page.enter({ id: 'U0NASTY', name: NASTY })
    page.bot.roles.grant({ subject: 'user:U0NASTY', role: 'admin', zone: '', store: '', channel: '' }, 'test', page.clock.nowMs())
    const word = encodeURIComponent(NASTY)
    const answers = [
      await visitor.get('/images'),
      await visitor.get(`/images/${image.id}`),
      await visitor.get(`/images/${word}`),
      await visitor.get(`/images?_find=${word}&_sort=${word}&_page=${word}`),
      await visitor.get(`/images?name=${word}`),
      await visitor.get(`/search?q=${word}`),
      await visitor.get(`/stores/${word}`),
      await visitor.get(`/c/store/add?name=${word}&${word}=${word}`),
      await visitor.get(`/c/image/delete/${word}`),
      await visitor.get(`/c/image/delete/${image.id}`),
      await visitor.post(`/c/image/delete/${image.id}`, { _confirm: NASTY, _plan: NASTY, [NASTY]: NASTY }),
      await visitor.post('/c/zone/add', { NAME: NASTY, description: NASTY }),
      await visitor.get('/audit'),
      await visitor.get('/c/web/list'),
    ]
    for (const [i, { text }] of answers.entries()) {
      expect([i, /<img|<script>alert|onerror=alert\(1\)>(?!&)/.test(text)]).toEqual([i, false])
      // A quote that is not escaped would end the value of an attribute.
      expect([i, text.includes('"><img')]).toEqual([i, false])
    }
    expect(answers[0]?.text).toContain('&lt;script&gt;alert(2)')
    expect(page.logged.filter((line) => line.includes('failed'))).toEqual([])
  })
})
