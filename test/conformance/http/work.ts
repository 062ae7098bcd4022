// Tasks, schedules, events as pages and as a stream.

import assert from 'node:assert/strict'
import type { CreatedToken } from '../../../protocol/access.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import type { Schedule } from '../../../protocol/schedule.ts'
import type { StoreState } from '../../../protocol/store-state.ts'
import type { Task } from '../../../protocol/task.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import type { MemoryApp } from '../../support/memory/memory-app.ts'
import { jsonOf, post, problemOf } from './case.ts'
import type { HttpCase } from './case.ts'

interface Page<T> {
  readonly items: T[]
  readonly next: string | null
}

function emit(memory: MemoryApp, subject: string, type = 'image.available'): void {
  memory.events.emit({ type, severity: 'info', subject, message: `about ${subject}` })
}

/** A stream of server-sent events, read block by block. */
async function openStream(memory: MemoryApp, path: string, headers: Record<string, string> = {}) {
  const role = 'authorization' in headers ? {} : { role: 'viewer' as const }
  const response = await memory.ask(path, { ...role, headers: { accept: 'text/event-stream', ...headers } })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  assert.ok(response.body)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<string | undefined> => {
    while (!text.includes('\n\n')) {
      const { value, done } = await reader.read()
      if (done) return undefined
      text += value
    }
    const block = text.slice(0, text.indexOf('\n\n'))
    text = text.slice(block.length + 2)
    return block
  }
  assert.equal(await next(), 'retry: 3000')
  const nextEvent = async (): Promise<StoreEvent> => {
    const block = (await next()) ?? ''
    const [, id, data] = /^id: (\d+)\ndata: (.*)$/.exec(block) ?? []
    const event = JSON.parse(data ?? 'null') as StoreEvent
    assert.equal(event.id, id, block)
    return event
  }
  return { next, nextEvent, cancel: () => reader.cancel() }
}

/** Reads a stream to its end and returns the number of blocks. */
async function drain(stream: { next(): Promise<string | undefined> }): Promise<number> {
  let count = 0
  while ((await stream.next()) !== undefined) count++
  return count
}

