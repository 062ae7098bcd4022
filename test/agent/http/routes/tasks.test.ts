// The routes of tasks: who may see, cancel and retry which, what they pass on, and the parts of a sync.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { createBodyRoom } from '../../../../agent/http/json-body.ts'
import { taskRoutes } from '../../../../agent/http/routes/tasks.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import type { Task } from '../../../../protocol/task.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const OPEN = 'img_00000000000000000000000001'
const HIDDEN = 'img_00000000000000000000000002'
const FAILED = { type: 'urn:slipway:problem:conflict', title: 'Conflict', status: 409, detail: 'x', action: 'y' }
const ORDER = { sources: [{ url: 'http://hub.example:8420' }], images: ['debian'] }

const ann: Actor = { name: 'ann', role: 'uploader', tokenId: 'tok_ann' }
const bob: Actor = { name: 'bob', role: 'uploader', tokenId: 'tok_bob' }
const link: Actor = { name: 'link', role: 'viewer' }
const opal: Actor = { name: 'opal', role: 'operator', tokenId: 'tok_opal' }

function task(id: string, changes: Partial<Task>): Task {
  const progress = { done: 0, total: null, unit: 'steps', rate: 0, etaSeconds: null } as const
  return { id, kind: 'import', state: 'running', progress, subject: OPEN, createdBy: 'ann', createdAt: '2026-01-01T00:00:00.000Z', endedAt: null, ...changes }
}

/** Every task was ordered by ann's token. */
const TASKS = [
  task('import', {}),
  task('absent', { subject: 'coming' }),
  task('hidden', { subject: HIDDEN }),
  task('digest', { kind: 'digest' }),
  task('cleanup', { kind: 'cleanup', subject: 'edge-a' }),
]

/** Calls a route with these tasks, past the check of its role. Returns the answer, or the code of the problem. */
async function call(actor: Actor, method: string, path: string, id = '', tasks: readonly Task[] = TASKS) {
  const asked: unknown[] = []
  const change = (what: string) => (of: string, by: Actor | string) => {
    asked.push([what, of, typeof by === 'string' ? by : by.name])
    return task(of, {})
  }
  const routes = taskRoutes({
    tasks: {
      list: ({ limit, cursor, kind, state }) => {
        asked.push(['list', limit, cursor, kind, state])
        const from = Number(cursor ?? 0)
        return { items: tasks.slice(from, from + limit), next: from + limit < tasks.length ? String(from + limit) : null }
      },
      get: (of) => tasks.find((one) => one.id === of),
      isOrderedBy: (_of, tokenId) => tokenId === 'tok_ann',
      paramsOf: () => ORDER,
      cancel: async (of, by) => change('cancel')(of, by),
      retry: change('retry'),
      pause: change('pause'),
      resumePaused: change('resume'),
    },
    findImage: (of) => (of === OPEN || of === HIDDEN ? memoryImage({ id: of, hidden: of === HIDDEN }) : undefined),
    clock: createManualClock(),
  })
  const [pathname, query = ''] = path.split('?')
  const found = routes.find((route) => route.method === method && route.path === `/v1/tasks${pathname}`)
  if (!found) throw new Error(`there is no route ${method} ${path}`)
  const request = new Request(`http://store/v1/tasks?${query}`, { method })
  const caller = { actor, requestId: 'r', log: createMemoryLog(), inform: () => {}, remoteAddress: '', bodyRoom: createBodyRoom() }
  try {
    const answer = await found.handle(request, id === '' ? {} : { id }, caller)
    return { status: answer.status, body: (await answer.json()) as Task & { readonly items: Task[]; readonly next: string | null }, asked, code: '' }
  } catch (error) {
    if (error instanceof ProblemError) return { status: error.problem.status, body: undefined, asked, code: error.code, problem: error.problem }
    throw error
  }
}

describe('below operator, a task', () => {
  test.each<[id: string, actor: Actor, shown: string, changed: string]>([
    ['import', ann, '', ''],
    ['import', bob, '', 'forbidden'],
    ['absent', ann, '', ''],
    ['absent', bob, 'not-found', 'not-found'],
    ['absent', link, 'not-found', 'not-found'],
    // Who ordered it may no longer know of it, once its image is hidden.
    ['hidden', ann, 'not-found', 'not-found'],
    ['hidden', bob, 'not-found', 'not-found'],
    ['digest', ann, '', 'forbidden'],
    ['cleanup', ann, '', 'forbidden'],
    ['cleanup', bob, '', 'forbidden'],
    ['none', ann, 'not-found', 'not-found'],
    ['hidden', opal, '', ''],
    ['cleanup', opal, '', ''],
  ])('%s: %j sees it: %j, cancels and retries it: %j', async (id, actor, shown, changed) => {
    expect((await call(actor, 'GET', '/:id', id)).code).toBe(shown)
    for (const verb of ['cancel', 'retry']) {
      const { code, asked } = await call(actor, 'POST', `/:id/${verb}`, id)
      expect([code, asked]).toEqual([changed, changed === '' ? [[verb, id, actor.name]] : []])
    }
  })

  test('that may not be changed says which role may', async () => {
    const { problem } = await call(ann, 'POST', '/:id/cancel', 'cleanup')
    expect([problem?.['requiredRole'], problem?.detail]).toEqual(['operator', 'Uploaders may cancel and retry only the imports that they started.'])
  })
})

