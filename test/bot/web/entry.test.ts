// The entry to the page: one-time links, sessions and their ends, and the requests that are refused before anything reads them.

import { describe, expect, test } from 'bun:test'
import { CONSOLE, openTestPage } from './fixture.ts'

const ANN = { id: 'U024BE7LH', name: 'ann (U024BE7LH)' }

describe('a link', () => {
  test('is not used up by looking at it, works once, and then says what to do', async () => {
    using page = openTestPage()
    const { secret } = page.bot.page.links.issue(CONSOLE)
    for (let look = 0; look < 3; look++) {
      const answer = await page.request(`/enter/${secret}`)
      expect([answer.status, answer.headers.get('set-cookie')]).toEqual([200, null])
    }
    const entered = await page.request(`/enter/${secret}`, { method: 'POST' })
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/'])
    expect(entered.headers.get('set-cookie')).toMatch(/^slipway=[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; SameSite=Lax$/)
    const again = await page.request(`/enter/${secret}`, { method: 'POST' })
    expect([again.status, again.headers.get('set-cookie')]).toEqual([410, null])
    expect(await again.text()).toContain('It has expired, was already used, or was not issued by this bot. Run the command web again')
    expect((await page.request(`/enter/${secret}`)).status).toBe(410)
  })

  test('ends after ten minutes', async () => {
    using page = openTestPage()
    const { secret, expiresMs } = page.bot.page.links.issue(CONSOLE)
    expect(expiresMs - page.clock.nowMs()).toBe(600_000)
    page.clock.advance(599_999)
    expect((await page.request(`/enter/${secret}`)).status).toBe(200)
    page.clock.advance(1)
    expect((await page.request(`/enter/${secret}`, { method: 'POST' })).status).toBe(410)
  })

  test('is stored as a hash, five for a person and 200 for all', () => {
    using page = openTestPage()
    const { links } = page.bot.page
    const issued = Array.from({ length: 6 }, () => links.issue(ANN).secret)
    expect(issued.map((secret) => links.find(secret) !== undefined)).toEqual([false, true, true, true, true, true])
    const stored = page.bot.database.query<{ hash: string }, []>('SELECT hash FROM page_links').all()
    expect(stored.some(({ hash }) => issued.includes(hash))).toBe(false)
    for (let i = 0; i < 250; i++) links.issue({ id: `U${i}`, name: `u${i}` })
    expect(page.bot.database.query<{ n: number }, []>('SELECT count(*) AS n FROM page_links').get()?.n).toBe(200)
    expect(links.find('x'.repeat(43))).toBeUndefined()
    expect(links.find("' OR 1=1 --")).toBeUndefined()
  })
})

describe('a session', () => {
  test('ends after eight hours without a request, and after seven days', async () => {
    using page = openTestPage()
    const idle = await page.enter()
    page.clock.advance(8 * 3_600_000 - 1)
    expect((await idle.get('/help')).status).toBe(200)
    page.clock.advance(8 * 3_600_000)
    expect((await idle.get('/help')).status).toBe(401)
    const busy = await page.enter()
    for (let hours = 0; hours < 7 * 24 - 7; hours += 7) {
      page.clock.advance(7 * 3_600_000)
      expect((await busy.get('/help')).status).toBe(200)
    }
    page.clock.advance(7 * 3_600_000)
    const ended = await busy.get('/help')
    expect(ended.status).toBe(401)
    expect(ended.text).toContain('There is no session, or it has ended. Run the command web')
  })

  test('is revoked by its id, by leaving, and by its owner only', async () => {
    using page = openTestPage()
    const [ann, bob] = [await page.enter(ANN), await page.enter({ id: 'U0BOB', name: 'bob' })]
    const [first] = page.bot.page.sessions.list().filter(({ person }) => person.id === ANN.id)
    expect((await bob.post(`/c/web/revoke/${first?.id}`)).text).toContain('There is no session')
    expect((await ann.get('/c/web/list')).text).toContain(String(first?.id))
    expect((await bob.get('/c/web/list')).text).not.toContain(String(first?.id))
    const admin = await page.enter()
    expect((await admin.post(`/c/web/revoke/${first?.id}`)).status).toBe(200)
    expect((await ann.get('/')).status).toBe(401)
    expect((await bob.post('/leave')).text).toContain('Logged out')
    expect((await bob.get('/')).status).toBe(401)
  })

  test('has at most ten of a person, and no role of its own', async () => {
    using page = openTestPage()
    const visitors = []
    for (let i = 0; i < 11; i++) {
      page.clock.advance(1)
      visitors.push(await page.enter(ANN))
    }
    expect((await visitors[0]?.get('/help'))?.status).toBe(401)
    const last = visitors[10]
    expect((await last?.get('/c/store/delete/x'))?.status).toBe(403)
    const grant = { subject: 'user:U024BE7LH', role: 'admin', zone: '', store: '', channel: '' } as const
    page.bot.roles.grant({ ...grant, channel: 'C1' }, 'test', 0)
    expect((await last?.get('/c/store/delete/x'))?.status).toBe(403)
    page.bot.roles.grant({ ...grant, subject: 'user:U0OTHER' }, 'test', 0)
    page.bot.roles.grant(grant, 'test', 0)
    expect((await last?.get('/c/store/delete/x'))?.status).toBe(404)
    page.bot.roles.revoke(grant)
    expect((await last?.get('/c/store/delete/x'))?.status).toBe(403)
  })

  test('makes no links that would outlive it', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    expect((await visitor.get('/c/web')).text).toContain('The page makes no links into itself.')
  })
})

