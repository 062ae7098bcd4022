// Upload links over HTTP with a real store below: what they say, what they decide about the image, and how they end.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { LinkStatus, UploadLink } from '../../../protocol/upload-link.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { until } from '../../support/until.ts'
import { openRouteTable } from './route-table.ts'
import type { RouteTable } from './route-table.ts'

const TUS = { 'tus-resumable': '1.0.0' }
const BYTES = { ...TUS, 'content-type': 'application/offset+octet-stream' }
const PAGE_ORIGIN = 'https://bot.example'
const HOST = 'http://store.example:8420'

let table: RouteTable
let authorization = ''

beforeAll(async () => {
  table = await openRouteTable(`[uploads]\norigins = ["${PAGE_ORIGIN}"]\n`)
  authorization = `Bearer ${(await table.parts.access.tokens.create({ name: 'bot', role: 'operator' }, { name: 'test', role: 'admin' })).token}`
})
afterAll(() => table[Symbol.asyncDispose]())

const ask = (path: string, init: RequestInit = {}): Promise<Response> => Promise.resolve(table.app.request(`${HOST}${path}`, init))
const asBot = (path: string, init: RequestInit = {}): Promise<Response> => {
  const headers = new Headers(init.headers)
  headers.set('authorization', authorization)
  return ask(path, { ...init, headers })
}

interface MadeLink {
  readonly id: string
  readonly path: string
  readonly secret: string
}

async function makeLink(order: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<MadeLink> {
  const answer = await asBot('/v1/links', { method: 'POST', headers, body: JSON.stringify({ kind: 'upload', ...order }) })
  expect(answer.status).toBe(201)
  const { id, url } = (await answer.json()) as { id: string; url: string }
  const { pathname, search } = new URL(url)
  return { id, path: pathname + search, secret: search.slice('?link='.length) }
}

/** Creates the upload of a link and returns its path. */
async function begin(link: MadeLink, length: number, headers: Record<string, string> = {}): Promise<string> {
  const created = await ask(link.path, { method: 'POST', headers: { ...TUS, 'upload-length': String(length), ...headers } })
  expect(created.status).toBe(201)
  return created.headers.get('location') ?? ''
}

const send = (path: string, offset: number, body: NonNullable<RequestInit['body']>): Promise<Response> =>
  ask(path, { method: 'PATCH', headers: { ...BYTES, 'upload-offset': String(offset) }, body })
const listed = async (id: string): Promise<UploadLink> => (await (await asBot(`/v1/links/${id}`)).json()) as UploadLink
const statusOf = async (link: MadeLink): Promise<LinkStatus> => (await (await ask(link.path, { headers: { accept: 'application/json' } })).json()) as LinkStatus
const imageOf = async (id: string | null): Promise<Image> =>
  until('the image is available', async () => {
    const image = (await (await asBot(`/v1/images/${id}`)).json()) as Image
    return image.status === 'available' ? image : undefined
  })

describe('a browser that opens an upload link', () => {
  const openInBrowser = (path: string): Promise<Response> => ask(path, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })

  test('gets a text that says to whom it uploads, how large a file may be, until when, and how', async () => {
    const link = await makeLink({ name: 'debian 12', maxLength: 40_000_000_000, draft: { format: 'qcow2' }, ttlSeconds: 7200 })
    const answer = await openInBrowser(link.path)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    expect([answer.headers.get('cache-control'), answer.headers.get('referrer-policy')]).toEqual(['no-store', 'no-referrer'])
    const text = await answer.text()
    const { expiresAt } = await listed(link.id)
    for (const part of ['Upload of debian 12 to ', 'Format:        qcow2', 'Largest file:  40 GB', `Begin before:  ${expiresAt}`, 'tus-js-client'])
      expect(text).toContain(part)
    const url = `${HOST}${link.path}`
    expect(text).toContain(
      `FILE=disk.raw; curl -fSs -X POST -T "$FILE" -H "Tus-Resumable: 1.0.0" -H "Upload-Length: $(stat -c %s "$FILE")" -H "Content-Type: application/offset+octet-stream" '${url}'`,
    )
    expect(text).toContain(`{ endpoint: "${url}",`)
  })

  test('gets how far its upload is and how to continue it, and then which image it became', async () => {
    const link = await makeLink({ name: 'half' })
    const upload = await begin(link, 10_000)
    expect((await send(upload, 0, new Uint8Array(4000))).status).toBe(204)
    const text = await (await openInBrowser(link.path)).text()
    expect(text).toContain('Arrived:       4.0 kB of 10 kB.')
    expect(text).toContain(`URL='${HOST}${upload}';`)
    expect((await send(upload, 4000, new Uint8Array(6000))).status).toBe(204)
    const { imageId } = await listed(link.id)
    await imageOf(imageId)
    expect(await (await openInBrowser(link.path)).text()).toContain(`The image ${imageId} has the status available.`)
    await asBot(`/v1/images/${imageId}?confirm=half`, { method: 'DELETE' })
  })

  test('gets a sentence and the next step when the link cannot be used; a program gets a problem', async () => {
    const link = await makeLink()
    expect((await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })).status).toBe(204)
    const answer = await openInBrowser(link.path)
    expect([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')]).toEqual([403, 'text/plain; charset=utf-8', 'no-store'])
    expect(await answer.text()).toMatch(/^This link cannot be used\.\n\nThe link was revoked at [\dT:.Z-]+\.\nAsk for a new link\.\n$/)
    const problem = (await (await ask(link.path)).json()) as { type: string; detail: string }
    expect(problem).toMatchObject({ type: 'urn:slipway:problem:link-expired', detail: expect.stringContaining('was revoked at') })
    const guess = await openInBrowser(`/v1/uploads?link=slu_${'A'.repeat(43)}`)
    expect(await guess.text()).toBe('This link cannot be used.\n\nThe link is not valid.\nCheck that the whole link was copied, or ask for a new link.\n')
  })

  test('cannot be made to run what a name or an address says', async () => {
    const link = await makeLink({ name: `<b>x</b>'; rm -rf "$HOME"` })
    const answer = await table.app.request(`http://a';touch$IFS'b'.example${link.path}`)
    const text = await answer.text()
    // Lines have no name in them, and each quote of an address ends and begins the quoted word.
    expect(text).toContain(`'http://a'\\'';touch$ifs'\\''b'\\''.example/v1/uploads?link=`)
    expect(text.split('\n').filter((line) => line.includes('rm -rf'))).toEqual([
      `Upload of <b>x</b>'; rm -rf "$HOME" to test`,
      `Image:         <b>x</b>'; rm -rf "$HOME"`,
    ])
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  })
})

