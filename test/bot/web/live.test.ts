// Live pages: what changed is sent and nothing else, tabs share their work, and a stream ends with the session and with the role.

import { describe, expect, test } from 'bun:test'
import { PAUSE_MS_MIN, TICK_MS, STREAMS_MAX, STREAMS_PER_SESSION_MAX } from '../../../bot/web/live/live.ts'
import { HEARTBEAT_MS, UNREAD_MS_MAX } from '../../../bot/web/live/page-stream.ts'
import { ADDRESS_LENGTH_MAX } from '../../../bot/web/live/live-routes.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { imageOf, refuse, storeOf, page as listOf } from '../commands/scripted-fleet.ts'
import type { Asked } from '../commands/scripted-fleet.ts'
import { openTestPage, serveRuns } from './fixture.ts'
import type { TestPage } from './fixture.ts'
import { openLive, openLiveOf, openStream } from './live-reader.ts'

/** Lets what was begun go on until the application waits for the clock. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const TASK = 'tsk_00000000000000000000000001'

/** The result of a dry run of a copy. */
const PLAN = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 100, images: [{ id: imageOf(1).id, name: 'disk', outcome: 'would-copy', bytesMoved: 100 }] }

/** A scrub of 100 bytes, of which some are done. */
function scrub(done: number) {
  const state = done < 100 ? 'running' : 'succeeded'
  const progress = { done, total: 100, unit: 'bytes', rate: 1, etaSeconds: null }
  const times = { createdAt: '2026-01-01T00:00:00.000Z', endedAt: null }
  return taskSchema.parse({ id: TASK, kind: 'scrub', state, progress, subject: 'edge-a', createdBy: 'root', ...times })
}

/** A store whose description and events the test changes. */
function openStore() {
  let description = 'rack <b>1</b>'
  let position = 0
  let isGone = false
  const page = openTestPage({
    scripts: {
      'edge-a': {
        'GET /store': () => storeOf({ name: 'edge-a', description }),
        'GET /files': () =>
          isGone ? refuse('internal', 'The disk is gone.') : listOf([{ name: 'images', kind: 'folder', length: 0, modifiedAt: '2026-01-01T00:00:00.000Z' }]),
      },
    },
  })
  const event = (): void =>
    page.bot.fleet.kept.events.keep([{ store: 'edge-a', position: ++position, events: [], hasSkipped: false, isReset: false }], page.clock.nowMs())
  return {
    page,
    event,
    describe: (text: string): void => {
      description = text
      event()
    },
    goAway: (isAway: boolean): void => {
      isGone = isAway
      event()
    },
    shown: () => page.asked.filter((request) => request.endsWith('GET /store')).length,
    [Symbol.dispose]: () => page[Symbol.dispose](),
  }
}

/** Lets a look be due, and run while the clock stands still. */
async function pass(page: TestPage, ms = PAUSE_MS_MIN): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= TICK_MS) {
    page.clock.advance(Math.min(TICK_MS, leftMs))
    await settle()
  }
}

