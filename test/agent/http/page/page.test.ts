// The page of an agent over the real table of routes: entry, session, what each role sees, and what a name with markup becomes.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { FORM_LENGTH_MAX } from '../../../../agent/http/page/own-form.ts'
import { WRONG_TOKENS_MAX } from '../../../../agent/http/page/entry-limit.ts'
import { IMAGES_PER_PAGE } from '../../../../agent/http/page/image-list.tsx'
import { PAGE_PLACES } from '../../../../agent/http/page/addresses.ts'
import { ROLES } from '../../../../protocol/access.ts'
import { openAccessStage } from '../access/access-stage.ts'
import type { AccessStage } from '../access/access-stage.ts'

// Opening a store on a busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const FORM = 'application/x-www-form-urlencoded'
const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const ADMIN = { name: 'test', role: 'admin' } as const

let stage: AccessStage
let address = 0

beforeAll(async () => {
  stage = await openAccessStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

interface Asked {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly remoteAddress?: string
}

/** Asks as a browser does, from an address of its own unless one is given. */
async function ask(path: string, { remoteAddress = `192.0.2.${++address % 250}`, ...init }: Asked = {}): Promise<Response> {
  const { app } = stage.table
  return app.request(path, { ...init, headers: { ...HTML, ...init.headers } }, { connection: { remoteAddress, inform: () => {} } })
}

function enter(token: string, more: Asked & { readonly next?: string } = {}): Promise<Response> {
  const { next = '/', headers = {}, ...rest } = more
  return ask('/page/enter', { method: 'POST', headers: { 'content-type': FORM, ...headers }, body: new URLSearchParams({ token, next }).toString(), ...rest })
}

/** Enters and returns the headers of the browser's later requests. */
async function session(token: string): Promise<{ cookie: string }> {
  const cookie = (await enter(token)).headers.get('set-cookie')?.split(';')[0]
  if (cookie === undefined) throw new Error('the agent began no session')
  return { cookie }
}

async function newToken(role: (typeof ROLES)[number], more: { readonly subject?: string } = {}): Promise<{ id: string; token: string }> {
  return stage.table.parts.access.tokens.create({ name: `the ${role}`, role, ...more }, ADMIN)
}

describe('the entry', () => {
  test('is all that somebody without a token sees, at every address, and says nothing about the store', async () => {
    for (const { path } of PAGE_PLACES) {
      const answer = await ask(path)
      const text = await answer.text()
      expect([path, answer.status]).toEqual([path, 401])
      expect(text).toContain('<label for="token">')
      expect(text).not.toContain(stage.table.mount)
      expect(text).not.toMatch(/Running|Degraded|available|<table/)
      expect(answer.headers.get('content-security-policy')).toBe(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      )
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(text).not.toMatch(/<script|style="|\son\w+=/)
    }
  })

  test('at / is for browsers only: other clients read what they always did', async () => {
    for (const headers of [{ accept: '*/*' }, { accept: 'application/json' }]) {
      const answer = await ask('/', { headers })
      expect([answer.status, await answer.json()]).toMatchObject([404, { detail: 'There is nothing at /.' }])
    }
    const answer = await ask('/page/images', { headers: { accept: 'application/json' } })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([401, 'application/problem+json'])
  })

  test('begins a session that leads to the place that was asked for, and nowhere else', async () => {
    const { token } = await newToken('viewer')
    for (const [next, location] of [
      ['/', '../'],
      ['/page/tasks', '../page/tasks'],
      ['https://evil.example', '../'],
      ['//evil.example', '../'],
    ] as const) {
      const answer = await enter(token, { next })
      expect([answer.status, answer.headers.get('location')]).toEqual([303, location])
    }
  })

  test('refuses a wrong token and asks again; an expired and a deleted one are wrong', async () => {
    const { id, token } = await newToken('viewer')
    stage.table.parts.access.tokens.remove(id, ADMIN)
    for (const wrong of ['slp_wrong', token, 'x'.repeat(2048), 'x'.repeat(2049)]) {
      const answer = await enter(wrong)
      expect([answer.status, answer.headers.get('set-cookie')]).toEqual([401, null])
      expect(await answer.text()).toContain('The token is unknown or has expired.')
    }
    expect((await enter('')).status).toBe(400)
  })

  test('refuses an address with too many wrong tokens, whatever it sends then', async () => {
    const { token } = await newToken('viewer')
    const remoteAddress = '203.0.113.7'
    for (let i = 0; i < WRONG_TOKENS_MAX; i++) expect((await enter('slp_wrong', { remoteAddress })).status).toBe(401)
    const refused = await enter(token, { remoteAddress })
    expect([refused.status, refused.headers.get('set-cookie')]).toEqual([429, null])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(5)
    expect((await enter(token)).status).toBe(303)
  })

  test('takes a form of its own page only', async () => {
    const { token } = await newToken('viewer')
    const own: Record<string, string>[] = [
      {},
      { origin: 'http://localhost' },
      { 'sec-fetch-site': 'same-origin' },
      { origin: 'https://edge-a.example', 'x-forwarded-host': 'edge-a.example', 'x-forwarded-proto': 'https' },
      { origin: 'http://[2001:db8::1]:8420', 'x-forwarded-host': '[2001:db8::1]:8420' },
      // A proxy that replaces Host: the browser says that the form is of the same site.
      { origin: 'https://edge-a.example', 'sec-fetch-site': 'same-origin' },
    ]
    for (const headers of own) expect([headers, (await enter(token, { headers })).status]).toEqual([headers, 303])
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://localhost:1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', origin: 'http://localhost' },
    ]
    for (const headers of foreign) expect([headers, (await enter(token, { headers })).status]).toEqual([headers, 403])
  })

  test('reads a form up to its bound', async () => {
    const { token } = await newToken('viewer')
    const form = (length: number): string => {
      const text = `token=${token}&pad=`
      return text + 'x'.repeat(length - text.length)
    }
    const headers = { 'content-type': FORM }
    expect((await ask('/page/enter', { method: 'POST', headers, body: form(FORM_LENGTH_MAX) })).status).toBe(303)
    expect((await ask('/page/enter', { method: 'POST', headers, body: form(FORM_LENGTH_MAX + 1) })).status).toBe(413)
    expect((await ask('/page/enter', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status).toBe(415)
  })
})

describe('a session', () => {
  test('has a cookie that scripts cannot read and that needs TLS where the browser has it', async () => {
    const { token } = await newToken('viewer')
    const store = (await (await stage.admin.ask('GET', '/v1/store')).json) as { id: string }
    const name = `slipway-agent-${store.id.slice(0, 8)}`
    const plain = (await enter(token)).headers.get('set-cookie')
    expect(plain).toMatch(new RegExp(`^${name}=[\\w-]{43}; Max-Age=43200; Path=/; HttpOnly; SameSite=Lax$`))
    expect(plain).not.toContain(token)
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'edge-a.example', origin: 'https://edge-a.example' }
    const secure = (await enter(token, { headers })).headers.get('set-cookie') ?? ''
    expect(secure).toMatch(new RegExp(`^__Host-${name}=[\\w-]{43}; Max-Age=43200; Path=/; HttpOnly; Secure; SameSite=Lax$`))
    const cookie = secure.split(';')[0] ?? ''
    expect((await ask('/', { headers: { ...headers, cookie } })).status).toBe(200)
    // Another site of the domain can set a cookie without the prefix.
    expect((await ask('/', { headers: { ...headers, cookie: cookie.replace('__Host-', '') } })).status).toBe(401)
  })

  test('opens the page, and no other route', async () => {
    const headers = await session((await newToken('admin')).token)
    for (const { path } of PAGE_PLACES) expect([path, (await ask(path, { headers })).status]).toEqual([path, 200])
    const wrong: string[] = []
    for (const { method, path, access } of stage.table.routes) {
      if (access === 'public' || (typeof access === 'object' && 'cookie' in access)) continue
      const { status } = await ask(path.replaceAll(/:\w+/g, 'x'), { method, headers: { ...headers, 'tus-resumable': '1.0.0' } })
      if (status !== 401) wrong.push(`${method} ${path}: ${status}`)
    }
    expect(wrong).toEqual([])
  })

  test('ends with its token, and says so', async () => {
    const { id, token } = await newToken('operator')
    const headers = await session(token)
    expect((await ask('/', { headers })).status).toBe(200)
    stage.table.parts.access.tokens.remove(id, ADMIN)
    const answer = await ask('/page/images', { headers })
    expect(answer.status).toBe(401)
    expect(await answer.text()).toContain('The session has ended.')
  })

  test('is ended by the button of its page, and by no other form', async () => {
    const headers = await session((await newToken('viewer')).token)
    const formToken = /name="form-token" value="(\w+)"/.exec(await (await ask('/', { headers })).text())?.[1] ?? ''
    const leave = (body: string, more: Record<string, string> = {}) =>
      ask('/page/leave', { method: 'POST', headers: { ...headers, 'content-type': FORM, ...more }, body })
    expect((await leave('form-token=x')).status).toBe(403)
    expect((await leave(`form-token=${formToken}`, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await ask('/', { headers })).status).toBe(200)
    const left = await leave(`form-token=${formToken}`)
    expect([left.status, left.headers.get('set-cookie')]).toEqual([200, expect.stringContaining('Max-Age=0')])
    expect((await ask('/', { headers })).status).toBe(401)
  })
})

describe('the page', () => {
  test('shows every role what the token may read, and where to go, by relative links only', async () => {
    for (const role of ROLES) {
      const headers = await session((await newToken(role)).token)
      const text = await (await ask('/', { headers })).text()
      expect(text).toContain(`the ${role} (${role})`)
      for (const part of ['<h1>', 'Mount path', 'No uploads are under way.', '<h2>Events</h2>']) expect(text).toContain(part)
      expect([...text.matchAll(/(?:href|action|src)="([^"]*)"/g)].map(([, href = '']) => href).filter((href) => /^(?:\/|\w+:)/.test(href))).toEqual([])
    }
  })

  test('is also there for a client with a token in its header, which has no session to end', async () => {
    const { token } = await newToken('viewer')
    const answer = await ask('/page/events', { headers: { authorization: `Bearer ${token}` } })
    expect([answer.status, (await answer.text()).includes('Log out')]).toEqual([200, false])
    expect((await ask('/page/events', { headers: { authorization: 'Bearer slp_wrong' } })).status).toBe(401)
  })

  test('shows a name with markup as a name, and an image only to those who may see it', async () => {
    const hostile = '<img src=x onerror=alert(1)>"\'&'
    const image = await stage.upload(stage.admin, hostile, { seed: 5, metadata: { owner: 'user:ann' } })
    await stage.admin.ask('PUT', `/v1/images/${image.id}/grants/${encodeURIComponent('user:ann')}`, { set: ['read'] })
    const [admin, other] = [await session((await newToken('admin')).token), await session((await newToken('viewer', { subject: 'user:eve' })).token)]
    for (const path of ['/page/images', `/page/images/${image.id}`, '/page/events', '/']) {
      const text = await (await ask(path, { headers: admin })).text()
      expect([path, text.includes('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;')]).toEqual([path, true])
      expect(text).not.toContain('<img')
      const hidden = await ask(path, { headers: other })
      expect([path, hidden.status, (await hidden.text()).includes('onerror')]).toEqual([path, path.endsWith(image.id) ? 404 : 200, false])
    }
  })

  test('pages, sorts and filters images as the address says', async () => {
    const headersOf = (name: string) => ({ 'tus-resumable': '1.0.0', 'upload-length': '1', 'upload-metadata': `name ${btoa(name)}` })
    const names = Array.from({ length: IMAGES_PER_PAGE + 1 }, (_, i) => `paged-${String(i).padStart(3, '0')}`)
    await Promise.all(names.map((name) => stage.admin.ask('POST', '/v1/uploads', undefined, headersOf(name))))
    const headers = await session((await newToken('viewer')).token)
    const read = async (path: string) => {
      const text = await (await ask(path, { headers })).text()
      const next = /href="([^"]+)">Next page/.exec(text)?.[1]?.replaceAll('&amp;', '&')
      return { names: [...text.matchAll(/>(paged-\d+)</g)].map(([, name = '']) => name), next, text }
    }
    const first = await read('/page/images?search=paged&sort=name')
    expect(first.names).toHaveLength(IMAGES_PER_PAGE)
    expect(first.names[0]).toBe('paged-000')
    const second = await read(new URL(first.next ?? '', 'http://localhost/page/images').href)
    expect([second.names, second.next]).toEqual([[`paged-0${IMAGES_PER_PAGE}`], undefined])
    expect(second.text).toContain('First page')
    expect((await read('/page/images?search=paged-007&status=&kind=&sort=-name')).names).toEqual(['paged-007'])
    expect((await read('/page/images?search=nothing-like-it')).text).toContain('No image passes the filter.')
    const wrong = await ask('/page/images?sort=color', { headers })
    expect([wrong.status, wrong.headers.get('content-type')]).toEqual([400, 'text/html; charset=utf-8'])
  })
})
