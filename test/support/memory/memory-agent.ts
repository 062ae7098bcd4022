// An agent in memory for the bot's tests: the routes that a test needs to control, such as a task whose progress the test sets.
// Responses follow the schemas of the protocol.

import type { Image } from '../../../protocol/images/image.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { Task } from '../../../protocol/task.ts'

export interface MemoryAgent extends AsyncDisposable {
  readonly url: string
  readonly token: string
  /** Tasks by id; the next response shows a change. */
  readonly tasks: Map<string, Task>
  /** Images that the list of images has. */
  readonly images: Image[]
  store: Store
}

/** Starts the agent on a free port; cleanup starts a task that stays queued until the test changes it. */
export function createMemoryAgent(name: string): MemoryAgent {
  const token = `token-of-${name}`
  const tasks = new Map<string, Task>()
  const images: Image[] = []
  const refuse = (code: ProblemCode, detail: string): Response => {
    const problem = makeProblem(code, detail, { requestId: 'req_test' })
    return Response.json(problem, { status: problem.status, headers: { 'content-type': 'application/problem+json' } })
  }
  const agent = {
    store: storeSchema.parse({
      id: crypto.randomUUID(),
      name,
      description: '',
      mount: '/srv/slipway',
      zone: 'zone-1',
      scope: 'zone',
      enabled: true,
      disabledReason: null,
      version: '0.1.0',
      capacity: { total: 1e12, used: 4e11, free: 6e11, reserved: 1e9, available: 5.99e11 },
      slices: { count: 10, storedBytes: 1e9, imageBytes: 3e9, savingRatio: 3 },
      images: { available: 2, deleted: 0, other: 0 },
      uploads: { active: 0 },
      transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
      retention: { deletion: 'delayed', seconds: 259_200 },
    }),
  }
  const startTask = (kind: Task['kind']): Response => {
    const task = taskSchema.parse({
      id: `tsk_${String(tasks.size).padStart(26, '0')}`,
      kind,
      state: 'queued',
      progress: { done: 0, total: 100, unit: 'slices', rate: 0, etaSeconds: null },
      subject: name,
      createdBy: 'admin',
      createdAt: '2026-01-01T00:00:00.000Z',
      endedAt: null,
    })
    tasks.set(task.id, task)
    return Response.json(task, { status: 202 })
  }
  const cancelTask = (id: string): Response => {
    const task = tasks.get(id)
    if (!task) return refuse('not-found', `There is no task ${id}.`)
    const ended: Task = { ...task, state: 'cancelled', endedAt: '2026-01-01T00:01:00.000Z' }
    tasks.set(id, ended)
    return Response.json(ended)
  }
  // An address of its own: when the agent is gone, no server of another test that gets its port answers for it.
  const hostname = `127.${64 + Math.floor(Math.random() * 128)}.${Math.floor(Math.random() * 256)}.${1 + Math.floor(Math.random() * 254)}`
  const server = Bun.serve({
    port: 0,
    hostname,
    async fetch(request) {
      const url = new URL(request.url)
      const path = `${request.method} ${url.pathname}`
      if (path === 'GET /v1/health') return Response.json({ state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' })
      if (request.headers.get('authorization') !== `Bearer ${token}`) return refuse('unauthenticated', 'The token is not known here.')
      if (path === 'GET /v1/store') return Response.json(agent.store)
      if (path === 'PATCH /v1/store') return Response.json((agent.store = storeSchema.parse({ ...agent.store, ...((await request.json()) as object) })))
      if (path === 'POST /v1/store/reconnect') return Response.json((agent.store = { ...agent.store, enabled: true }))
      if (path === 'POST /v1/store/enable') return Response.json((agent.store = { ...agent.store, enabled: true }))
      if (path === 'POST /v1/store/disable') return Response.json((agent.store = { ...agent.store, enabled: false }))
      if (path === 'POST /v1/store/cleanup') return startTask('cleanup')
      if (path === 'GET /v1/tasks') return Response.json({ items: [...tasks.values()], next: null })
      if (path === 'GET /v1/images') return Response.json({ items: images, next: null })
      const image = path.startsWith('GET /v1/images/') && images.find(({ id }) => url.pathname === `/v1/images/${id}`)
      if (image) return Response.json(image)
      if (path === 'GET /v1/tokens') return Response.json({ items: [], next: null })
      const retried = /^POST \/v1\/tasks\/(?<id>[^/]+)\/retry$/.exec(path)?.groups?.['id']
      if (retried !== undefined) return startTask(tasks.get(retried)?.kind ?? 'cleanup')
      const cancelled = /^POST \/v1\/tasks\/(?<id>[^/]+)\/cancel$/.exec(path)?.groups?.['id']
      if (cancelled !== undefined) return cancelTask(cancelled)
      const task = tasks.get(url.pathname.slice('/v1/tasks/'.length))
      return task && request.method === 'GET' ? Response.json(task) : refuse('not-found', `There is nothing at ${url.pathname}.`)
    },
  })
  return {
    url: `http://${hostname}:${server.port}`,
    token,
    tasks,
    images,
    get store() {
      return agent.store
    },
    set store(store) {
      agent.store = store
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}