describe('a live page', () => {
  test('gets the part that changed, and asks nobody while nothing changes', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enter()
    await visitor.get('/stores/edge-a')
    const stream = await openLive(page, visitor, '/stores/edge-a')
    const before = store.shown()
    await pass(page, 10 * PAUSE_MS_MIN)
    expect(store.shown()).toBe(before)
    store.describe('rack <i>2</i>')
    await pass(page)
    const sent = await stream.next()
    expect(sent?.event).toBe('parts')
    const [part] = sent?.data.parts ?? []
    expect(part?.html).toContain('rack &lt;i&gt;2&lt;/i&gt;')
    expect(part?.html).not.toContain('rack &lt;b&gt;')
    // Another event changes nothing that is shown: only the age is sent.
    store.event()
    await pass(page)
    const [aged, ...charts] = (await stream.next())?.data.parts ?? []
    expect(aged).toEqual({ id: 'part-0', version: part?.version ?? '', problem: '', age: expect.stringContaining('as of') })
    expect(charts.map(({ html }) => html)).toEqual([undefined])
    await stream.cancel()
  })

  test('of one person shares its looks with other tabs, and gets at once what it missed', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enter()
    const streams = await Promise.all(Array.from({ length: 5 }, () => openLive(page, visitor, '/stores/edge-a')))
    const before = store.shown()
    store.describe('rack 2')
    await pass(page)
    for (const stream of streams) expect((await stream.next())?.data.parts[0]?.html).toContain('rack 2')
    expect(store.shown()).toBe(before + 1)
    const late = await openStream(page, visitor, '/live?for=/stores/edge-a&mark=old&has=old')
    await pass(page)
    expect((await late.next())?.data.parts[0]?.html).toContain('rack 2')
    expect(store.shown()).toBe(before + 1)
  })

  test('is looked at once in two seconds at most, however much happens', async () => {
    using store = openStore()
    const { page } = store
    await openLive(page, await page.enter(), '/stores/edge-a')
    const before = store.shown()
    for (let i = 0; i < 100; i++) {
      store.event()
      await pass(page, 100)
    }
    expect(store.shown() - before).toBeWithin(4, 7)
  })

  test('keeps what was shown when its agent is gone, says why and what to do, and goes on when it is back', async () => {
    using store = openStore()
    const { page } = store
    const stream = await openLive(page, await page.enter(), '/stores/edge-a/files')
    store.goAway(true)
    await pass(page)
    const [cut] = (await stream.next())?.data.parts ?? []
    expect(cut?.html).toBeUndefined()
    expect(cut?.problem).toContain('This part could not be looked at again: The disk is gone.')
    store.goAway(false)
    await pass(page)
    expect((await stream.next())?.data.parts).toEqual([{ id: 'part-0', version: cut?.version ?? '', problem: '', age: expect.stringContaining('as of') }])
    await stream.cancel()
  })

  test('that shows a running task moves without an event, until the task has ended', async () => {
    let done = 10
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /tasks': () => listOf([scrub(done)]), [`GET /tasks/${TASK}`]: () => scrub(done) } } })
    const visitor = await page.enter()
    const token = /name="_token" value="([^"]*)"/.exec((await visitor.get('/c')).text)?.[1] ?? 'none'
    const stream = await openLive(page, visitor, `/c/task/show/${TASK}`)
    done = 40
    await pass(page)
    const half = (await stream.next())?.data.parts[0]?.html
    expect(half).toContain('value="40"')
    // Its buttons are forms of this session.
    expect(half).toContain(`name="_token" value="${token}"`)
    expect(half).not.toMatch(/(?:token|once)-[0-9a-f]{8}-/)
    done = 100
    await pass(page)
    expect((await stream.next())?.data.parts[0]?.html).toContain('succeeded')
    const before = page.asked.length
    await pass(page, 10 * PAUSE_MS_MIN)
    expect(page.asked.length).toBe(before)
    await stream.cancel()
  })

  test('that answers a form moves as the page of the task that it started', async () => {
    let done = 10
    const scripts = { 'POST /schedules/scrub/run': () => scrub(done), 'GET /tasks': () => listOf([scrub(done)]), [`GET /tasks/${TASK}`]: () => scrub(done) }
    using page = openTestPage({ scripts: { 'edge-a': scripts } })
    const visitor = await page.enter()
    const { status, text } = await visitor.post('/c/schedule/run/edge-a/scrub')
    expect([status, /<h1[^>]*>.*?<\/h1>/s.exec(text)?.[0]]).toEqual([200, expect.stringContaining(`Task ${TASK}`)])
    expect(text).toContain(`href="/c/task/show/${TASK}?store=edge-a">Load again`)
    const stream = await openLiveOf(page, visitor, text)
    done = 40
    await pass(page)
    expect((await stream.next())?.data.parts[0]?.html).toContain('value="40"')
    await stream.cancel()
    expect(page.asked.filter((request) => request.includes('POST'))).toHaveLength(1)
  })

  test('that answers a form for several images moves as their bulk run, which the service carries out', async () => {
    const disk = imageOf(1, { name: 'disk' })
    const done = { 'edge-b': 10, 'edge-c': 20 }
    const ids = { 'edge-b': TASK, 'edge-c': TASK.replace(/1$/, '2') }
    const copyIn = (store: 'edge-b' | 'edge-c') => ({ ...scrub(done[store]), id: ids[store], kind: 'sync', subject: 'disk' })
    const target = (store: 'edge-b' | 'edge-c') => ({
      'GET /images': listOf([]),
      'POST /sync': ({ body }: Asked) =>
        (body as { dryRun?: boolean }).dryRun === true
          ? { ...copyIn(store), state: 'succeeded', endedAt: '2026-01-01T00:00:01.000Z', result: PLAN }
          : copyIn(store),
      [`GET /tasks/${ids[store]}`]: () => copyIn(store),
    })
    const source = { 'GET /images': listOf([disk]), 'POST /sync/grants': { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' } }
    using page = openTestPage({ scripts: { 'edge-a': source, 'edge-b': target('edge-b'), 'edge-c': target('edge-c'), 'edge-d': {} } })
    const visitor = await page.enter()
    const { status, text } = await visitor.post('/c/image/sync/disk', { to: 'edge-b,edge-c' })
    expect([status, /<h1[^>]*>.*?<\/h1>/s.exec(text)?.[0]]).toEqual([200, expect.stringContaining('Running: ')])
    expect(text).toContain('href="/c/task/show/B1">Load again')
    expect(page.asked.filter((request) => request.endsWith('POST /sync'))).toHaveLength(2)
    const stream = await openLiveOf(page, visitor, text)
    await using _service = serveRuns(page)
    const shown = async (): Promise<string> => {
      const html = (await stream.next())?.data.parts[0]?.html
      const found = html?.matchAll(/(\d+ of \d+ images? done)|<progress[^>]*value="(\d+)"/g) ?? []
      return [...found].map(([, words, value]) => words ?? value).join(' ')
    }
    /** Waits for what the page shows then. */
    const seen = async (wanted: string): Promise<void> => {
      for (let looks = 0; looks < 10; looks++) {
        await pass(page)
        if ((await shown()) === wanted) return
      }
      throw new Error(`the page does not show ${wanted}`)
    }
    await seen('0 of 2 images done 10 20')
    expect(page.asked.filter((request) => request.endsWith('POST /sync'))).toHaveLength(4)
    done['edge-b'] = 100
    done['edge-c'] = 60
    await seen('1 of 2 images done 60')
    done['edge-c'] = 100
    await seen('2 of 2 images done')
    await stream.cancel()
  })

  test('leaves nothing in the audit log, and keeps saying what changed since the page before', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enter()
    await visitor.get('/')
    page.clock.advance(3_600_000)
    const first = (await visitor.get('/')).text
    expect(first).toContain('since you last asked, 1 h ago')
    const rows = page.bot.audit.list({ limit: 1000, reads: true }).length
    const stream = await openStream(page, visitor, '/live?for=/&mark=old')
    await pass(page)
    expect((await stream.next())?.data.parts[0]?.html).toContain('since you last asked, 1 h ago')
    expect(page.bot.audit.list({ limit: 1000, reads: true })).toHaveLength(rows)
    await stream.cancel()
  })
})

