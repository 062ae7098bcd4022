// Files of a store on the page: folders are links, files can be downloaded through the bot with their ranges, and rows of lists have menus.

import { describe, expect, test } from 'bun:test'
import { imageOf, page as listOf, refuse } from '../commands/scripted-fleet.ts'
import { openTestPage } from './fixture.ts'

const entry = (name: string, kind: 'file' | 'folder' | 'other', length = 0) => ({ name, kind, length, modifiedAt: '2026-01-01T00:00:00.000Z' })
const BYTES = new TextEncoder().encode('<script>alert(1)</script>')

/** A content that the agent sends piece by piece, until `more` is false. */
const content = (body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>, headers: Record<string, string> = {}, status = 200) =>
  new Response(body, { status, headers: { 'content-type': 'application/octet-stream', etag: '"e1"', ...headers } })

describe('the files of a store', () => {
  test('a folder opens by its name, and a file is downloaded by it, whatever the names are', async () => {
    using page = openTestPage({
      scripts: {
        'edge-a': { 'GET /files': listOf([entry('a b/c', 'folder'), entry('"><b>x', 'folder'), entry("it's #1.iso", 'file', 5), entry('socket', 'other')]) },
      },
    })
    const { text } = await (await page.enterAs('operator')).get('/stores/edge-a/files')
    const links = [...text.matchAll(/<th role="rowheader"[^>]*>(.*?)<\/th>/g)].map(([, cell = '']) => /href="([^"]*)"/.exec(cell)?.[1])
    expect(links).toEqual(['/c/store/browse/edge-a/a%20b%2Fc', '/c/store/browse/edge-a/%22%3E%3Cb%3Ex', '/stores/edge-a/file?path=it%27s+%231.iso', undefined])
    expect(text).not.toContain('<b>x')
    expect(text).not.toContain('>Open ')
  })

  test('below operator no file is offered or sent, and the agent is not asked for it', async () => {
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /files': listOf([entry('notes.txt', 'file', 5)]), 'GET /files/content': content(BYTES) } } })
    for (const role of ['viewer', 'uploader'] as const) {
      const visitor = await page.enterAs(role)
      expect((await visitor.get('/stores/edge-a/files')).text).not.toContain('/file?path=')
      const refused = await visitor.get('/stores/edge-a/file?path=notes.txt')
      expect([refused.status, refused.text]).toEqual([403, 'Files can be downloaded with the role operator. Ask an admin of the bot.\n'])
    }
    expect(page.asked.filter((request) => request.includes('content'))).toEqual([])
    expect((await page.request('/stores/edge-a/file?path=notes.txt')).status).toBe(401)
  })

  test('a download is never shown by the browser, keeps its validators, and is in the audit log', async () => {
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /files/content': content(BYTES, { 'content-length': '25', 'accept-ranges': 'bytes' }) } } })
    const { cookie } = await page.enterAs('operator')
    const answer = await page.request(`/stores/edge-a/file?${new URLSearchParams({ path: "images/it's (1).html" }).toString()}`, { headers: { cookie } })
    expect([answer.status, await answer.text()]).toEqual([200, '<script>alert(1)</script>'])
    expect(
      ['content-type', 'content-disposition', 'content-security-policy', 'x-content-type-options', 'etag', 'accept-ranges'].map((name) =>
        answer.headers.get(name),
      ),
    ).toEqual([...['application/octet-stream', "attachment; filename*=UTF-8''it%27s%20%281%29.html", 'sandbox', 'nosniff', '"e1"', 'bytes']])
    const [row] = page.bot.audit.list({ limit: 1 })
    expect([row?.actor, row?.surface, row?.command, row?.target, row?.detail]).toEqual([
      ...['operator (U0OPERATOR)', 'page', 'store browse', "edge-a images/it's (1).html", 'Downloaded.'],
    ])
  })

  test('the browser learns that a file has not changed, is gone, or is on an agent that refuses', async () => {
    using page = openTestPage({
      scripts: {
        'edge-a': { 'GET /files/content': new Response(null, { status: 304, headers: { etag: '"e1"' } }) },
        'edge-b': { 'GET /files/content': refuse('not-found', 'There is no file "x".') },
        'edge-c': { 'GET /files/content': refuse('outside-mount-path', 'The path leads out of the mount path.') },
      },
    })
    const { cookie } = await page.enterAs('operator')
    const get = async (path: string) => {
      const answer = await page.request(path, { headers: { cookie, 'if-none-match': '"e1"' } })
      return [answer.status, await answer.text()]
    }
    expect(await get('/stores/edge-a/file?path=x')).toEqual([304, ''])
    expect(await get('/stores/edge-b/file?path=x')).toEqual([404, expect.stringContaining('There is no file "x".')])
    expect(await get('/stores/edge-c/file?path=..')).toEqual([409, expect.stringContaining('The path leads out of the mount path.')])
    expect((await get('/stores/none/file?path=x'))[0]).toBe(404)
    expect((await get('/stores/edge-a/file'))[0]).toBe(404)
    expect((await get(`/stores/edge-a/file?path=${'x'.repeat(4097)}`))[0]).toBe(404)
  })

  test('a session has eight downloads at a time; one that ends or is left makes room', async () => {
    const endless = (): Response => content(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1024)) }))
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /files/content': endless } } })
    const { cookie } = await page.enterAs('operator')
    const begin = () => page.request('/stores/edge-a/file?path=x', { headers: { cookie } })
    const open = await Promise.all(Array.from({ length: 8 }, begin))
    expect(open.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    const refused = await begin()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '10'])
    const other = await page.enter()
    const theirs = await page.request('/stores/edge-a/file?path=x', { headers: { cookie: other.cookie } })
    expect(theirs.status).toBe(200)
    await open[0]?.body?.cancel()
    const ninth = await begin()
    expect(ninth.status).toBe(200)
    await Promise.all([...open.slice(1), theirs, ninth].map(({ body }) => body?.cancel()))
  })

  test('a download that the audit log cannot record is not sent, and the answer of the agent is closed', async () => {
    const closed: string[] = []
    const endless = (): Response =>
      content(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1024)), cancel: () => void closed.push('agent') }))
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /files/content': endless } } })
    const { cookie } = await page.enterAs('operator')
    page.bot.database.exec("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
    // More than a session may have at a time: each one gives its place back.
    for (let n = 0; n < 9; n++) {
      const answer = await page.request('/stores/edge-a/file?path=x', { headers: { cookie } })
      expect([answer.status, (await answer.text()).includes('This failed')]).toEqual([500, true])
    }
    expect(closed).toHaveLength(9)
  })
})