describe('a page of another origin', () => {
  test('reads the state of a link and its upload, and may send them', async () => {
    const link = await makeLink({ name: 'by page', maxLength: 9 })
    const headers = { origin: PAGE_ORIGIN, accept: 'application/json' }
    const answer = await ask(link.path, { headers })
    expect([answer.headers.get('access-control-allow-origin'), answer.headers.get('access-control-allow-credentials')]).toEqual([PAGE_ORIGIN, null])
    expect(await answer.json()).toEqual({
      state: 'open',
      store: 'test',
      name: 'by page',
      format: null,
      maxLength: 9,
      expiresAt: (await listed(link.id)).expiresAt,
      upload: null,
      image: null,
    })
    const foreign = await ask(link.path, { headers: { ...headers, origin: 'https://evil.example' } })
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
    const upload = await begin(link, 9)
    expect((await statusOf(link)).upload).toEqual({ url: `${HOST}${upload}`, offset: 0, length: 9, expiresAt: expect.stringContaining('T') })
    await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })
    const refused = await ask(link.path, { headers })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([403, PAGE_ORIGIN])
  })
})

describe('the image of a link', () => {
  test('is what the link says; owner and labels are never those of the client', async () => {
    const draft = { kind: 'template', description: 'from a link', os: 'debian', labels: { env: 'test' } }
    const link = await makeLink({ name: 'fixed', draft }, { 'slipway-on-behalf-of': 'U1%20ann' })
    const metadata = { name: 'mine', kind: 'backup', owner: 'mallory', labels: '{"env":"prod"}', description: 'mine', cloudInit: 'true' }
    const header = Object.entries(metadata).map(([key, value]) => `${key} ${btoa(value)}`)
    const upload = await begin(link, 5, { 'upload-metadata': header.join(',') })
    expect((await send(upload, 0, 'hello')).headers.get('content-location')).toStartWith('/v1/images/img_')
    const image = await imageOf((await listed(link.id)).imageId)
    expect(image).toMatchObject({
      name: 'fixed',
      kind: 'template',
      description: 'from a link',
      os: 'debian',
      labels: { env: 'test' },
      owner: null,
      cloudInit: true,
    })
    const open = await makeLink({ draft: { owner: 'ann' } })
    await send(await begin(open, 5, { 'upload-metadata': header.join(',') }), 0, 'again')
    expect(await imageOf((await listed(open.id)).imageId)).toMatchObject({ name: 'mine', kind: 'backup', owner: 'ann', labels: {} })
  })

  test('has at most the length of the link, to the byte', async () => {
    const link = await makeLink({ maxLength: 5 })
    const refused = await ask(link.path, { method: 'POST', headers: { ...TUS, 'upload-length': '6' } })
    expect([refused.status, ((await refused.json()) as { limit: number }).limit]).toEqual([413, 5])
    const deferred = await makeLink({ maxLength: 5 })
    const created = await ask(deferred.path, { method: 'POST', headers: { ...TUS, 'upload-defer-length': '1' } })
    const path = created.headers.get('location') ?? ''
    expect((await send(path, 0, '123456')).status).toBe(413)
    // A refused creation does not use the link up.
    expect((await send(await begin(link, 5), 0, '12345')).status).toBe(204)
  })

  test('names who asked for the link', async () => {
    const link = await makeLink({ name: 'asked' }, { 'slipway-on-behalf-of': 'ann%20(U1)' })
    const upload = await begin(link, 5)
    expect((await listed(link.id)).createdBy).toBe('ann (U1) via bot')
    const { items } = (await (await asBot('/v1/uploads')).json()) as { items: { id: string; creator: string }[] }
    expect(items.find(({ id }) => upload.includes(id))?.creator).toBe('ann (U1) via bot')
    await ask(upload, { method: 'DELETE', headers: TUS })
    expect((await listed(link.id)).state).toBe('cancelled')
    expect((await ask(link.path, { method: 'POST', headers: { ...TUS, 'upload-length': '5' } })).status).toBe(403)
  })

  test.each([
    [{ draft: { name: 'x' } }, 'draft.name'],
    [{ draft: { kind: 'nothing' } }, 'draft.kind'],
    [{ draft: { description: 'x'.repeat(1010) } }, 'draft'],
    [{ maxLength: 0 }, 'maxLength'],
    [{ ttlSeconds: 604_801 }, 'ttlSeconds'],
  ])('is refused with %j', async (order, member) => {
    const answer = await asBot('/v1/links', { method: 'POST', body: JSON.stringify({ kind: 'upload', ...order }) })
    const { errors } = (await answer.json()) as { errors: { member: string }[] }
    expect([answer.status, errors.map((error) => error.member)]).toEqual([400, [member]])
  })
})

