// What a sync orders, whom it asks with which token, which descriptions of an image it takes, and what it shows of several images.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem, problemCode, ProblemError } from '../../../protocol/problems.ts'
import type { SyncRequest, SyncResult } from '../../../protocol/sync/sync.ts'
import type { TaskContext, TaskOrder, TaskRunner } from '../../../agent/contract/work.ts'
import { createPeerNetwork } from '../../../agent/sync/peer-network.ts'
import type { SyncDeps } from '../../../agent/sync/sync.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, IMMEDIATE_CLOCK, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryTasks } from '../../support/memory/memory-state.ts'
import { MEMORY_IMAGE, memoryImage } from '../../support/memory/memory-image.ts'

// Stores on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const URL_1 = 'http://10.0.0.1:8420'
const URL_2 = 'http://10.0.0.2:8420'
/** UUID of the store at 10.0.0.N. */
const idOf = (host: string): string => `aaaaaaaa-0000-4000-8000-00000000000${host.slice(7, 8)}`
const IMAGE = memoryImage({ manifestDigest: `sha256:${'a'.repeat(64)}` })

const notFound = (): Response =>
  Response.json(
    { type: 'urn:slipway:problem:not-found', title: 'Not found', status: 404, detail: 'No such image.', action: '' },
    { status: 404, headers: { 'content-type': 'application/problem+json' } },
  )