describe('a request', () => {
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

  test.each([
    ['another origin', { origin: 'https://evil.example' }, {}, 403],
    ['no origin', { origin: 'null' }, {}, 403],
    ['another port', { origin: 'http://127.0.0.1:8421' }, {}, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, {}, 403],
    ['the same site', { 'sec-fetch-site': 'same-site' }, {}, 403],
    ['a link or a bookmark', { 'sec-fetch-site': 'none' }, {}, 403],
    ['the page with no token', { origin: 'http://127.0.0.1:8422' }, { _token: '' }, 403],
    ['the page with another token', { origin: 'http://127.0.0.1:8422' }, { _token: 'A'.repeat(43) }, 403],
    ['the page', { origin: 'http://127.0.0.1:8422', 'sec-fetch-site': 'same-origin' }, {}, 200],
  ])('that changes something is decided by where it comes from: %s', async (_from, headers, fields, status) => {
    using page = openTestPage()
    const visitor = await page.enter()
    expect((await visitor.post('/c/zone/add/zone-9', fields, headers as Record<string, string>)).status).toBe(status)
    expect(page.bot.context({ name: 'x', role: 'admin' }, 'console').zones.list().length).toBe(status === 200 ? 1 : 0)
  })

  test('to enter is refused from another site', async () => {
    using page = openTestPage()
    const { secret } = page.bot.page.links.issue(CONSOLE)
    expect((await page.request(`/enter/${secret}`, { method: 'POST', headers: { origin: 'https://evil.example' } })).status).toBe(403)
    expect(page.bot.page.links.find(secret)).toBeDefined()
  })

  test.each([
    ['127.0.0.1:8422', 401],
    ['localhost:8422', 401],
    ['[::1]:8422', 401],
    ['10.0.0.7', 401],
    ['slipway.example', 421],
    ['127.0.0.1.evil.example:8422', 421],
    ['user@localhost', 421],
  ])('to the name %s is answered with %d', async (host, status) => {
    using page = openTestPage()
    expect((await page.request('/', { host, headers: { cookie: '' } })).status).toBe(status)
  })

  test('behind TLS gets a cookie for this host alone, and its origin is the public one', async () => {
    using page = openTestPage({ publicUrl: 'https://slipway.example' })
    const { secret } = page.bot.page.links.issue(CONSOLE)
    const wrong = await page.request(`/enter/${secret}`, { method: 'POST', host: 'slipway.example', headers: { origin: 'http://slipway.example' } })
    expect(wrong.status).toBe(403)
    const right = await page.request(`/enter/${secret}`, { method: 'POST', host: 'slipway.example', headers: { origin: 'https://slipway.example' } })
    expect(right.headers.get('set-cookie')).toMatch(/^__Host-slipway=[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  })

  test('has a bounded form', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    expect((await visitor.post('/c/zone/add/zone-9', { description: 'x'.repeat(65_536) })).status).toBe(413)
    expect(
      await visitor.post('/c/zone/add/zone-9', Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, '']))).then(({ status }) => status),
    ).toBe(400)
    const cookie = { cookie: visitor.cookie }
    expect((await page.request('/c/zone/add/zone-9', { method: 'POST', body: '{}', headers: { ...cookie, 'content-type': 'application/json' } })).status).toBe(
      415,
    )
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) })
    expect((await page.request('/c/zone/add/zone-9', { method: 'POST', body: endless, headers: { ...cookie, ...FORM } })).status).toBe(413)
  })

  test('is answered with headers that let nothing foreign in', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    for (const path of ['/', '/enter/x', '/c/store/add', '/nowhere', '/assets/none']) {
      const { headers } = await page.request(path, { headers: { cookie: visitor.cookie } })
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      )
      expect([headers.get('x-content-type-options'), headers.get('referrer-policy'), headers.get('cache-control')]).toEqual([
        'nosniff',
        'same-origin',
        'no-store',
      ])
    }
    const { text } = await visitor.get('/')
    expect(text).not.toMatch(/<script>|<style|style=|onclick|https?:\/\//)
  })
})