describe('a stream', () => {
  test('ends when its session is revoked, and when it ends by itself', async () => {
    using store = openStore()
    const { page } = store
    for (const finish of [
      () => page.bot.page.sessions.list().forEach(({ id }) => page.bot.page.sessions.revoke(id)),
      () => page.bot.database.run('UPDATE page_sessions SET expires_ms = ?', [page.clock.nowMs()]),
    ]) {
      const stream = await openLive(page, await page.enter(), '/stores/edge-a')
      // The browser has read the beginning.
      const end = stream.next()
      await settle()
      finish()
      await pass(page)
      expect(await end).toMatchObject({ event: 'end', data: { isFinal: true, text: expect.stringContaining('session has ended') } })
      expect(await stream.next()).toBeUndefined()
    }
  })

  test('is no use of its session, which ends although a page is open', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enter()
    await visitor.get('/stores/edge-a')
    const stream = await openLive(page, visitor, '/stores/edge-a')
    const end = stream.next()
    await settle()
    // Nearly eight hours without a request.
    page.bot.database.run('UPDATE page_sessions SET used_ms = ?', [page.clock.nowMs() - 8 * 3_600_000 + 5_000])
    for (let s = 0; s < 5; s++) await pass(page, TICK_MS)
    expect((await end)?.event).toBe('end')
    expect((await visitor.get('/')).status).toBe(401)
  })

  test('ends when the role is removed, before anything is sent', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enterAs('operator')
    const stream = await openLive(page, visitor, '/stores/edge-a')
    const before = store.shown()
    page.bot.roles.revoke({ subject: 'user:U0OPERATOR', zone: '', store: '', channel: '' })
    store.describe('a secret of operators')
    await pass(page)
    expect(await stream.next()).toMatchObject({ event: 'end', data: { isFinal: true, text: expect.stringContaining('role has changed') } })
    expect(store.shown()).toBe(before)
  })

  test('has a bound for each session and for all, and says what to do', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    const first = await openLive(page, visitor, '/help')
    for (let i = 1; i < STREAMS_PER_SESSION_MAX; i++) expect((await openStream(page, visitor, `/live?for=/help?n=${i}`)).status).toBe(200)
    const refused = await openStream(page, visitor, '/live?for=/help')
    expect([refused.status, refused.text]).toEqual([503, expect.stringContaining(`You have ${STREAMS_PER_SESSION_MAX} live pages open`)])
    await first.cancel()
    expect((await openStream(page, visitor, '/live?for=/help')).status).toBe(200)
    let open = STREAMS_PER_SESSION_MAX
    while (open < STREAMS_MAX) {
      const other = await page.enter({ id: `U${open}`, name: 'somebody' })
      for (let i = 0; i < STREAMS_PER_SESSION_MAX && open < STREAMS_MAX; i++, open++)
        expect((await openStream(page, other, '/live?for=/help')).status).toBe(200)
    }
    const full = await openStream(page, await page.enter({ id: 'U0LAST', name: 'last' }), '/live?for=/help')
    expect([full.status, full.text]).toEqual([503, expect.stringContaining(`The bot has ${STREAMS_MAX} live pages open`)])
  })

  test('needs a session, and the address of a place', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    expect((await openStream(page, { cookie: 'slipway=x' }, '/live?for=/help')).status).toBe(401)
    for (const address of ['', 'https://elsewhere.example/', '//elsewhere.example/', '/\\elsewhere.example', `/${'x'.repeat(ADDRESS_LENGTH_MAX)}`])
      expect([address, (await openStream(page, visitor, `/live?for=${encodeURIComponent(address)}`)).status]).toEqual([address, 400])
    expect((await openStream(page, visitor, `/live?for=/${'x'.repeat(ADDRESS_LENGTH_MAX - 1)}`)).status).toBe(200)
    expect((await openStream(page, visitor, `/live?for=/&mark=${'x'.repeat(33)}`)).status).toBe(400)
    expect((await openStream(page, visitor, `/live?for=/${'&has=x'.repeat(9)}`)).status).toBe(400)
  })

  test('of an address that changes something, or shows a secret, ends without running it', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enter()
    for (const address of ['/c/zone/add/zone-9', '/c/store/delete/edge-a', '/leave', '/nowhere']) {
      const stream = await openStream(page, visitor, `/live?for=${address}&mark=old`)
      await pass(page)
      expect([address, (await stream.next())?.event]).toEqual([address, 'end'])
    }
    expect(page.asked).toEqual([])
    expect((await visitor.get('/c/zone/list')).text).not.toContain('zone-9')
  })

  test('of an address that nobody opened is in the audit log, once', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enter()
    const stream = await openStream(page, visitor, '/live?for=/c/audit/verify')
    await pass(page)
    expect([(await stream.next())?.event, (await stream.next())?.event, await stream.next()]).toEqual(['parts', 'end', undefined])
    expect(page.bot.audit.list({ limit: 10, reads: true }).filter(({ command }) => command === 'audit verify')).toHaveLength(1)
  })

  test('has a heartbeat, and ends when its browser reads nothing', async () => {
    using store = openStore()
    const { page } = store
    const visitor = await page.enter()
    await visitor.get('/help')
    const mark = /data-live="([^"]*)"/.exec((await visitor.get('/help')).text)?.[1] ?? ''
    const answer = await page.request(`/live?for=/help&mark=${mark}`, { headers: { cookie: visitor.cookie } })
    const reader = answer.body?.getReader()
    const read = async () => new TextDecoder().decode((await reader?.read())?.value)
    expect(await read()).toBe(': live\n\n')
    await settle()
    await pass(page, HEARTBEAT_MS)
    expect(await read()).toBe(': \n\n')
    const unread = (await page.request('/live?for=/stores/edge-a', { headers: { cookie: visitor.cookie } })).body?.getReader()
    for (let passed = 0; passed <= UNREAD_MS_MAX; passed += PAUSE_MS_MIN) {
      store.describe(`rack ${passed}`)
      await pass(page)
    }
    await expect(unread?.read()).rejects.toThrow('read nothing for 60 s')
  })

  test('ends when the service stops', async () => {
    const stop = new AbortController()
    using page = openTestPage({ stopping: stop.signal })
    const visitor = await page.enter()
    const stream = await openLive(page, visitor, '/help')
    const end = stream.next()
    await settle()
    stop.abort()
    expect(await end).toMatchObject({ event: 'end', data: { isFinal: false } })
    expect((await openStream(page, visitor, '/live?for=/help')).status).toBe(503)
  })
})
