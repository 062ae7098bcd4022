// Origins: which of them answer, how failures keep them from being asked, and how they come back.

import { describe, expect, test } from 'bun:test'
import { createOrigins } from '../../../../agent/sync/origins/origins.ts'
import type { OriginsDeps } from '../../../../agent/sync/origins/origins.ts'
import { problem } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { until } from '../../../support/until.ts'

const OWN_ID = '11111111-2222-4333-8444-555555555555'
const HUB_ID = '22222222-2222-4333-8444-555555555555'
const SILENT_LOG: OriginsDeps['log'] = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT_LOG }

/** A store as GET /v1/store describes it. */
const store = (id: string): object => ({
  id,
  name: 'hub',
  description: '',
  mount: '/srv/slipway',
  zone: 'zone-1',
  scope: 'zone',
  enabled: true,
  disabledReason: null,
  version: '0.1.0',
  capacity: { total: 1, used: 0, free: 1, reserved: 0, available: 1 },
  slices: { count: 0, storedBytes: 0, imageBytes: 0, savingRatio: null },
  images: { available: 0, deleted: 0, other: 0 },
  uploads: { active: 0 },
  transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
  retention: { deletion: 'delayed', seconds: 1 },
})

/** Origins `hub` and `far`, whose answers the test decides by host; requests are counted by host. */
function openOrigins(answers: Record<string, () => Response | Promise<Response>>) {
  const clock = createManualClock()
  const requests: { host: string; authorization: string | null }[] = []
  const origins = createOrigins({
    clock,
    log: SILENT_LOG,
    storeId: OWN_ID,
    settings: [
      { name: 'hub', url: 'http://hub.example', token: 'token-of-hub' },
      { name: 'far', url: 'http://far.example', token: 'token-of-far' },
    ],
    async fetch(url, init) {
      const { hostname } = new URL(url)
      requests.push({ host: hostname, authorization: new Headers(init.headers).get('authorization') })
      const answer = answers[hostname]
      if (!answer) throw new Error('connection refused')
      return answer()
    },
  })
  const states = (): string[] => origins.list().map(({ name, state }) => `${name} ${state}`)
  return { clock, requests, origins, states, [Symbol.dispose]: () => origins[Symbol.dispose]() }
}

