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
})
