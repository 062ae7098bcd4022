// The upload page of a store without a browser: who may open it, that opening it makes nothing, what it loads, and the links that its script asks for.

import { describe, expect, test } from 'bun:test'
import { ROLES } from '../../../protocol/access.ts'
import { openTestPage } from './fixture.ts'
import type { Visitor } from './fixture.ts'

const PATH = '/stores/edge-a/upload'
const link = { id: 'lnk_1', kind: 'upload', url: `http://edge-a.example/v1/uploads?link=slu_${'a'.repeat(43)}`, expiresAt: '2026-01-01T01:00:00.000Z' }
const open = (): ReturnType<typeof openTestPage> => openTestPage({ scripts: { 'edge-a': { 'POST /links': link }, 'edge-b': {} } })
const posted = (asked: readonly string[]): number => asked.filter((request) => request.includes('POST /links')).length
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

describe('the upload page of a store', () => {
  test.each([...ROLES])('is open to %s as the role of image upload says, and makes nothing', async (role) => {
    using page = open()
    const visitor = await page.enterAs(role)
    const { status, text } = await visitor.get(PATH)
    const overview = (await visitor.get('/stores/edge-a')).text
    const isAllowed = role !== 'viewer'
    expect([status, text.includes('id="uploader"'), overview.split(`href="${PATH}"`).length - 1]).toEqual(isAllowed ? [200, true, 2] : [403, false, 0])
    if (!isAllowed) expect(text).toContain('Uploads to edge-a need the role uploader; you have viewer.')
    expect(posted(page.asked)).toBe(0)
  })

  test('is open to an uploader of one zone for the stores of the zone only', async () => {
    using page = open()
    page.bot.fleet.registry.change('edge-b', { zone: 'zone-2' })
    page.bot.roles.grant({ subject: 'user:U0ANN', role: 'uploader', zone: 'zone-1', store: '', channel: '' }, 'test', page.clock.nowMs())
    const visitor = await page.enter({ id: 'U0ANN', name: 'ann' })
    expect((await visitor.get(PATH)).status).toBe(200)
    expect((await visitor.post(PATH, { length: '5' })).status).toBe(201)
    expect((await visitor.get('/stores/edge-b/upload')).status).toBe(403)
    const refused = await visitor.post('/stores/edge-b/upload', { length: '5' })
    expect([refused.status, json(refused.text)['detail']]).toEqual([403, 'Uploads to edge-b need the role uploader; you have viewer.'])
    expect(posted(page.asked)).toBe(1)
  })

  test('loads Uppy, which no other page does, and may talk to the agent', async () => {
    using page = open()
    const visitor = await page.enter()
    const answer = await page.request(PATH, { headers: { cookie: visitor.cookie } })
    const paths = [...(await answer.text()).matchAll(/(?:href|src)="(\/assets\/upload-[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(paths).toHaveLength(2)
    for (const path of paths) expect((await page.request(path)).status).toBe(200)
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' http://edge-a.example; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    for (const path of ['/', '/stores/edge-a', '/c/image/upload']) expect((await visitor.get(path)).text).not.toContain('/assets/upload-')
  })

  test('of a store that is unknown, or whose name has markup, says so', async () => {
    using page = open()
    const visitor = await page.enter()
    const { status, text } = await visitor.get(`/stores/${encodeURIComponent('<b>x</b>')}/upload`)
    expect([status, text.includes('<b>x</b>'), text.includes('There is no store &lt;b&gt;x')]).toEqual([404, false, true])
  })
})

describe('a link for a file', () => {
  test('is made by the command, for the length of the file, and is in the audit log with the person', async () => {
    using page = open()
    const visitor = await page.enterAs('uploader')
    const made = await visitor.post(PATH, { length: '1234', name: 'debian "12"', digest: `sha256:${'0'.repeat(64)}` })
    expect([made.status, json(made.text)]).toEqual([201, { uploads: `/u/slu_${'a'.repeat(43)}/files` }])
    expect(page.bot.audit.list({ limit: 1 })[0]).toMatchObject({
      actor: 'uploader (U0UPLOADER)',
      surface: 'page',
      outcome: 'done',
      target: 'edge-a',
      command: `image upload store=edge-a name="debian \\"12\\"" digest=sha256:${'0'.repeat(64)} for=10m max=1234B`,
    })
    expect((await page.request(`/u/slu_${'a'.repeat(43)}`)).status).not.toBe(403)
  })

  test('takes an empty file, and a second one with the same form', async () => {
    using page = open()
    const visitor = await page.enter()
    for (const length of ['0', '0']) expect((await visitor.post(PATH, { length, _once: 'same' })).status).toBe(201)
  })

  const wrong: readonly (readonly [string, number, (visitor: Visitor) => ReturnType<Visitor['post']>])[] = [
    ['without a length', 400, (visitor) => visitor.post(PATH)],
    ['with a length of 16 digits', 400, (visitor) => visitor.post(PATH, { length: '1'.repeat(16) })],
    ['with a wrong digest', 400, (visitor) => visitor.post(PATH, { length: '5', digest: 'sha256:5' })],
    ['with a name that is too long', 400, (visitor) => visitor.post(PATH, { length: '5', name: 'x'.repeat(300) })],
    ['with the token of nobody', 403, (visitor) => visitor.post(PATH, { length: '5', _token: 'x' })],
    ['from another site', 403, (visitor) => visitor.post(PATH, { length: '5' }, { origin: 'http://evil.example' })],
    ['as JSON', 400, (visitor) => visitor.post(PATH, { length: '5' }, { 'content-type': 'application/json' })],
    ['with more than 64 KiB', 413, (visitor) => visitor.post(PATH, { length: '5', name: 'x'.repeat(65_536) })],
    ['to an unknown store', 404, (visitor) => visitor.post('/stores/none/upload', { length: '5' })],
  ]
  test.each(wrong)('%s is refused', async (_what, status, send) => {
    using page = open()
    const answer = await send(await page.enter())
    expect([answer.status, posted(page.asked)]).toEqual([status, 0])
    if (!answer.text.startsWith('This form comes from')) expect(json(answer.text)['action']).toBeString()
  })

  test('needs a session', async () => {
    using page = open()
    const visitor = await page.enter()
    for (const { id } of page.bot.page.sessions.list()) page.bot.page.sessions.revoke(id)
    expect((await visitor.post(PATH, { length: '5' })).status).toBe(401)
    expect(posted(page.asked)).toBe(0)
  })

  test('is refused in the words of the store', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const refused = await (await page.enter()).post(PATH, { length: '5' })
    expect([refused.status, json(refused.text)['detail']]).toEqual([404, 'There is nothing at /v1/links.'])
  })
})