describe('origins', () => {
  test('are asked at the start, each with its own token', async () => {
    using fixture = openOrigins({ 'hub.example': () => Response.json(store(HUB_ID)) })
    expect(fixture.states()).toEqual(['hub unknown', 'far unknown'])
    await until('both were asked', () => fixture.states().join() === 'hub reachable,far unreachable')
    expect(fixture.requests).toEqual([
      { host: 'hub.example', authorization: 'Bearer token-of-hub' },
      { host: 'far.example', authorization: 'Bearer token-of-far' },
    ])
    expect((await fixture.origins.usable()).map(({ name, storeId }) => [name, storeId])).toEqual([['hub', HUB_ID]])
    expect(JSON.stringify(fixture.origins.list())).not.toContain('token-of')
  })

  test('one that is down is not asked again before it rested, and then once for all who wait', async () => {
    using fixture = openOrigins({ 'hub.example': () => Response.json(store(HUB_ID)) })
    await until('both were asked', () => fixture.requests.length === 2 && !fixture.states().join().includes('unknown'))
    expect((await fixture.origins.usable()).map(({ name }) => name)).toEqual(['hub'])
    expect(fixture.requests).toHaveLength(2)
    fixture.clock.advance(999)
    await fixture.origins.usable()
    expect(fixture.requests).toHaveLength(2)
    fixture.clock.advance(1)
    await Promise.all([fixture.origins.usable(), fixture.origins.usable(), fixture.origins.usable()])
    expect(fixture.requests.map(({ host }) => host)).toEqual(['hub.example', 'far.example', 'far.example'])
    // The rest doubles.
    fixture.clock.advance(1999)
    await fixture.origins.usable()
    expect(fixture.requests).toHaveLength(3)
    fixture.clock.advance(1)
    await fixture.origins.usable()
    expect(fixture.requests).toHaveLength(4)
    // One that answers is asked once a minute.
    for (let second = 0; second < 240; second++) {
      fixture.clock.advance(1000)
      await Bun.sleep(0)
    }
    await fixture.origins.usable()
    const asked = (host: string): number => fixture.requests.filter((request) => request.host === host).length
    expect(asked('hub.example')).toBe(5)
    // After 3, 7, 15, 31, 63 and then every 60 seconds.
    expect(asked('far.example')).toBeLessThanOrEqual(10)
    expect(asked('far.example')).toBeGreaterThanOrEqual(8)
  })

  test('one that was reached before is not usable while it does not answer, also after it rested', async () => {
    const answers: Record<string, () => Response> = { 'hub.example': () => Response.json(store(HUB_ID)) }
    using fixture = openOrigins(answers)
    await until('both were asked', () => fixture.states().join() === 'hub reachable,far unreachable')
    const [hub] = await fixture.origins.usable()
    delete answers['hub.example']
    if (hub) fixture.origins.failed(hub, new Error('connection refused'))
    fixture.clock.advance(60_000)
    expect((await fixture.origins.usable()).map(({ name }) => name)).toEqual([])
    answers['hub.example'] = () => Response.json(store(HUB_ID))
    fixture.clock.advance(60_000)
    expect((await fixture.origins.usable()).map(({ name }) => name)).toEqual(['hub'])
  })

  test('one that answers again is told to those who wait for it', async () => {
    const answers: Record<string, () => Response> = {}
    using fixture = openOrigins(answers)
    await until('both were asked', () => fixture.states().join() === 'hub unreachable,far unreachable')
    const back: string[] = []
    using _listening = fixture.origins.onReachable(({ name }) => void back.push(name))
    answers['far.example'] = () => Response.json(store(HUB_ID))
    fixture.clock.advance(1000)
    await until('the probe has an answer', () => back.length > 0)
    expect(back).toEqual(['far'])
    expect(fixture.states()).toEqual(['hub unreachable', 'far reachable'])
  })

  test('this store itself and one that refuses the token are refused', async () => {
    using fixture = openOrigins({
      'hub.example': () => Response.json(store(OWN_ID)),
      'far.example': () => Response.json(problem('unauthenticated', 'No.').problem, { status: 401 }),
    })
    await until('both were asked', () => fixture.states().join() === 'hub refused,far refused')
    expect(await fixture.origins.usable()).toEqual([])
  })

  test('a problem of a request is an answer, unless the agent cannot serve', async () => {
    using fixture = openOrigins({ 'hub.example': () => Response.json(store(HUB_ID)) })
    await until('both were asked', () => fixture.states().join() === 'hub reachable,far unreachable')
    const [hub] = fixture.origins.list()
    if (!hub) throw new Error('no origin')
    const answered = async (response: Response): Promise<string> => {
      using other = openOrigins({ 'hub.example': () => response })
      await until('it was asked', () => !other.states()[0]?.includes('unknown'))
      return other.states()[0] ?? ''
    }
    expect(await answered(Response.json(problem('not-found', 'No.').problem, { status: 404 }))).toBe('hub reachable')
    expect(await answered(Response.json(problem('store-unavailable', 'No.').problem, { status: 503 }))).toBe('hub unreachable')
    expect(await answered(new Response('<html>', { status: 200 }))).toBe('hub unreachable')
    expect(await answered(new Response(null, { status: 302, headers: { location: 'http://elsewhere.example' } }))).toBe('hub unreachable')
    fixture.origins.failed(hub, problem('peer-unreachable', 'cut'))
    expect(hub.state).toBe('unreachable')
    fixture.origins.answered(hub)
    expect(hub.state).toBe('reachable')
  })

  test('one that speaks no version that this store speaks is refused', async () => {
    using fixture = openOrigins({
      'hub.example': () => Response.json({ ...store(HUB_ID), protocol: { sync: [99] } }),
      'far.example': () => Response.json({ ...store(HUB_ID), protocol: { sync: [1, 2] } }),
    })
    await until('both were asked', () => fixture.states().join() === 'hub refused,far reachable')
    expect((await fixture.origins.usable()).map(({ name, version }) => [name, version])).toEqual([['far', 2]])
  })

  test('one that came back is not told to those who stopped listening, nor again while it answers', async () => {
    using fixture = openOrigins({ 'hub.example': () => Response.json(store(HUB_ID)) })
    await until('both were asked', () => fixture.states().join() === 'hub reachable,far unreachable')
    const [hub] = fixture.origins.list()
    if (!hub) throw new Error('no origin')
    const back: string[] = []
    const listening = fixture.origins.onReachable(({ name }) => void back.push(name))
    fixture.origins.answered(hub)
    expect(back).toEqual([])
    fixture.origins.failed(hub, problem('peer-unreachable', 'cut'))
    fixture.origins.answered(hub)
    expect(back).toEqual(['hub'])
    listening[Symbol.dispose]()
    fixture.origins.failed(hub, problem('peer-unreachable', 'cut'))
    fixture.origins.answered(hub)
    expect(back).toEqual(['hub'])
  })

  test('an answer ends the growth of the rests', async () => {
    using fixture = openOrigins({})
    await until('both were asked', () => fixture.states().join() === 'hub unreachable,far unreachable')
    const [hub] = fixture.origins.list()
    if (!hub) throw new Error('no origin')
    for (let i = 0; i < 5; i++) fixture.origins.failed(hub, problem('peer-unreachable', 'cut'))
    fixture.origins.answered(hub)
    fixture.origins.failed(hub, problem('peer-unreachable', 'cut'))
    const asked = (): number => fixture.requests.filter(({ host }) => host === 'hub.example').length
    const before = asked()
    fixture.clock.advance(999)
    await fixture.origins.usable()
    expect(asked()).toBe(before)
    fixture.clock.advance(1)
    await fixture.origins.usable()
    expect(asked()).toBe(before + 1)
  })

  test('a new list keeps what is known of those that stay, and asks the new ones', async () => {
    const clock = createManualClock()
    const asked: string[] = []
    using origins = createOrigins({
      clock,
      log: SILENT_LOG,
      storeId: OWN_ID,
      settings: [{ name: 'hub', url: 'http://hub.example', token: 'a' }],
      async fetch(url, init) {
        asked.push(`${new URL(url).hostname} ${new Headers(init.headers).get('authorization')}`)
        return Response.json(store(HUB_ID))
      },
    })
    await until('it was asked', () => origins.list()[0]?.state === 'reachable')
    origins.replace([
      { name: 'hub', url: 'http://hub.example', token: 'a' },
      { name: 'far', url: 'http://far.example', token: 'b' },
    ])
    expect(origins.list().map(({ name, state }) => [name, state])).toEqual([
      ['hub', 'reachable'],
      ['far', 'unknown'],
    ])
    await until('the new one was asked', () => origins.list()[1]?.state === 'reachable')
    expect(asked).toEqual(['hub.example Bearer a', 'far.example Bearer b'])
    // Another token, another address, another name: each is another origin.
    for (const other of [
      { name: 'hub', url: 'http://hub.example', token: 'c' },
      { name: 'hub', url: 'http://hub2.example', token: 'c' },
      { name: 'hub2', url: 'http://hub2.example', token: 'c' },
    ]) {
      origins.replace([other])
      expect(origins.list().map(({ name, state }) => [name, state])).toEqual([[other.name, 'unknown']])
      await until('it was asked', () => origins.list()[0]?.state === 'reachable')
    }
    expect(asked).toHaveLength(5)
  })

  test('a refused token is reported, and another refusal is not', async () => {
    const refused: string[] = []
    using origins = createOrigins({
      clock: createManualClock(),
      log: SILENT_LOG,
      storeId: OWN_ID,
      settings: ['hub', 'far'].map((name) => ({ name, url: `http://${name}.example`, token: 't' })),
      onUnauthenticated: ({ name }) => void refused.push(name),
      async fetch(url) {
        const code = new URL(url).hostname === 'hub.example' ? 'unauthenticated' : 'forbidden'
        return Response.json(problem(code, 'No.').problem, { status: code === 'forbidden' ? 403 : 401 })
      },
    })
    await until('both were asked', () => origins.list().every(({ state }) => state === 'refused'))
    expect(refused).toEqual(['hub'])
  })

  test('are asked no more once they are disposed', async () => {
    const fixture = openOrigins({ 'hub.example': () => Response.json(store(HUB_ID)) })
    await until('both were asked', () => fixture.states().join() === 'hub reachable,far unreachable')
    fixture[Symbol.dispose]()
    const before = fixture.requests.length
    fixture.clock.advance(3_600_000)
    expect(fixture.requests).toHaveLength(before)
  })

  test('are an error when they belong to another list', async () => {
    using fixture = openOrigins({})
    using other = openOrigins({})
    const [hub] = other.origins.list()
    if (hub) expect(() => fixture.origins.answered({ ...hub })).toThrow('hub is not an origin of this store')
  })
})
