// What a bulk run does with one image that is copied or moved: when it counts as done, and that nothing is deleted before the copy was checked.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { act } from '../../../../bot/commands/bulk/act.ts'
import type { Acted, ActDeps } from '../../../../bot/commands/bulk/act.ts'
import type { Role } from '../../../../protocol/access.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, refuse } from '../scripted-fleet.ts'
import type { Script, ScriptedFleet } from '../scripted-fleet.ts'
import { taskOf } from '../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const [ID, TWIN] = [imageOf(1).id, imageOf(2).id]
const DISK = imageOf(1, { name: 'disk', digest: 'sha256:d', manifestDigest: 'sha256:m' })
const GRANT = { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' }
const gone = (): Response => refuse('not-found', 'There is no such image.')

/** A sync task whose result is about the image and one more. */
const sync = (state: string, outcome: string, members: object = {}, ofImage: object = {}) =>
  taskOf('sync1', 'sync', state, {
    ...{ id: 'tsk_1', endedAt: state === 'running' ? null : '2026-01-01T00:00:01.000Z', ...members },
    result: {
      ...{ slicesMoved: 1, slicesPresent: 0, bytesMoved: 1 },
      images: [
        { id: ID, name: 'disk', outcome, ...ofImage },
        { id: TWIN, name: 'other', outcome: 'failed' },
      ],
    },
  })

interface Order {
  readonly verb: 'sync' | 'migrate' | 'edit'
  readonly role?: Role
  readonly params?: ActDeps['run']['params']
  readonly item?: Partial<ActDeps['item']>
  readonly signal?: AbortSignal
}

/** edge-a has the image, and edge-b is where it is copied to. */
function open(a: Script, b: Script) {
  const fleet: ScriptedFleet = openScriptedFleet({
    'edge-a': { [`GET /images/${ID}`]: DISK, 'POST /sync/grants': GRANT, ...a },
    'edge-b': { [`GET /images/${ID}`]: DISK, 'POST /sync': sync('succeeded', 'copied'), ...b },
  })
  const told: string[] = []
  const run = ({ verb, role = 'operator', params = {}, item = {}, signal }: Order): Promise<Acted> =>
    act({
      ...{ context: fleet.bot.context({ name: 'ann', role }, 'console'), run: { verb, params }, signal },
      item: {
        ...{ n: 0, state: 'running', task: '', auditSeq: 0, detail: '', next: '', image: ID, name: 'disk', length: 600_000 },
        ...(verb === 'sync' ? { store: 'edge-b', params: { from: ['edge-a'] } } : { store: 'edge-a', params: { to: 'edge-b' } }),
        ...item,
      },
      onTask: ({ store, task }: FollowedTask) => void told.push(`begun ${store} ${task.id} ${task.state}`),
      onProgress: ({ task }: FollowedTask) => void told.push(task.state),
    })
  const changes = (): string[] => fleet.asked.filter((request) => /DELETE|PATCH/.test(request))
  return { ...fleet, act: run, told, changes, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

const words = (acted: Acted): string => (acted.kind === 'done' ? acted.detail : acted.kind === 'failed' ? `failed: ${acted.problem.detail}` : acted.kind)

test.each([
  ['copied', 'Copied'],
  ['already-there', 'Was there already'],
  ['same-as', 'Was there already'],
])('a copy with the outcome %s says %s', async (outcome, detail) => {
  using it = open({}, { 'POST /sync': sync('succeeded', outcome) })
  expect(words(await it.act({ verb: 'sync' }))).toBe(detail)
  expect(it.told).toEqual(['begun edge-b tsk_1 succeeded'])
})

test('a copy that did not come about says why', async () => {
  const error = { type: 'x', title: 'It failed', status: 500, code: 'internal', detail: 'The disk is full.', action: 'Free some space.' }
  for (const [task, detail] of [
    [sync('failed', 'failed', { error }), 'failed: The disk is full.'],
    [sync('cancelled', 'queued'), 'failed: The task tsk_1 was cancelled.'],
    // The task failed at another image.
    [sync('failed', 'copied', { error }), 'Copied'],
  ] as const) {
    using it = open({}, { 'POST /sync': task })
    expect(words(await it.act({ verb: 'sync' }))).toBe(detail)
  }
})

test('a copy is ordered with the limits of its run, and not at all when no store to copy from is left', async () => {
  using it = open({}, {})
  await it.act({ verb: 'sync', params: { limits: { priority: 'low' } } })
  await it.act({ verb: 'sync' })
  const orders = it.sent.filter((request) => request.includes('POST /sync {')).map((request) => request.includes('"limits":{"priority":"low"}'))
  expect(orders).toEqual([true, false])
  expect(words(await it.act({ verb: 'sync', item: { params: {} } }))).toBe('failed: No store to copy disk from is known any more.')
  expect(it.sent.filter((request) => request.includes('POST /sync {'))).toHaveLength(2)
})

test('a task that was ordered before is followed to its end instead of being ordered again', async () => {
  const states = ['running', 'running', 'succeeded']
  using it = open({}, { 'GET /tasks/tsk_1': () => sync(states.shift() ?? 'succeeded', 'copied') })
  const answer = it.act({ verb: 'sync', item: { task: 'tsk_1' } })
  for (let look = 0; look < 2; look++) {
    await it.clock.untilSleeping(1)
    it.clock.advance(60_000)
  }
  const acted = await answer
  expect([words(acted), acted.kind === 'done' && acted.task?.task.state, it.told]).toEqual([
    'Copied',
    'succeeded',
    ['begun edge-b tsk_1 running', 'running', 'succeeded'],
  ])
  expect(it.asked).not.toContain('edge-b POST /sync')
})

test('a process that stops leaves a task that is in progress to its store, also that of a move', async () => {
  for (const verb of ['sync', 'migrate'] as const) {
    using it = open({}, { 'POST /sync': sync('running', 'queued') })
    const stop = new AbortController()
    const answer = it.act({ verb, signal: stop.signal })
    await it.clock.untilSleeping(1)
    stop.abort()
    expect(await answer).toEqual({ kind: 'left' })
    expect(it.changes()).toEqual([])
  }
})

test.each(['sync', 'migrate'] as const)('a %s into a store that is not registered any more fails, and changes nothing', async (verb) => {
  using it = open({}, {})
  it.bot.fleet.registry.remove('edge-b')
  expect(words(await it.act({ verb }))).toBe('failed: edge-b was removed meanwhile.')
  expect(it.changes()).toEqual([])
})

test.each([
  ['with the same manifest', { digest: 'sha256:e' }, 'It is in the recycle bin of edge-a.'],
  ['with the same digest', { manifestDigest: 'sha256:n' }, 'It is in the recycle bin of edge-a.'],
  ['with another content', { digest: 'sha256:e', manifestDigest: 'sha256:n' }, 'has other content'],
  ['of another length', { length: 600_001 }, 'has other content'],
  ['that cannot be used', { status: 'error' as const }, 'is error'],
] satisfies [string, Partial<Image>, string][])('a move with a copy %s: %p says %p', async (_name, members, says) => {
  using it = open({ [`DELETE /images/${ID}`]: { ...DISK, status: 'deleted' } }, { [`GET /images/${ID}`]: { ...DISK, ...members } })
  const acted = await it.act({ verb: 'migrate' })
  const isMoved = says.endsWith('.')
  expect(words(acted)).toBe(isMoved ? says : `failed: The copy of disk in edge-b ${says}, so the image in edge-a was not deleted.`)
  expect(it.changes()).toEqual(isMoved ? [`edge-a DELETE /images/${ID}`] : [])
})

test('two images without a digest are not taken for the same', async () => {
  using it = open({ [`GET /images/${ID}`]: { ...DISK, digest: null } }, { [`GET /images/${ID}`]: { ...DISK, digest: null, manifestDigest: 'sha256:n' } })
  expect(words(await it.act({ verb: 'migrate' }))).toContain('has other content')
  expect(it.changes()).toEqual([])
})

test('a store that keeps no recycle bin deletes the original for good, and the answer says so', async () => {
  using it = open({ [`DELETE /images/${ID}`]: () => new Response(null, { status: 204 }) }, {})
  expect(words(await it.act({ verb: 'migrate' }))).toBe('It was deleted for good in edge-a.')
})

test('a move to a store that has the content under another id checks and answers that image', async () => {
  const twin = { ...DISK, id: TWIN, name: 'twin' }
  using it = open(
    { [`DELETE /images/${ID}`]: { ...DISK, status: 'deleted' } },
    { 'POST /sync': sync('succeeded', 'same-as', {}, { sameAs: TWIN }), [`GET /images/${ID}`]: gone, [`GET /images/${TWIN}`]: twin },
  )
  expect(await it.act({ verb: 'migrate' })).toMatchObject({ kind: 'done', image: { id: TWIN } })
})

test('a move whose copy failed says that the image is still there', async () => {
  const error = { type: 'x', title: 'It failed', status: 500, code: 'internal', detail: 'The disk is full.', action: 'Free some space.' }
  for (const [task, why] of [
    [sync('failed', 'failed', { error }), 'The disk is full.'],
    [sync('cancelled', 'queued'), 'The task tsk_1 ended.'],
  ] as const) {
    using it = open({}, { 'POST /sync': task })
    expect(words(await it.act({ verb: 'migrate' }))).toBe(`failed: ${why} disk is still in edge-a: nothing was deleted.`)
    expect(it.changes()).toEqual([])
  }
})

test.each([
  ['that is gone', gone],
  ['in the recycle bin', { ...DISK, status: 'deleted' as const }],
  ['that is being deleted', { ...DISK, status: 'deleting' as const }],
])('a move of an image %s was done before if its copy is there, and fails otherwise', async (_name, original) => {
  using it = open({ [`GET /images/${ID}`]: original }, {})
  expect(await it.act({ verb: 'migrate' })).toMatchObject({ kind: 'done', detail: 'Was moved to edge-b already', image: { id: ID } })
  for (const copy of [gone, { ...DISK, status: 'error' }]) {
    using other = open({ [`GET /images/${ID}`]: original }, { [`GET /images/${ID}`]: copy })
    expect(words(await other.act({ verb: 'migrate' }))).toBe('failed: disk is no longer in edge-a.')
    expect([other.changes(), other.asked.includes('edge-b POST /sync')]).toEqual([[], false])
  }
})

test('a move that was done before is found under the id that its task recorded', async () => {
  using it = open(
    { [`GET /images/${ID}`]: gone },
    { [`GET /images/${ID}`]: gone, [`GET /images/${TWIN}`]: { ...DISK, id: TWIN }, 'GET /tasks/tsk_1': sync('succeeded', 'same-as', {}, { sameAs: TWIN }) },
  )
  expect(await it.act({ verb: 'migrate', item: { task: 'tsk_1' } })).toMatchObject({ kind: 'done', image: { id: TWIN } })
})

test('somebody who is no operator any more changes nothing', async () => {
  using it = open({}, {})
  expect(words(await it.act({ verb: 'migrate', role: 'uploader' }))).toBe('failed: ann has the role uploader in edge-a now.')
  expect(it.asked).toEqual([])
})

test.each([
  [{ labels: { env: 'test' } }, { labels: { env: 'test' } }, 'Was so already'],
  [{ labels: { env: 'test' } }, { labels: { env: 'live' } }, 'Changed'],
  [{ labels: {} }, { labels: { env: null } }, 'Was so already'],
  [{ labels: { env: 'test' } }, { labels: { env: null } }, 'Changed'],
  [{ labels: { env: 'test' }, owner: 'ann' }, { labels: { env: 'test' }, owner: 'bob' }, 'Changed'],
  [{ owner: 'ann' }, { owner: 'ann' }, 'Was so already'],
])('an image with %j that %j is asked of: %s', async (members, patch, detail) => {
  using it = open({ [`GET /images/${ID}`]: { ...DISK, ...members }, [`PATCH /images/${ID}`]: DISK }, {})
  expect(words(await it.act({ verb: 'edit', params: { patch } }))).toBe(detail)
  expect(it.changes()).toHaveLength(detail === 'Changed' ? 1 : 0)
})
