// Many agents in one process, as a bot sees them: health, description, and the stream of events and states. A test or a bench changes what
// they say, cuts their streams, and lets them fall silent. Each has its own path on one server.

import type { StoreEvent } from '../../../protocol/event.ts'
import type { Health } from '../../../protocol/health.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import { storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import type { StoreState } from '../../../protocol/store-state.ts'

/** Longest time between two states of a stream, in milliseconds, as an agent has it. */
const STATE_MS = 20_000

export interface SimulatedAgent {
  readonly name: string
  readonly zone: string
  readonly url: string
  readonly token: string
  store: Store
  health: Health
  readonly events: StoreEvent[]
  /** Answers requests instead of the agent; `undefined` lets the agent answer. */
  answer: ((request: Request, path: string) => Response | Promise<Response> | undefined) | undefined
  /** Requests by path, such as `v1/health`. */
  readonly requests: Map<string, number>
  /** Adds an event and sends it, and the state after it. */
  emit(type?: string): void
  /** Sends the state. */
  sendState(): void
  /** Sends text on every stream. */
  sendText(text: string): void
  /** Ends the streams. */
  cut(): void
  /** Neither answers nor sends from now on; open streams stay open. */
  hang(): void
  /** Answers again. */
  recover(): void
}

export interface SimulatedFleet extends AsyncDisposable {
  readonly agents: readonly SimulatedAgent[]
  /** Streams that are open now. */
  readonly streams: () => number
}

/** Starts `count` agents in `zones` zones. */
export function startSimulatedFleet(count: number, zones = 1): SimulatedFleet {
  const byPath = new Map<string, ReturnType<typeof createAgent>>()
  let streams = 0
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch(request) {
      const [, agent = '', ...rest] = new URL(request.url).pathname.split('/')
      return byPath.get(agent)?.respond(request, rest.join('/')) ?? new Response('no such agent', { status: 404 })
    },
  })
  const agents = Array.from({ length: count }, (_unused, i) => {
    const name = `store-${String(i).padStart(4, '0')}`
    const created = createAgent({ name, zone: `zone-${i % zones}`, url: `http://127.0.0.1:${server.port}/${name}`, onStreams: (change) => (streams += change) })
    byPath.set(name, created)
    return created.agent
  })
  const timer = setInterval(() => agents.forEach((agent) => agent.sendState()), STATE_MS)
  return {
    agents,
    streams: () => streams,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      for (const agent of agents) agent.cut()
      await server.stop(true)
    },
  }
}

interface AgentOptions {
  readonly name: string
  readonly zone: string
  readonly url: string
  readonly onStreams: (change: number) => void
}

function createAgent({ name, zone, url, onStreams }: AgentOptions) {
  const encoder = new TextEncoder()
  const open = new Set<ReadableStreamDefaultController<Uint8Array>>()
  const token = `token-of-${name}`
  let isHanging = false
  const sendText = (text: string): void => {
    if (!isHanging) for (const controller of open) controller.enqueue(encoder.encode(text))
  }
  const leave = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (open.delete(controller)) onStreams(-1)
  }
  const eventText = (event: StoreEvent): string => `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`
  const latestId = (): string => agent.events.at(-1)?.id ?? '0'
  const stateText = (): string => {
    const state: StoreState = {
      position: latestId(),
      health: { ...agent.health, asOf: new Date().toISOString() },
      store: agent.store,
      tasks: { running: 0, queued: 0, items: [] },
    }
    return `event: state\ndata: ${JSON.stringify(state)}\n\n`
  }
  const agent: SimulatedAgent = {
    name,
    zone,
    url,
    token,
    store: simulatedStore(name, zone),
    health: simulatedHealth(),
    events: [],
    answer: undefined,
    requests: new Map(),
    emit(type = 'store.changed') {
      const id = Number(latestId()) + 1
      const event: StoreEvent = {
        id: String(id),
        time: new Date(Date.UTC(2026, 0, 1) + id * 1000).toISOString(),
        type,
        severity: 'info',
        subject: name,
        message: `Event ${id} of ${name}.`,
        actor: 'admin',
        details: {},
      }
      agent.events.push(event)
      sendText(eventText(event) + stateText())
    },
    sendState: () => sendText(stateText()),
    sendText,
    cut() {
      for (const controller of open) {
        leave(controller)
        controller.close()
      }
    },
    hang: () => void (isHanging = true),
    recover: () => void (isHanging = false),
  }
  const streamFrom = (after: string | null): Response => {
    const from = after === null ? latestId() : Number(after) > Number(latestId()) ? '0' : after
    let mine: ReadableStreamDefaultController<Uint8Array> | undefined
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        mine = controller
        open.add(controller)
        onStreams(1)
        const missed = agent.events.filter(({ id }) => Number(id) > Number(from))
        controller.enqueue(encoder.encode(`retry: 3000\n\n${stateText()}${missed.map(eventText).join('')}`))
      },
      cancel: () => mine && leave(mine),
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  const respond = async (request: Request, path: string): Promise<Response> => {
    agent.requests.set(path, (agent.requests.get(path) ?? 0) + 1)
    if (isHanging) return new Promise<never>(() => {})
    const answered = agent.answer?.(request, path)
    if (answered !== undefined) return answered
    if (path === 'v1/health') return Response.json(agent.health, { status: agent.health.state === 'error' ? 503 : 200 })
    if (request.headers.get('authorization') !== `Bearer ${token}`) return refusal('unauthenticated', 'The token is not known here.')
    if (path === 'v1/store' || path === 'v1/store/reconnect') return Response.json(agent.store)
    if (path === 'v1/events') return streamFrom(request.headers.get('last-event-id'))
    return refusal('not-found', `There is nothing at ${path}.`)
  }
  return { agent, respond }
}

/** Returns the refusal of an agent. */
export function refusal(code: Parameters<typeof makeProblem>[0], detail: string): Response {
  const problem = makeProblem(code, detail)
  return Response.json(problem, { status: problem.status, headers: { 'content-type': 'application/problem+json' } })
}

function simulatedHealth(): Health {
  const names = ['event-loop', 'mount-path', 'writable', 'free-space', 'index', 'scrub', 'quarantine', 'backlog', 'schedules', 'clock', 'certificate']
  const checks = names.map((check) => ({ name: check, state: 'ok' as const, measured: 'measured a moment ago', limit: null, impact: '', action: '' }))
  return { state: 'running', checks, asOf: '2026-01-01T00:00:00.000Z' }
}

function simulatedStore(name: string, zone: string): Store {
  const byKind = Object.fromEntries(
    ['system', 'disk', 'iso', 'base', 'template', 'backup'].map((kind) => [kind, { count: 40, length: 4e11, storedSize: 1e11 }]),
  )
  return storeSchema.parse({
    id: crypto.randomUUID(),
    name,
    description: 'Templates and boot images of the site',
    mount: '/srv/slipway',
    zone,
    scope: 'zone',
    enabled: true,
    disabledReason: null,
    imagesEnabled: true,
    version: '0.1.0',
    capacity: { total: 1e13, used: 4e12, free: 6e12, reserved: 1e9, available: 5.9e12 },
    slices: { count: 10_000_000, storedBytes: 4e11, imageBytes: 1.2e12, savingRatio: 3 },
    images: { available: 240, deleted: 3, other: 1 },
    usage: { total: { count: 240, length: 2.4e12, storedSize: 6e11 }, byKind },
    uploads: { active: 0 },
    transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
    retention: { deletion: 'delayed', seconds: 259_200 },
  })
}