describe('revoking a link', () => {
  test('ends a body in progress, removes its upload and refuses further appends', async () => {
    const link = await makeLink({ name: 'ended' })
    const upload = await begin(link, 1_000_000)
    const { uploadId } = await listed(link.id)
    const body = new TransformStream<Uint8Array, Uint8Array>()
    const writer = body.writable.getWriter()
    const sending = send(upload, 0, body.readable)
    await writer.write(new Uint8Array(100_000))
    expect((await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })).status).toBe(204)
    const sent = await sending
    expect([sent.status, sent.headers.get('connection')]).toEqual([204, 'close'])
    expect((await send(upload, 100_000, 'more')).status).toBe(403)
    expect(await listed(link.id)).toMatchObject({ state: 'revoked', uploadId })
    expect((await asBot(`/v1/uploads/${uploadId}`, { method: 'HEAD', headers: TUS })).status).toBe(404)
    await writer.abort().catch(() => {})
    const again = await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })
    expect([again.status, ((await again.json()) as { type: string }).type]).toEqual([409, 'urn:slipway:problem:wrong-status'])
  })

  test('leaves an image that the upload has become', async () => {
    const link = await makeLink({ name: 'stays' })
    await send(await begin(link, 5), 0, 'hello')
    expect((await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })).status).toBe(409)
    expect(await listed(link.id)).toMatchObject({ state: 'completed' })
    expect((await imageOf((await listed(link.id)).imageId)).name).toBe('stays')
  })
})

test('no log line, event or list has the secret of a link', async () => {
  const link = await makeLink({ name: 'silent' })
  const upload = await begin(link, 5)
  await ask(upload, { method: 'HEAD', headers: TUS })
  await ask(link.path)
  await ask(`/v1/tasks${link.path.slice(link.path.indexOf('?'))}`)
  await asBot(`/v1/links/${link.id}`, { method: 'DELETE' })
  await ask(link.path)
  const events = await (await asBot('/v1/events?limit=1000')).text()
  const lists = (await (await asBot('/v1/links')).text()) + (await (await asBot('/v1/uploads')).text())
  expect(events).toContain(link.id)
  expect(lists).toContain(link.id)
  expect(events + lists).not.toContain(link.secret.slice(4))
  const logged = JSON.stringify(table.log.lines)
  expect(logged).toContain('/v1/uploads')
  expect(logged).not.toContain(link.secret.slice(4))
})