export const WORK_CASES: HttpCase[] = [
  {
    name: 'a task is started, shown, listed, cancelled and retried',
    async run() {
      await using memory = await createMemoryApp()
      const started = await jsonOf<Task>(await post(memory, '/v1/schedules/scrub/run'), 202)
      assert.deepEqual([started.kind, started.createdBy], ['scrub', 'admin'])
      assert.deepEqual(await jsonOf(await memory.ask(`/v1/tasks/${started.id}`, { role: 'viewer' })), started)
      const same = await jsonOf<Task>(await post(memory, '/v1/schedules/scrub/run'), 202)
      assert.equal(same.id, started.id)
      await problemOf(await post(memory, `/v1/tasks/${started.id}/retry`), 'wrong-status')
      assert.equal((await jsonOf<Task>(await post(memory, `/v1/tasks/${started.id}/cancel`), 202)).id, started.id)
      assert.equal((await memory.tasks.ended(started.id)).state, 'cancelled')
      await problemOf(await post(memory, `/v1/tasks/${started.id}/cancel`), 'wrong-status')
      assert.equal((await jsonOf<Task>(await post(memory, `/v1/tasks/${started.id}/retry`), 202)).endedAt, null)
      const running = await jsonOf<Page<Task>>(await memory.ask('/v1/tasks?state=running&kind=scrub', { role: 'viewer' }))
      assert.deepEqual(
        running.items.map(({ id }) => id),
        [started.id],
      )
      await problemOf(await memory.ask('/v1/tasks?state=none', { role: 'viewer' }), 'invalid-input')
      await problemOf(await post(memory, '/v1/tasks/none/cancel'), 'not-found')
    },
  },
  {
    name: 'lists are paged, with a bounded limit',
    async run() {
      await using memory = await createMemoryApp()
      for (let i = 1; i <= 7; i++) emit(memory, String(i))
      const seen: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const query: string = cursor === '' ? '' : `&cursor=${cursor}`
        const page: Page<StoreEvent> = await jsonOf(await memory.ask(`/v1/events?limit=3${query}`, { role: 'viewer' }))
        seen.push(...page.items.map(({ subject }) => subject))
        cursor = page.next
      }
      assert.deepEqual(seen, ['7', '6', '5', '4', '3', '2', '1'])
      for (const limit of ['0', '1001', 'x', '1.5']) await problemOf(await memory.ask(`/v1/events?limit=${limit}`, { role: 'viewer' }), 'invalid-input')
    },
  },
  {
    name: 'events after an id are listed oldest first, filtered by type',
    async run() {
      await using memory = await createMemoryApp()
      for (let i = 1; i <= 5; i++) emit(memory, String(i), i === 3 ? 'gc.freed' : 'image.available')
      const page = await jsonOf<Page<StoreEvent>>(await memory.ask('/v1/events?since=1&type=image.available&limit=2', { role: 'viewer' }))
      assert.deepEqual([page.items.map(({ id }) => id), page.next], [['2', '4'], '4'])
      const rest = await jsonOf<Page<StoreEvent>>(await memory.ask(`/v1/events?since=1&cursor=${page.next}&limit=2`, { role: 'viewer' }))
      assert.deepEqual([rest.items.map(({ id }) => id), rest.next], [['5'], null])
      await problemOf(await memory.ask('/v1/events?since=yesterday', { role: 'viewer' }), 'invalid-input')
    },
  },
  {
    name: 'a stream sends new events as they are emitted, and no earlier ones',
    async run() {
      await using memory = await createMemoryApp()
      emit(memory, 'old')
      const stream = await openStream(memory, '/v1/events')
      emit(memory, 'first')
      assert.equal((await stream.nextEvent()).subject, 'first')
      const waiting = stream.nextEvent()
      emit(memory, 'second')
      assert.equal((await waiting).subject, 'second')
      await stream.cancel()
    },
  },
  {
    name: 'a stream resumes after Last-Event-ID or since',
    async run() {
      await using memory = await createMemoryApp()
      for (let i = 1; i <= 250; i++) emit(memory, String(i))
      const stream = await openStream(memory, '/v1/events', { 'last-event-id': '3' })
      for (let i = 4; i <= 250; i++) assert.equal((await stream.nextEvent()).subject, String(i))
      await stream.cancel()
      const other = await openStream(memory, '/v1/events?since=249')
      assert.equal((await other.nextEvent()).subject, '250')
      await other.cancel()
      const reset = await openStream(memory, '/v1/events', { 'last-event-id': '9999' })
      assert.equal((await reset.nextEvent()).subject, '1')
      await reset.cancel()
      await problemOf(await memory.ask('/v1/events', { role: 'viewer', headers: { accept: 'text/event-stream', 'last-event-id': 'x' } }), 'invalid-input')
    },
  },
  {
    name: 'a stream with state=true begins with the state at a position, and repeats it after events and after 20 seconds',
    async run() {
      await using memory = await createMemoryApp()
      emit(memory, 'old')
      const stream = await openStream(memory, '/v1/events?state=true')
      const nextState = async (): Promise<StoreState> => {
        const [, data] = /^event: state\ndata: (.*)$/.exec((await stream.next()) ?? '') ?? []
        return JSON.parse(data ?? 'null') as StoreState
      }
      const first = await nextState()
      assert.equal(first.position, '1')
      assert.equal(first.health.state, 'running')
      assert.equal(first.store?.name, 'edge-a')
      assert.deepEqual(first.tasks, { running: 0, queued: 0, items: [] })

      const waiting = stream.nextEvent()
      emit(memory, 'new')
      assert.equal((await waiting).subject, 'new')
      // The state that includes the event follows, at most one in each second.
      const second = nextState()
      await memory.clock.untilSleeping(1)
      memory.clock.advance(1000)
      assert.equal((await second).position, '2')

      const third = nextState()
      await memory.clock.untilSleeping(1)
      memory.clock.advance(20_000)
      // Such a leap of time can also make a check late, which is an event.
      assert.ok(Number((await third).position) >= 2)
      await stream.cancel()
    },
  },
  {
    name: 'a stream with state=true that resumes sends the state first and then every event after Last-Event-ID, and a state has no id',
    async run() {
      await using memory = await createMemoryApp()
      for (let i = 1; i <= 3; i++) emit(memory, String(i))
      const stream = await openStream(memory, '/v1/events?state=true', { 'last-event-id': '1' })
      assert.match((await stream.next()) ?? '', /^event: state\ndata: \{"position":"3"/)
      assert.equal((await stream.nextEvent()).subject, '2')
      assert.equal((await stream.nextEvent()).subject, '3')
      await stream.cancel()
    },
  },
  {
    name: 'state=true is refused without a stream, and beyond 16 streams',
    async run() {
      await using memory = await createMemoryApp()
      await problemOf(await memory.ask('/v1/events?state=true', { role: 'viewer' }), 'invalid-input')
      await problemOf(await memory.ask('/v1/events?state=yes', { role: 'viewer', headers: { accept: 'text/event-stream' } }), 'invalid-input')
      const tokens: CreatedToken[] = []
      for (let i = 1; i <= 2; i++) tokens.push(await jsonOf(await post(memory, '/v1/tokens', { name: `viewer ${i}`, role: 'viewer' }), 201))
      const headers = (i: number) => ({ authorization: `Bearer ${tokens[i % 2]?.token}`, accept: 'text/event-stream' })
      const streams = []
      for (let i = 0; i < 16; i++) streams.push(await openStream(memory, '/v1/events?state=true', headers(i)))
      const refusal = await problemOf(await memory.ask('/v1/events?state=true', { headers: headers(0) }), 'limit-reached')
      assert.match(refusal.detail, /16 clients already follow the state of the store/)
      await streams[0]?.cancel()
      streams[0] = await openStream(memory, '/v1/events?state=true', headers(0))
      for (const stream of streams) await stream.cancel()
    },
  },
  {
    name: 'a silent stream sends a comment every 15 seconds, and ends when the agent stops',
    async run() {
      await using memory = await createMemoryApp()
      const stream = await openStream(memory, '/v1/events?type=gc.freed')
      const waiting = stream.next()
      await memory.clock.untilSleeping(1)
      emit(memory, 'filtered away')
      // Another request goes all the way through: by then the stream has looked at the event and waits again.
      await (await memory.ask('/v1/tasks', { role: 'viewer' })).text()
      await memory.clock.untilSleeping(1)
      memory.clock.advance(15_000)
      assert.equal(await waiting, ':')
      const end = stream.next()
      memory.stop()
      assert.equal(await end, undefined)
      const late = await memory.ask('/v1/events', { role: 'viewer', headers: { accept: 'text/event-stream' } })
      await problemOf(late, 'shutting-down')
    },
  },
  {
    name: 'the number of streams is limited per token and in total, and a stream that ends makes room',
    async run() {
      await using memory = await createMemoryApp()
      const accept = 'text/event-stream'
      const follow = (token: CreatedToken) => openStream(memory, '/v1/events', { authorization: `Bearer ${token.token}` })
      const refusal = async (token: CreatedToken) =>
        problemOf(await memory.ask('/v1/events', { headers: { accept, authorization: `Bearer ${token.token}` } }), 'limit-reached')
      const tokens: CreatedToken[] = []
      // Two of them have the same name: they are counted apart all the same.
      for (let i = 0; i <= 10; i++) tokens.push(await jsonOf(await post(memory, '/v1/tokens', { name: `viewer ${Math.max(1, i)}`, role: 'viewer' }), 201))
      const streams = []
      for (const token of tokens.slice(0, 10)) {
        for (let i = 0; i < 10; i++) streams.push(await follow(token))
        assert.match((await refusal(token)).detail, /10 clients already follow the events with this token/)
      }
      const last = tokens[10]
      assert.ok(last)
      assert.match((await refusal(last)).detail, /100 clients already follow/)
      await streams[0]?.cancel()
      const again = await follow(last)
      emit(memory, 'for all')
      while ((await again.nextEvent()).subject !== 'for all') assert.ok(true)
      await again.cancel()
      for (const stream of streams.slice(1)) await stream.cancel()
    },
  },
  {
    name: 'a stream whose client reads nothing is closed after a minute, and makes room',
    async run() {
      await using memory = await createMemoryApp()
      const follow = (): Promise<Response> => memory.ask('/v1/events', { role: 'viewer', headers: { accept: 'text/event-stream' } })
      const unread = await Promise.all(Array.from({ length: 10 }, follow))
      await problemOf(await follow(), 'limit-reached')
      memory.clock.advance(59_000)
      await problemOf(await follow(), 'limit-reached')
      memory.clock.advance(6000)
      await (await openStream(memory, '/v1/events')).cancel()
      for (const { body } of unread) {
        assert.ok(body)
        await assert.rejects(body.getReader().read())
      }
    },
  },
  {
    name: 'a stream that is read ends after an hour, and when its token expires',
    async run() {
      await using memory = await createMemoryApp()
      const reading = await openStream(memory, '/v1/events')
      const ended = drain(reading)
      for (let i = 0; i <= 240; i++) {
        await memory.clock.untilSleeping(i < 240 ? 1 : 0)
        memory.clock.advance(15_000)
      }
      assert.equal(await ended, 240)
      const token = await jsonOf<CreatedToken>(await post(memory, '/v1/tokens', { name: 'short', role: 'viewer' }), 201)
      const other = await openStream(memory, '/v1/events', { authorization: `Bearer ${token.token}` })
      assert.equal((await post(memory, `/v1/tokens/${token.id}`, undefined, 'DELETE')).status, 204)
      memory.clock.advance(5000)
      await drain(other)
    },
  },
  {
    name: 'schedules are listed with their next run, changed and paused; the refusal of an invalid expression names the member',
    async run() {
      await using memory = await createMemoryApp()
      const { items } = await jsonOf<Page<Schedule>>(await memory.ask('/v1/schedules', { role: 'viewer' }))
      assert.deepEqual(
        items.map(({ name, nextRunAt }) => [name, nextRunAt]),
        [
          ['cleanup', '2026-01-01T03:17:00.000Z'],
          ['expire', '2026-01-01T00:10:00.000Z'],
          ['scrub', '2026-01-04T01:41:00.000Z'],
        ],
      )
      const changed = await jsonOf<Schedule>(await post(memory, '/v1/schedules/scrub', { cron: '0 5 * * *' }, 'PATCH'))
      assert.deepEqual([changed.cron, changed.nextRunAt], ['0 5 * * *', '2026-01-01T05:00:00.000Z'])
      const paused = await jsonOf<Schedule>(await post(memory, '/v1/schedules/scrub', { paused: true }, 'PATCH'))
      assert.deepEqual([paused.paused, paused.nextRunAt], [true, null])
      for (const cron of ['61 5 * * *', '0 5 30 2 *', 'every day', '* * * * * *'])
        assert.ok(Array.isArray((await problemOf(await post(memory, '/v1/schedules/scrub', { cron }, 'PATCH'), 'invalid-input'))['errors']))
      await problemOf(await post(memory, '/v1/schedules/none/run'), 'not-found')
      await problemOf(await post(memory, '/v1/schedules/scrub', {}, 'PATCH'), 'invalid-input')
    },
  },
]