/** A target whose source describes every image so, by the number of the look, and has no manifest. */
async function open(describeImage: (look: number) => Partial<Image> = () => ({}), changes: Partial<SyncDeps> = {}) {
  const folder = await createTemporaryFolder()
  const orders: TaskOrder[] = []
  const asked: string[] = []
  const tokens = new Set<string>()
  const sleeps: number[] = []
  const state = { nowMs: 0, msOfLook: 0 }
  let runner: TaskRunner = () => Promise.reject(new Error('no runner'))
  let looks = 0
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const { pathname, host } = new URL(url instanceof Request ? url.url : url)
    asked.push(pathname)
    tokens.add(`${host} ${new Headers(init?.headers).get('authorization')}`)
    if (pathname === '/v1/store') return Response.json({ id: idOf(host), name: 'a store', protocol: { sync: [1, 2], capabilities: [] } })
    if (pathname.endsWith('/manifest')) return notFound()
    state.nowMs += state.msOfLook
    return Response.json({ ...IMAGE, ...describeImage(++looks) })
  }
  const tasks = {
    ...createMemoryTasks(IMMEDIATE_CLOCK),
    register: (_kind: string, run: TaskRunner) => void (runner = run),
    start: async (order: TaskOrder) => (orders.push(order), { id: 'tsk_1' } as never),
  }
  const clock = { ...IMMEDIATE_CLOCK, monotonicMs: () => state.nowMs, sleep: async (ms: number) => void sleeps.push(ms) }
  const target = await openSyncTarget(folder, { clock, tasks, fetch, network: createPeerNetwork([], async (name) => [name]), ...changes })
  return {
    orders,
    asked,
    tokens,
    sleeps,
    state,
    target,
    looks: () => looks,
    /** Runs the task with these parameters. Returns the code of its problem, and whether the manifest was asked for. */
    async run(params: unknown, secret = '["t"]'): Promise<string> {
      const signal = new AbortController().signal
      const context: TaskContext = { taskId: 'tsk_1', signal, isRerun: false, secret, resultSoFar: () => {}, progress: () => {} }
      const code = await runner(params, context).then(
        () => 'done',
        (error: unknown) => (error instanceof ProblemError ? problemCode(error.problem) : String(error)),
      )
      return asked.some((path) => path.endsWith('/manifest')) ? `${code} of the manifest` : code
    },
    async [Symbol.asyncDispose]() {
      await target[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const paramsOf = (...images: string[]) => ({ sources: [{ url: URL_1 }], images, role: 'admin' })

describe('an order', () => {
  test('of one image has its name as the subject, and the token apart from the rest', async () => {
    await using it = await open()
    await it.target.sync.start({ source: { url: URL_1, token: 'secret' }, images: ['debian', 'debian'] }, 'ann')
    expect(it.orders).toEqual([
      {
        kind: 'sync',
        subject: 'debian',
        createdBy: 'ann',
        params: { sources: [{ url: URL_1 }], images: ['debian'], role: 'admin' },
        priority: 'normal',
        secret: '["secret"]',
        key: `sync ${URL_1} debian`,
      },
    ])
  })

  test('of several images from several sources is the same in any order, and a plan is another one', async () => {
    await using it = await open()
    const sources = [
      { url: URL_2, token: 'two', healing: true },
      { url: URL_1, token: 'one' },
    ]
    const order: SyncRequest = { sources, images: ['b', 'a'], limits: { priority: 'low' } }
    await it.target.sync.start(order, 'ann', 'uploader')
    await it.target.sync.start({ ...order, sources: sources.toReversed(), images: ['a', 'b'], dryRun: true }, 'bob', 'operator')
    expect(it.orders[0]).toEqual({
      kind: 'sync',
      subject: '2 images',
      createdBy: 'ann',
      params: { sources: [{ url: URL_2, healing: true }, { url: URL_1 }], images: ['b', 'a'], limits: { priority: 'low' }, role: 'uploader' },
      priority: 'low',
      secret: '["two","one"]',
      key: `sync ${URL_1} ${URL_2} a b`,
    })
    expect(it.orders[1]).toMatchObject({ params: { dryRun: true, role: 'operator' }, secret: '["one","two"]', key: `plan of sync ${URL_1} ${URL_2} a b` })
  })

  test('is taken for a name that cannot be resolved now, and refused for a blocked address', async () => {
    await using it = await open(undefined, { network: createPeerNetwork([], () => Promise.reject(new Error('SERVFAIL'))) })
    await it.target.sync.start({ source: { url: 'http://hub.example', token: 't' }, images: ['a'] }, 'ann')
    const refused = it.target.sync.start({ source: { url: 'http://169.254.169.254', token: 't' }, images: ['a'] }, 'ann')
    expect(await refused.catch((error: unknown) => error)).toMatchObject({ code: 'peer-not-allowed' })
    expect(it.orders).toHaveLength(1)
  })
})

describe('a task', () => {
  test('asks each source with its own token', async () => {
    await using it = await open()
    await it.run({ ...paramsOf(MEMORY_IMAGE), sources: [{ url: URL_1 }, { url: URL_2 }] }, '["one","two"]')
    expect([...it.tokens].toSorted()).toEqual(['10.0.0.1:8420 Bearer one', '10.0.0.2:8420 Bearer two'])
  })

  test('of an earlier agent has one source, whose token is the secret itself', async () => {
    await using it = await open()
    await it.run({ source: { url: URL_1 }, images: [MEMORY_IMAGE] }, 'secret')
    expect([...it.tokens]).toEqual(['10.0.0.1:8420 Bearer secret'])
  })

  test.each([
    ['of its order', 'uploader', 'uploader'],
    ['of an operator if an earlier agent ordered it', undefined, 'operator'],
  ])('copies with the role %s', async (_what, role, expected) => {
    const roles: Role[] = []
    const admitNew: SyncDeps['admitNew'] = (_image, by) => {
      roles.push(by)
      throw problem('forbidden', 'No.')
    }
    await using it = await open(undefined, { admitNew })
    expect(await it.run({ ...paramsOf(MEMORY_IMAGE), role })).toBe('forbidden')
    expect(roles).toEqual([expected as Role])
  })
})

describe('the description of an image', () => {
  test.each<[string, string, Partial<Image>, string]>([
    ['that is available', MEMORY_IMAGE, {}, 'not-found of the manifest'],
    ['that is degraded', MEMORY_IMAGE, { status: 'degraded' }, 'not-found of the manifest'],
    ['that was asked for by its name', 'debian', {}, 'not-found of the manifest'],
    ['with an invalid id', 'debian', { id: 'img_1' }, 'peer-invalid'],
    ['with another id than the one that was asked for', `img_${'1'.repeat(26)}`, {}, 'peer-invalid'],
    ['that is in the recycle bin', MEMORY_IMAGE, { status: 'deleted' }, 'wrong-status'],
    ['in error', MEMORY_IMAGE, { status: 'error' }, 'wrong-status'],
    ['without a manifest', MEMORY_IMAGE, { manifestDigest: null }, 'wrong-status'],
  ])('%s is taken or refused', async (_what, asked, described, expected) => {
    await using it = await open(() => described)
    expect(await it.run(paramsOf(asked))).toBe(expected)
  })

  test.each([
    [119, 'not-found of the manifest'],
    [120, 'wrong-status'],
  ])('that is being inspected is asked for every half second, 120 times: after %i looks, the task ends with %s', async (creating, expected) => {
    await using it = await open((look) => (look <= creating ? { status: 'creating' } : {}))
    expect(await it.run(paramsOf(MEMORY_IMAGE))).toBe(expected)
    expect(it.looks()).toBe(120)
    expect(it.sleeps.filter((ms) => ms === 500)).toHaveLength(119)
  })

  test.each([
    [450_000, 3],
    [450_000.5, 2],
  ])('is waited for during 15 minutes: of looks that take %f ms there are %i', async (msOfLook, looks) => {
    await using it = await open(() => ({ status: 'creating' }))
    it.state.msOfLook = msOfLook
    expect(await it.run(paramsOf(MEMORY_IMAGE))).toBe('peer-unreachable')
    expect(it.looks()).toBe(looks)
  })
})

describe('of several images', () => {
  test.each([
    ['equal', [200_000, 200_000]],
    ['different', [300_000, 100_000, 200_000]],
  ])('with %s lengths, progress is that of all together', async (_what, lengths) => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    await using target = await openSyncTarget(folders.target)
    const images = []
    for (const [i, length] of lengths.entries()) images.push((await source.add(seededBytes(length, i + 1), { name: `image-${i}` })).id)
    const { state, progress } = await target.pull(server.url, images)
    const all = lengths.reduce((sum, length) => sum + length, 0)
    expect([state, progress.done, progress.total, progress.unit]).toEqual(['succeeded', all, all, 'bytes'])
  })

  test('the copies stand although their source cannot be remembered for repairs', async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const remembered: string[] = []
    const remember: SyncDeps['remember'] = async ({ url, token }) => {
      remembered.push(`${url} ${token}`)
      throw new Error('EIO')
    }
    await using target = await openSyncTarget(folders.target, { remember })
    const image = await source.add(seededBytes(100_000, 1), { name: 'one' })
    const { id } = await target.sync.start({ sources: [{ url: server.url, token: 'viewer', healing: true }], images: [image.id] }, 'test')
    const task = await target.tasks.ended(id)
    expect([task.state, (task.result as SyncResult).images[0]?.outcome]).toEqual(['succeeded', 'copied'])
    expect(remembered).toEqual([`${server.url} viewer`])
  })
})
