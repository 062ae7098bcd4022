// Routes that need little: health, the store, imports, host keys and operating systems. The application and its state are in memory.

import { describe, expect, test } from 'bun:test'
import { hostKeyRoutes } from '../../../../agent/http/routes/host-keys.ts'
import { importRoutes } from '../../../../agent/http/routes/imports.ts'
import { operatingSystemRoutes } from '../../../../agent/http/routes/operating-systems.ts'
import type { Finding, HealthCheck } from '../../../../agent/contract/health.ts'
import type { Health } from '../../../../protocol/health.ts'
import type { ImportPlan } from '../../../../protocol/images/imports.ts'
import type { OperatingSystem } from '../../../../protocol/images/operating-systems.ts'
import type { Page } from '../../../../protocol/page.ts'
import type { Problem } from '../../../../protocol/problems.ts'
import type { Store } from '../../../../protocol/store.ts'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'

const post = (body: unknown, method = 'POST') => ({ method, body: JSON.stringify(body) })
const read = async <Value>(answer: Response): Promise<Value> => (await answer.json()) as Value

function check(name: string, state: Finding['state']): HealthCheck {
  return { name, isVital: true, measure: () => ({ state, measured: `${name} is ${state}`, limit: null, impact: '', action: 'Look.' }) }
}

describe('health', () => {
  test.each([
    ['ok', 'running', 200],
    ['warning', 'degraded', 200],
    ['failed', 'error', 503],
  ] as const)('with a vital check that is %s is %s: %i', async (state, shown, status) => {
    await using it = await createMemoryApp({ checks: [check('index', state)] })
    const [named, anonymous] = [await it.ask('/v1/health', { role: 'viewer' }), await it.ask('/v1/health')]
    expect([named.status, anonymous.status]).toEqual([status, status])
    expect(await read<Health>(named)).toMatchObject({ state: shown, checks: [{ name: 'index', state }] })
    // Who has no token learns the state alone.
    expect(await read<Health>(anonymous)).toMatchObject({ state: shown, checks: [] })
  })
})

describe('the store', () => {
  test('is described with its space and its saving', async () => {
    await using it = await createMemoryApp()
    const store = await read<Store>(await it.ask('/v1/store', { role: 'viewer' }))
    expect(store).toMatchObject({
      ...{ name: 'edge-a', enabled: true, mount: '/srv/slipway', images: { available: 1, deleted: 0, other: 0 }, uploads: { active: 0 } },
      capacity: { total: 1000, used: 600, free: 400, reserved: 100, available: 250 },
      slices: { count: 3, storedBytes: 200, imageBytes: 600, savingRatio: 3 },
      transfer: { uploadConcurrency: 1, downloadConcurrency: 1, configured: { uploadConcurrency: 1, downloadConcurrency: 1 } },
      traffic: { received: 900, served: 1200, since: '1970-01-01T00:00:05.000Z' },
      scrubbedAt: null,
    })
    expect([store.partners, store.imagesFingerprint, store.origins]).toEqual([
      undefined,
      undefined,
      [{ name: 'hub', url: 'https://hub.example:8420', state: 'reachable' }],
    ])
  })

  test('reserves at most what its file system has', async () => {
    await using it = await createMemoryApp()
    const reserve = async (reserved: number | null) => it.ask('/v1/store', { role: 'operator', ...post({ reserved }, 'PATCH') })
    expect((await reserve(1000)).status).toBe(200)
    const refused = await reserve(1001)
    expect([refused.status, (await read<Problem>(refused)).detail]).toEqual([400, 'reserved is 1.0 kB, and the file system of the store has 1.0 kB.'])
    expect((await reserve(null)).status).toBe(200)
  })

  test('is enabled once, and disabled with a reason that is told', async () => {
    await using it = await createMemoryApp()
    const ask = async (path: string, body?: unknown) =>
      it.ask(`/v1/store/${path}`, { role: 'operator', method: 'POST', ...(body === undefined ? {} : post(body)) })
    expect((await read<Store>(await ask('disable', { reason: 'new disks' }))).disabledReason).toBe('new disks')
    await ask('disable', {})
    await ask('enable')
    await ask('enable')
    expect(it.events.after('0', { limit: 10 }).map(({ type, severity, message }) => [type, severity, message])).toEqual([
      ['store.disabled', 'warning', 'the operator disabled the store: new disks.'],
      ['store.disabled', 'warning', 'the operator disabled the store.'],
      ['store.enabled', 'info', 'the operator enabled the store.'],
    ])
  })

  test.each([
    ['mount-path', 'failed', 503],
    ['mount-path', 'warning', 200],
    ['index', 'failed', 200],
  ] as const)('is reconnected while %s is %s: %i', async (name, state, status) => {
    await using it = await createMemoryApp({ checks: [check(name, state)] })
    const answer = await it.ask('/v1/store/reconnect', { role: 'operator', method: 'POST' })
    expect(answer.status).toBe(status)
    if (status === 503) expect(await read<Problem>(answer)).toMatchObject({ detail: 'mount-path is failed.', action: 'Look.' })
  })
})