describe('the menu of a row', () => {
  test('has what the person may do with it, and is no part of other tables', async () => {
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /images': listOf([imageOf(1, { name: '<i>disk' })]) } } })
    const menus = async (role: 'viewer' | 'admin', path: string): Promise<string[][]> => {
      const { text } = await (await page.enterAs(role)).get(path)
      return [...text.matchAll(/<details class="menu">(.*?)<\/details>/g)].map(([, menu = '']) =>
        [...menu.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href),
      )
    }
    const [store = []] = await menus('admin', '/stores')
    expect(store).toContain('/c/store/disable/edge-a')
    expect(store).toContain('/stores/edge-a/upload')
    expect(store).not.toContain('/c/store/show/edge-a')
    const [image = []] = await menus('admin', '/images?status=available')
    expect(image).toContain(`/c/image/delete/${imageOf(1).id}`)
    const [seen = []] = await menus('viewer', '/stores')
    expect(seen).toContain('/c/store/browse/edge-a')
    expect(seen).not.toContain('/c/store/disable/edge-a')
    expect(await menus('admin', '/')).toEqual([])
    expect((await (await page.enter()).get('/images')).text).toContain('for &lt;i&gt;disk</span>')
  })

  test('of an image in the recycle bin has what such an image can have, as its page does', async () => {
    const gone = imageOf(1, { status: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z' })
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /images': listOf([gone]), [`GET /images/${gone.id}`]: gone } } })
    const visitor = await page.enterAs('admin')
    const commandsIn = (text: string): string[] => [...text.matchAll(/href="\/c\/image\/(\w+)\/img_/g)].map(([, verb = '']) => verb)
    const list = (await visitor.get('/images?status=deleted')).text
    expect(commandsIn(/<details class="menu">(.*?)<\/details>/.exec(list)?.[1] ?? '').toSorted()).toEqual(['purge', 'restore'])
    const offered = (await visitor.get(`/images/${gone.id}`)).text.split('What you can do')[1] ?? ''
    expect(commandsIn(offered).toSorted()).toEqual(['purge', 'restore'])
  })
})