test.each([
  ['pause', 'pause'],
  ['resume', 'resume'],
])('%s is accepted, in the name of its caller', async (verb, asked) => {
  const answer = await call(opal, 'POST', `/:id/${verb}`, 'import')
  expect([answer.status, answer.body?.id, answer.asked]).toEqual([202, 'import', [[asked, 'import', 'opal']]])
})

test('cancel and retry are accepted with the task as it is then', async () => {
  for (const verb of ['cancel', 'retry']) {
    const answer = await call(opal, 'POST', `/:id/${verb}`, 'import')
    expect([answer.status, answer.body?.id]).toEqual([202, 'import'])
  }
})

describe('a list', () => {
  const idsOf = (body: { readonly items: Task[] } | undefined) => body?.items.map(({ id }) => id)

  test('has what its caller may see, up to the limit, and leads to the rest', async () => {
    const all = await call(opal, 'GET', '')
    expect([idsOf(all.body), all.body?.next]).toEqual([['import', 'absent', 'hidden', 'digest', 'cleanup'], null])
    const mine = await call(ann, 'GET', '?limit=3')
    expect([idsOf(mine.body), mine.body?.next]).toEqual([['import', 'absent', 'digest'], '4'])
    const rest = await call(ann, 'GET', '?limit=3&cursor=4')
    expect([idsOf(rest.body), rest.body?.next]).toEqual([['cleanup'], null])
    expect(idsOf((await call(bob, 'GET', '')).body)).toEqual(['import', 'digest', 'cleanup'])
  })

  test('passes its filter on', async () => {
    expect((await call(opal, 'GET', '?limit=2&cursor=1&kind=sync&state=failed')).asked).toEqual([['list', 2, '1', 'sync', 'failed']])
    expect((await call(bob, 'GET', '?kind=sync&state=failed')).asked[0]).toEqual(['list', 200, undefined, 'sync', 'failed'])
  })

  test.each([
    ['0', ''],
    ['999999999999999', ''],
    ['1000000000000000', 'invalid-input'],
    ['tsk_0123456789abcdefghjkmnpqrs', ''],
    ['tsk_0123456789abcdefghjkmnpqr', 'invalid-input'],
    ['-1', 'invalid-input'],
  ])('takes the cursor %s: %j', async (cursor, code) => {
    expect((await call(opal, 'GET', `?cursor=${cursor}`)).code).toBe(code)
  })
})

describe('a sync', () => {
  const IMAGES = [
    { id: 'img_a', name: 'a', outcome: 'copied', progress: { done: 5, total: 5 } },
    { id: 'img_b', name: 'b', outcome: 'failed', error: FAILED },
    { id: 'img_c', name: 'c', outcome: 'running', progress: { done: 1, total: 7 } },
    { id: 'img_d', name: 'd', outcome: 'queued' },
  ]
  const ENDED = { endedAt: '2026-01-01T00:00:01.000Z', state: 'cancelled' } as const
  const show = async (changes: Partial<Task>, actor = opal) => (await call(actor, 'GET', '/:id', 'x', [task('x', { kind: 'sync', ...changes })])).body

  test.each<[when: Partial<Task>, running: string, queued: string]>([
    [{}, 'running', 'queued'],
    [ENDED, 'cancelled', 'cancelled'],
  ])('with %j shows each image as a part; those that were not reached when it ended are cancelled', async (when, running, queued) => {
    expect((await show({ result: { images: IMAGES }, ...when }))?.children).toEqual([
      { subject: 'img_a', name: 'a', state: 'succeeded', outcome: 'copied', progress: { done: 5, total: 5, unit: 'bytes' } },
      { subject: 'img_b', name: 'b', state: 'failed', outcome: 'failed', error: FAILED },
      { subject: 'img_c', name: 'c', state: running, outcome: 'running', progress: { done: 1, total: 7, unit: 'bytes' } },
      { subject: 'img_d', name: 'd', state: queued, outcome: 'queued' },
    ] as never)
  })

  test('without results has no parts, and no other task has any', async () => {
    expect(await show({})).not.toHaveProperty('children')
    expect(await show({ result: { images: 5 } })).not.toHaveProperty('children')
    expect(await show({ kind: 'heal', result: { images: IMAGES } })).not.toHaveProperty('children')
  })

  test('shows its order to operators', async () => {
    expect((await show({}))?.order).toMatchObject({ sources: ORDER.sources })
    expect(await show({}, ann)).not.toHaveProperty('order')
    expect(await show({ kind: 'import' })).not.toHaveProperty('order')
  })
})