describe('events', () => {
  test('are filtered by a type of at most 100 characters', async () => {
    await using it = await createMemoryApp()
    const ask = async (length: number) => (await it.ask(`/v1/events?type=${'x'.repeat(length)}`, { role: 'viewer' })).status
    expect([await ask(100), await ask(101)]).toEqual([200, 400])
  })

  test('are streamed only while the agent runs, and have no state of the store as a page', async () => {
    await using it = await createMemoryApp()
    expect((await it.ask('/v1/events?state=true', { role: 'viewer' })).status).toBe(400)
    it.stop()
    const late = await it.ask('/v1/events', { role: 'viewer', headers: { accept: 'text/event-stream' } })
    expect([late.status, (await it.ask('/v1/events', { role: 'viewer' })).status]).toEqual([503, 200])
  })
})

describe('an import', () => {
  /** An application whose imports are noted. */
  async function createScene() {
    const calls: unknown[] = []
    const plan = { dryRun: true } as ImportPlan
    let app: Awaited<ReturnType<typeof createMemoryApp>> | undefined
    const imports = {
      async start(order: unknown) {
        calls.push(['start', order])
        return await (app ?? (await createMemoryApp())).tasks.start({ kind: 'cleanup', subject: 'test', createdBy: 'test', params: {} })
      },
      plan: async (order: unknown) => (calls.push(['plan', order]), plan),
      planUpload: async (order: unknown) => (calls.push(['plan of an upload', order]), plan),
    }
    app = await createMemoryApp({ routes: importRoutes({ imports }) })
    const it = app
    const ask = async (body: unknown, role: 'uploader' | 'operator' | 'admin' = 'uploader') => it.ask('/v1/images', { role, ...post(body) })
    return { calls, ask, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() }
  }
  const creator = (role: string) => ({ name: role === 'admin' ? expect.any(String) : `the ${role}`, tokenId: expect.any(String), role })

  test('is started, or only planned', async () => {
    await using scene = await createScene()
    const source = { url: 'https://images.example/debian.raw' }
    const started = await scene.ask({ source, name: 'debian' })
    expect([started.status, started.headers.get('location')]).toEqual([202, expect.stringMatching(/^\/v1\/tasks\/tsk_/)])
    const planned = await scene.ask({ source, name: 'debian', dryRun: true })
    expect([planned.status, await planned.json()]).toEqual([200, { dryRun: true }])
    const order = {
      ...{ credentials: {}, draft: { name: 'debian', description: '' }, creator: creator('uploader'), origin: 'url' },
      location: { kind: 'url', ...source },
    }
    expect(scene.calls).toEqual([
      ['start', order],
      ['plan', order],
    ])
  })

  test('of a length is the plan of an upload, and nothing else', async () => {
    await using scene = await createScene()
    expect((await scene.ask({ source: { length: 5 }, name: 'debian', dryRun: true })).status).toBe(200)
    expect((await scene.ask({ source: { length: 5 }, name: 'debian' })).status).toBe(400)
    expect(scene.calls).toEqual([['plan of an upload', { draft: { name: 'debian', description: '' }, creator: creator('uploader'), length: 5 }]])
  })

  test('from a path is for administrators', async () => {
    await using scene = await createScene()
    const body = { source: { path: '/srv/debian.raw' }, name: 'debian', dryRun: true }
    expect([(await scene.ask(body, 'operator')).status, (await scene.ask(body, 'admin')).status]).toEqual([403, 200])
    expect(scene.calls).toMatchObject([['plan', { origin: 'path', location: { kind: 'path', path: '/srv/debian.raw' } }]])
  })
})

test('the key of a host is forgotten once', async () => {
  const pinned = new Set(['a', 'b'.repeat(300)])
  const hostKeys = { list: () => [], forget: (host: string) => pinned.delete(host) }
  await using it = await createMemoryApp({ routes: hostKeyRoutes({ hostKeys }) })
  const forget = async (host: string) => (await it.ask(`/v1/host-keys/${host}`, { role: 'operator', method: 'DELETE' })).status
  expect([await forget('a'), await forget('a'), await forget('b'.repeat(300)), await forget('b'.repeat(301))]).toEqual([204, 404, 204, 400])
})

test('operating systems are listed by their ids', async () => {
  await using it = await createMemoryApp({ routes: operatingSystemRoutes() })
  const { items } = await read<Page<OperatingSystem>>(await it.ask('/v1/operating-systems?limit=1000', { role: 'viewer' }))
  expect(items.slice(0, 3).map(({ id }) => id)).toEqual(['almalinux-10', 'almalinux-8', 'almalinux-9'])
  expect(items.map(({ id }) => id)).toEqual(items.map(({ id }) => id).toSorted())
})
